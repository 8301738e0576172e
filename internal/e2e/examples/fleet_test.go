package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/terraform"
)

// fleet calls the module as its README does: from a Git repository.
func fleet(t *testing.T, cli *terraform.CLI, repository, arguments string) {
	t.Helper()
	write(t, cli, sources+`
module "registry_access" {
  source = "git::file://`+repository+`//examples/modules/fleet?ref=v0.1.0"
`+arguments+`
}
output "registry_access" {
  value = { for key, access in module.registry_access.registry_access : key => access.generation }
}
resource "gitlab_project" "site" {
  name = "site"
}
`)
}

// repositoryOf is a Git repository with the examples and a tag.
func repositoryOf(t *testing.T) string {
	t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip(err)
	}
	repository := t.TempDir()
	if err := os.CopyFS(filepath.Join(repository, "examples"), os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"commit", "-q", "-m", "examples"}, {"tag", "v0.1.0"}} {
		cmd := exec.CommandContext(t.Context(), git, append([]string{"-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"}, args...)...)
		cmd.Dir = repository
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	return repository
}

// TestFleet: what is given for one project reaches that project alone, a rotation writes
// the Secrets that have the token, and a misspelled argument is an error.
func TestFleet(t *testing.T) {
	t.Parallel()
	w, env := newWorld(t)
	cli := installed(t, env...)
	repository := repositoryOf(t)

	// The visibility of one project is not known yet.
	fleet(t, cli, repository, `
  write_only = false
  projects = {
    "acme/shop"    = { namespaces = ["shop", "shared"] }
    "acme/worker"  = { namespaces = ["shared"] }
    "acme/billing" = { namespaces = ["billing"], visibility = gitlab_project.site.visibility_level }
  }`)
	run(t, cli, "init", "-input=false")
	run(t, cli, "plan", "-input=false")

	projects := func(shop string) string {
		return `
  write_only = true
  projects = {
    "acme/shop"    = { namespaces = ["shop", "shared"]` + shop + ` }
    "acme/worker"  = { namespaces = ["shared"] }
    "acme/billing" = { namespaces = ["billing"] }
  }`
	}
	fleet(t, cli, repository, projects(""))
	run(t, cli, "apply", "-auto-approve", "-input=false")
	if plan := run(t, cli, "plan", "-input=false", "-no-color"); !strings.Contains(plan, "No changes.") {
		t.Errorf("the plan is not empty:\n%s", plan)
	}
	fleet(t, cli, repository, projects(`, rotate_when_changed = { incident = "2026-03" }`))
	out := run(t, cli, "apply", "-auto-approve", "-input=false", "-no-color")
	for _, want := range []string{"Rotation of token", `kubernetes_secret_v1.this["shop"]: Modifications complete`, `kubernetes_secret_v1.this["shared"]: Modifications complete`, "0 added, 3 changed, 0 destroyed"} {
		if !strings.Contains(out, want) {
			t.Errorf("the apply does not say %q:\n%s", want, out)
		}
	}
	if tokens := w.ActiveTokens(w.shop); len(tokens) != 2 {
		t.Errorf("%d tokens are active", len(tokens))
	}

	out = run(t, cli, "apply", "-auto-approve", "-input=false", "-no-color", `-replace=module.registry_access.autodevops_registry_access.this["acme/shop"]`)
	inOrder(t, out, "+/- resource", `kubernetes_secret_v1.this["shared"]: Modifications complete`, "(deposed object", "Destruction complete")
	if tokens := w.ActiveTokens(w.shop); len(tokens) != 1 {
		t.Errorf("%d tokens are active after the replacement", len(tokens))
	}

	fleet(t, cli, repository, projects(`, rotaton = { expiration_days = 90 }`))
	if _, err := cli.Run(t.Context(), "plan", "-input=false"); err == nil || !strings.Contains(squeezed(err.Error()), "Unknown argument: rotaton.") {
		t.Errorf("the misspelled argument: %v", err)
	}
}
