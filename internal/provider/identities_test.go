package provider_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

func newIdentity(t *testing.T) string {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return identity.String()
}

// TestConfigure_sealIdentities: what cannot be used is an error that shows no key, and
// points to no line of a configuration in which a key may stand.
func TestConfigure_sealIdentities(t *testing.T) {
	t.Parallel()
	identity := newIdentity(t)
	keyFile := file(t, "# created: 2026-01-15\n"+identity+"\n"+newIdentity(t)+"\n")
	cut := file(t, identity[:50])
	good := block{"token": "glpat-0123456789abcdefghij", "base_url": "https://gitlab.example.com"}
	with := func(more block) block {
		maps.Copy(more, good)
		return more
	}
	for name, c := range map[string]struct {
		config  block
		env     environment
		summary string
		detail  string
		located bool
	}{
		"none":                      {config: with(block{})},
		"one":                       {config: with(block{"seal_identity": identity})},
		"a file":                    {config: with(block{"seal_identity_file": keyFile})},
		"both":                      {config: with(block{"seal_identity": identity, "seal_identity_file": keyFile})},
		"of the environment":        {config: with(block{}), env: environment{"AUTODEVOPS_SEAL_IDENTITY": identity}},
		"a file of the environment": {config: with(block{}), env: environment{"AUTODEVOPS_SEAL_IDENTITY_FILE": keyFile}},
		"the configuration first":   {config: with(block{"seal_identity": identity}), env: environment{"AUTODEVOPS_SEAL_IDENTITY": "x", "AUTODEVOPS_SEAL_IDENTITY_FILE": "/does/not/exist"}},
		"unknown":                   {config: with(block{"seal_identity": tftypes.UnknownValue})},
		"unknown file":              {config: with(block{"seal_identity_file": tftypes.UnknownValue})},

		"malformed":                    {with(block{"seal_identity": identity[:50]}), nil, "Malformed seal identity", "seal_identity cannot be used: line 1 is not a valid key", false},
		"malformed in the environment": {with(block{}), environment{"AUTODEVOPS_SEAL_IDENTITY": identity[:50]}, "Malformed seal identity", "AUTODEVOPS_SEAL_IDENTITY cannot be used", false},
		"malformed in a file":          {with(block{"seal_identity_file": cut}), nil, "Malformed seal identity", "seal_identity_file cannot be used", false},
		"an empty file":                {with(block{}), environment{"AUTODEVOPS_SEAL_IDENTITY_FILE": file(t, "")}, "Malformed seal identity", "no identity in it", false},
		"a key instead of its file":    {with(block{"seal_identity_file": identity}), nil, "Cannot read the seal identity file", "name of a file", false},
		"no file":                      {with(block{"seal_identity_file": "/does/not/exist.txt"}), nil, "Cannot read the seal identity file", "/does/not/exist.txt: no such file", true},
		"a folder":                     {with(block{}), environment{"AUTODEVOPS_SEAL_IDENTITY_FILE": filepath.Dir(keyFile)}, "Cannot read the seal identity file", "AUTODEVOPS_SEAL_IDENTITY_FILE names", true},
		// An identity that is not known does not hide what is wrong with the rest.
		"unknown, and no token": {block{"seal_identity": tftypes.UnknownValue}, nil, "Missing token", "", true},
	} {
		got := configure(t, c.config, c.env)
		if c.summary == "" {
			if len(got) != 0 {
				t.Errorf("%s: got %s: %s", name, got[0].Summary, got[0].Detail)
			}
			continue
		}
		if len(got) != 1 || got[0].Severity != tfprotov6.DiagnosticSeverityError || got[0].Summary != c.summary ||
			!strings.Contains(got[0].Detail, c.detail) || (got[0].Attribute != nil) != c.located {
			t.Errorf("%s: got %+v, want %q", name, got, c.summary)
			continue
		}
		if strings.Contains(got[0].Detail, identity[16:30]) {
			t.Errorf("%s: the diagnostic shows the key", name)
		}
	}
}

// TestConfigure_hidesSealIdentities: a proxy that repeats the environment of a pipeline
// makes no message show the key.
func TestConfigure_hidesSealIdentities(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t)
	identity, other := newIdentity(t), newIdentity(t)
	keyFile := filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(keyFile, []byte(identity), 0o600); err != nil {
		t.Fatal(err)
	}
	// With its prefix a key is recognised by its look, without it only if it is known.
	for said, secret := range map[string]string{"key " + identity[16:]: identity[16:], "SECRETS " + other: other[16:]} {
		g.Inject(gitlabtest.Fault{Status: 403, Body: `{"message":"` + said + ` end"}`})
		got := configure(t, block{"base_url": g.URL, "token": "glpat-0123456789abcdefghij", "seal_identity_file": keyFile, "early_auth_check": true}, nil)
		if len(got) != 1 || !strings.Contains(got[0].Detail, "[hidden] end") || !strings.Contains(got[0].Detail, strings.Fields(said)[0]) {
			t.Fatalf("got %+v", got)
		}
		if strings.Contains(got[0].Detail, secret[5:15]) {
			t.Error("the message shows the key")
		}
	}
}
