package examples_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

// identityCLI are the CLIs that import by identity.
var identityCLI = regexp.MustCompile(`v(1\.1[2-9]|1\.[2-9][0-9]|[2-9])\.`)

// TestGeneratedConfiguration: an import without a configuration of its own generates one,
// which the CLI accepts as it is, and which takes over what was imported.
func TestGeneratedConfiguration(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]string{
		"id":       `id = "acme/shop:%[2]d"`,
		"identity": `identity = { project_id = %[1]d, name = "pull-secret" }`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, env := newWorld(t)
			cli := installed(t, env...)
			version := run(t, cli, "version")
			if name == "identity" && !identityCLI.MatchString(version) {
				t.Skipf("it imports nothing by identity: %s", strings.TrimSpace(version))
			}
			old := w.CreateDeployToken(w.shop, "pull-secret", "somebody", time.Time{}, "read_registry")
			block := fmt.Sprintf("import {\n  to = autodevops_registry_access.shop\n  "+target+"\n%[3]s}\n", w.shop.ID, old.ID, "%s")
			generating := ""
			if strings.Contains(version, "Terraform v1.16.") {
				// Terraform 1.16 looks for the provider of such an import in the wrong place
				// (hashicorp/terraform#39144). Once there is a configuration, it refuses the argument.
				generating = "  provider = autodevops\n"
			}
			write(t, cli, sources+fmt.Sprintf(block, generating))
			run(t, cli, "init", "-input=false")
			plan := run(t, cli, "plan", "-input=false", "-no-color", "-generate-config-out=generated.tf")
			if !strings.Contains(plan, "1 to import") {
				t.Errorf("the plan imports nothing:\n%s", plan)
			}
			generated, err := os.ReadFile(filepath.Join(cli.Dir, "generated.tf"))
			if err != nil {
				t.Fatal(err)
			}
			if text := string(generated); !strings.Contains(text, `"pull-secret"`) || strings.Contains(text, old.Secret) {
				t.Errorf("generated:\n%s", text)
			}
			write(t, cli, sources+fmt.Sprintf(block, ""))
			run(t, cli, "apply", "-auto-approve", "-input=false")
			if plan := run(t, cli, "plan", "-input=false", "-no-color"); !strings.Contains(plan, "No changes.") {
				t.Errorf("not settled:\n%s", plan)
			}
			tokens := w.ActiveTokens(w.shop)
			if len(tokens) != 2 || tokens[1].Name == access.DefaultName || !w.CanPull(w.shop, "somebody", old.Secret) {
				t.Errorf("%d active tokens after the take-over, or the old one has ended", len(tokens))
			}
		})
	}
}
