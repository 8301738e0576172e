package access_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

func TestRegistryKey(t *testing.T) {
	t.Parallel()
	const hub = "https://index.docker.io/v1/"
	for text, want := range map[string]struct{ registry, prefix string }{
		"registry.example.com:5050":           {"registry.example.com:5050", "registry.example.com:5050"},
		"registry.example.com:5050/acme/shop": {"registry.example.com:5050", "registry.example.com:5050/acme/shop"},
		"https://ghcr.io":                     {"ghcr.io", "ghcr.io"},
		"HTTPS://GHCR.io/":                    {"ghcr.io", "ghcr.io"},
		"https://ghcr.io/v1/":                 {"ghcr.io", "ghcr.io"},
		"https://ghcr.io/v2":                  {"ghcr.io", "ghcr.io"},
		"ghcr.io//":                           {"ghcr.io", "ghcr.io"},
		"ghcr.io/v2/":                         {"ghcr.io", "ghcr.io"},
		"http://host:5000":                    {"host:5000", "host:5000"},
		"http://[::1]:5000/v2/":               {"[::1]:5000", "[::1]:5000"},
		"https://ghcr.io/Acme/App/":           {"ghcr.io", "ghcr.io/Acme/App"},
		"registry.example.com/v1/shop":        {"registry.example.com", "registry.example.com/v1/shop"},
		"*.example.com":                       {"*.example.com", "*.example.com"},
		"docker.io":                           {hub, hub},
		"index.docker.io":                     {hub, hub},
		"registry-1.docker.io":                {hub, hub},
		"https://Registry-1.Docker.io/v2/":    {hub, hub},
		"http://index.docker.io/":             {hub, hub},
		hub:                                   {hub, hub},
		"docker.io/acme":                      {hub, "docker.io/acme"},
		"https://index.docker.io/acme/app":    {hub, "docker.io/acme/app"},
		"registry-1.docker.io/acme/app":       {hub, "registry-1.docker.io/acme/app"},
	} {
		if got, err := access.RegistryKey(text); err != nil || got != want.registry {
			t.Errorf("the registry %q is %q, %v, want %q", text, got, err, want.registry)
		}
		if got, err := access.ImagePrefixKey(text); err != nil || got != want.prefix {
			t.Errorf("the prefix %q is %q, %v, want %q", text, got, err, want.prefix)
		}
	}
}

func TestRegistryKey_refusals(t *testing.T) {
	t.Parallel()
	for text, problem := range map[string]string{
		"":                                 "no host",
		"https://":                         "no host",
		"https:///v2/":                     "no host",
		"//ghcr.io":                        "no host",
		"/acme/shop":                       "no host",
		"https:ghcr.io":                    "invalid host or port",
		":5000":                            "invalid host or port",
		"ghcr.io:":                         "invalid host or port",
		"ghcr.io:0":                        "invalid host or port",
		"ghcr.io:65536":                    "invalid host or port",
		"ghcr.io:latest":                   "invalid host or port",
		"ghcr..io":                         "invalid host or port",
		"gh\\cr.io":                        "invalid host or port",
		"[::1":                             "invalid host or port",
		"oci://ghcr.io":                    "another scheme",
		"ftp://ghcr.io":                    "another scheme",
		"://ghcr.io":                       "another scheme",
		"https://hidden-user@ghcr.io":      "a user, a password",
		"https://u:hidden@ghcr.io/v2/":     "a user, a password",
		"ghcr.io/acme/app@sha256:hidden":   "a user, a password or a digest",
		"https://ghcr.io/?token=hidden":    "a query",
		"https://ghcr.io/#hidden":          "a fragment",
		"ghcr.io?x":                        "a query",
		"ghcr .io":                         "white space",
		"ghcr.io\n":                        "white space",
		"ghcr.io\x00":                      "control characters",
		"ghcr.io\u00a0":                    "white space",
		"registry.example.com//shop":       "a path",
		"registry.example.com/shop:latest": "a path",
		"registry.example.com/a%20b":       "a path",
	} {
		for name, key := range map[string]func(string) (string, error){"registry": access.RegistryKey, "prefix": access.ImagePrefixKey} {
			got, err := key(text)
			if err == nil || !strings.Contains(err.Error(), problem) || !strings.Contains(err.Error(), "Possible are") || strings.Contains(err.Error(), "hidden") {
				t.Errorf("the %s %q is %q, %v, want an error about %s", name, text, got, err, problem)
			}
		}
	}
}

// TestRegistryKey_laws: a key is a key of itself, and the dress of a login URL changes
// nothing.
func TestRegistryKey_laws(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		host := rapid.StringMatching(`[a-z0-9]{1,8}(\.[a-z0-9-]{1,8}){0,3}(:[1-9][0-9]{0,3})?`).Draw(t, "host")
		dressed := rapid.SampledFrom([]string{"", "https://", "http://", "HTTPS://"}).Draw(t, "scheme") +
			rapid.SampledFrom([]string{host, strings.ToUpper(host)}).Draw(t, "case") +
			rapid.SampledFrom([]string{"", "/", "/v1", "/v1/", "/v2", "/v2/"}).Draw(t, "end")
		for name, key := range map[string]func(string) (string, error){"registry": access.RegistryKey, "prefix": access.ImagePrefixKey} {
			got, err := key(dressed)
			if err != nil || got != host {
				t.Fatalf("the %s %q is %q, %v", name, dressed, got, err)
			}
			if again, err := key(got); err != nil || again != got {
				t.Fatalf("the %s %q is %q, %v", name, got, again, err)
			}
		}
	})
}
