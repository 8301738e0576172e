package access_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

func TestSecret_neverPrints(t *testing.T) {
	t.Parallel()
	const value = "gldt-0123456789abcdefghij"
	secret := access.Secret(value)
	encoded, err := json.Marshal(map[string]any{"secret": secret})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprint(secret), fmt.Sprintf("%v %+v %#v %s %q", secret, secret, secret, secret, secret),
		fmt.Sprintf("%+v", struct{ S access.Secret }{secret}), string(encoded),
	} {
		if strings.Contains(text, value) {
			t.Errorf("printed: %s", text)
		}
	}
	if secret.Reveal() != value {
		t.Error("Reveal does not reveal")
	}
}

func TestUsername(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 200 {
		username := access.NewUsername(42)
		if !access.GeneratedUsername(username, 42) {
			t.Fatalf("%q is not recognised", username)
		}
		if seen[username] {
			t.Fatalf("%q came twice", username)
		}
		seen[username] = true
	}
	for _, other := range []string{"autodevops-4-abcdefgh", "autodevops-421-abcdefgh", "autodevops-42-abcdefg", "autodevops-42-ABCDEFGH", "x-autodevops-42-abcdefgh", "gitlab+deploy-token-1", ""} {
		if access.GeneratedUsername(other, 42) {
			t.Errorf("%q counts as ours", other)
		}
	}
}

func TestDeployToken_works(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)
	pull := []string{"read_registry"}
	cases := map[string]struct {
		token access.DeployToken
		works bool
	}{
		"permanent":               {access.DeployToken{Scopes: pull}, true},
		"before its expiry":       {access.DeployToken{Scopes: pull, ExpiresAt: now.Add(time.Second)}, true},
		"at its expiry":           {access.DeployToken{Scopes: pull, ExpiresAt: now}, false},
		"revoked":                 {access.DeployToken{Scopes: pull, Revoked: true}, false},
		"without the right scope": {access.DeployToken{Scopes: []string{"read_repository"}}, false},
	}
	for name, c := range cases {
		if got := c.token.CanPull(now); got != c.works {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestDockerConfig(t *testing.T) {
	t.Parallel()
	config := access.DockerConfig("registry.example.com:5050", "user", "pass")
	const want = `{"auths":{"registry.example.com:5050":{"username":"user","password":"pass","auth":"dXNlcjpwYXNz"}}}`
	if config != want {
		t.Errorf("got %s", config)
	}
	if access.DockerConfigUsername(config) != "user" || access.DockerConfigUsername(access.EmptyDockerConfig) != "" {
		t.Error("the username is not found again")
	}
	// What a state holds stays readable, also where a function refuses it.
	if access.DockerConfigUsername(access.DockerConfig("Registry", "the user", "pass")) != "the user" {
		t.Error("an odd username is not found again")
	}
	if access.RegistryHost(prefix) != "registry.example.com:5050" || access.RepositoryPath(prefix) != "acme/shop" || access.RegistryHost("") != "" {
		t.Error("the image prefix is cut at the wrong place")
	}
}
