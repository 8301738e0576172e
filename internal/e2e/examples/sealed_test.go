package examples_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"filippo.io/age"
)

// TestSealed applies the examples of the guide: no secret is in the state, a plan without
// the identity works, and credentials that are withdrawn reach the consumer.
func TestSealed(t *testing.T) {
	t.Parallel()
	for file, consumer := range map[string]string{
		"ephemeral-resource.tf":       "kubernetes_secret_v1.registry",
		"ephemeral-resource_vault.tf": "vault_kv_secret_v2.registry",
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			identity, err := age.GenerateX25519Identity()
			if err != nil {
				t.Fatal(err)
			}
			w, env := newWorld(t)
			reviewer := installed(t, env...)
			pipeline := installed(t, append(env, "AUTODEVOPS_SEAL_IDENTITY="+identity.String())...)
			pipeline.Dir = reviewer.Dir
			text := w.written(textOf(t, "ephemeral-resources/autodevops_registry_credentials/"+file))
			write(t, reviewer, strings.Replace(text, regexp.MustCompile(`age1[a-z0-9]+`).FindString(text), identity.Recipient().String(), 1))
			run(t, reviewer, "init", "-input=false")

			run(t, pipeline, "apply", "-auto-approve", "-input=false")
			plan := squeezed(run(t, reviewer, "plan", "-no-color", "-input=false"))
			for _, says := range []string{"No changes.", "Sealed credentials are not opened without an identity"} {
				if !strings.Contains(plan, says) {
					t.Errorf("a plan without the identity does not say %q:\n%s", says, plan)
				}
			}
			w.SetVisibility(w.shop, "public")
			run(t, reviewer, "plan", "-out=plan.bin", "-input=false")
			if applied := squeezed(run(t, pipeline, "apply", "-no-color", "-input=false", "plan.bin")); !strings.Contains(applied, consumer+": Modifying") {
				t.Errorf("the consumer keeps what is withdrawn:\n%s", applied)
			}
			for _, name := range []string{"terraform.tfstate", "terraform.tfstate.backup"} {
				state, err := os.ReadFile(filepath.Join(reviewer.Dir, name))
				if err != nil {
					t.Fatal(err)
				}
				for _, secret := range append(w.Secrets(), identity.String()) {
					if strings.Contains(string(state), secret) {
						t.Errorf("a secret is in %s", name)
					}
				}
			}
		})
	}
}
