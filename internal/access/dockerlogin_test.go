package access_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

func auth(pair string) string { return base64.StdEncoding.EncodeToString([]byte(pair)) }

func TestReadDockerConfig(t *testing.T) {
	t.Parallel()
	want := []access.Credential{{Key: "ghcr.io", Username: "u", Password: "p:q r"}}
	for name, entry := range map[string]string{
		"username and password":  `{"username":"u","password":"p:q r"}`,
		"auth alone":             `{"auth":"` + auth("u:p:q r") + `"}`,
		"auth without padding":   `{"auth":"` + strings.TrimRight(auth("u:p:q r"), "=") + `"}`,
		"both":                   `{"username":"u","password":"p:q r","auth":"` + auth("u:p:q r") + `"}`,
		"auth and username":      `{"username":"u","auth":"` + auth("u:p:q r") + `"}`,
		"auth, and empty fields": `{"username":"","password":"","identitytoken":"","auth":"` + auth("u:p:q r") + `","email":"u@example.com"}`,
	} {
		got, err := access.ReadDockerConfig(`{"auths":{"ghcr.io":` + entry + `},"credsStore":"","HttpHeaders":{}}`)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	if got, err := access.ReadDockerConfig(access.EmptyDockerConfig); err != nil || len(got) != 0 {
		t.Errorf("no entries: got %v, %v", got, err)
	}
}

func TestReadDockerConfig_refusals(t *testing.T) {
	t.Parallel()
	entry := func(json string) string { return `{"auths":{"https://ghcr.io/v2/":` + json + `}}` }
	for config, want := range map[string]string{
		`hidden`:                                                        "it is not a docker config",
		`{"ghcr.io":{"auth":"hidden"}}`:                                 "it is not a docker config",
		`{"auths":{"ghcr.io":"hidden"}}`:                                "it is not a docker config",
		`{"credsStore":"desktop"}`:                                      "a credential helper in credsStore",
		`{"auths":{},"credsStore":"pass"}`:                              "a credential helper in credsStore",
		`{"credHelpers":{"ghcr.io":"pass"}}`:                            "credential helpers in credHelpers",
		entry(`{}`):                                                     "the entry for ghcr.io is empty, as docker login leaves it",
		entry(`null`):                                                   "the entry for ghcr.io is empty",
		entry(`{"username":"hidden"}`):                                  "has no username and password",
		entry(`{"auth":"hidden!"}`):                                     "has an auth that is not the base64 of username:password",
		entry(`{"auth":"` + auth("hidden") + `"}`):                      "has an auth that is not the base64 of username:password",
		entry(`{"auth":"` + auth("hidden\xff:p") + `"}`):                "has an auth that is not the base64 of username:password",
		entry(`{"auth":"` + auth("hidden:") + `"}`):                     "has no username and password",
		entry(`{"auth":"` + auth(":hidden") + `"}`):                     "has no username and password",
		entry(`{"username":"other","auth":"` + auth("u:hidden") + `"}`): "contradicts its username or password",
		entry(`{"username":"u","password":"hidden","auth":"` + auth("u:p") + `"}`):      "contradicts its username or password",
		entry(`{"identitytoken":"hidden","auth":"` + auth("00000000:") + `"}`):          "has an identitytoken",
		entry(`{"registrytoken":"hidden"}`):                                             "has a registrytoken",
		entry(`{"auth":"` + auth("u v:hidden") + `"}`):                                  "the username contains a colon, white space or a control character",
		entry(`{"username":"u:v","password":"hidden"}`):                                 "the username contains a colon",
		entry(`{"auth":"` + auth("u:hidden\n") + `"}`):                                  "the password contains a line break",
		`{"auths":{"https://u:hidden@ghcr.io":{"username":"u"}}}`:                       "the entry for an invalid registry has no username",
		`{"auths":{"a.example.com":{"username":"a"},"b.example.com":{"username":"b"}}}`: "the entry for a.example.com has no username",
	} {
		got, err := access.ReadDockerConfig(config)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v, want an error with %q", config, got, err, want)
			continue
		}
		for _, secret := range []string{"hidden", auth("hidden"), auth("u:hidden"), auth("u:p")} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %v says a secret", config, err)
			}
		}
	}
}

func TestCredential_check(t *testing.T) {
	t.Parallel()
	for username, ok := range map[string]bool{
		"u": true, "autodevops-7-abcdefgh": true, "oauth2accesstoken": true, "$app": true, "ünïcode": true,
		"u v": false, "u\t": false, "u\n": false, "u\u00a0v": false, "u\x00": false, "u\x7f": false, "u:v": false,
	} {
		if err := (access.Credential{Username: username, Password: "p"}).Check(); (err == nil) != ok {
			t.Errorf("username %q: %v", username, err)
		}
	}
	for password, ok := range map[string]bool{
		"p": true, "p q": true, "p:q": true, "pä": true,
		"p\n": false, "p\r\nq": false, "p\tq": false, "\x00": false, "\u0085": false,
	} {
		err := access.Credential{Username: "u", Password: access.Secret(password)}.Check()
		if (err == nil) != ok {
			t.Errorf("password %q: %v", password, err)
		}
		if err != nil && strings.Contains(fmt.Sprint(err), password) {
			t.Errorf("password %q is in %v", password, err)
		}
	}
}
