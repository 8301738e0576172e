package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/terraform"
)

const leakedGuide = "../templates/guides/token-leaked.md"

// snippet is the shell block of a guide that contains the text.
func snippet(t *testing.T, guide, contains string) string {
	t.Helper()
	return snippetOf(t, guide, "sh", contains)
}

func snippetOf(t *testing.T, guide, language, contains string) string {
	t.Helper()
	blocks := strings.Split(textOf(t, guide), "```"+language+"\n")
	for _, block := range blocks[1:] {
		block, _, _ = strings.Cut(block, "```")
		if strings.Contains(block, contains) {
			return block
		}
	}
	t.Fatalf("%s has no block with %q", guide, contains)
	return ""
}

// shell runs commands of a guide where the CLI works, and knows it as terraform.
func shell(t *testing.T, cli *terraform.CLI, env []string, script string) (string, error) {
	t.Helper()
	for _, program := range []string{"sh", "curl", "jq", "xargs"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	bin := t.TempDir()
	if err := os.Symlink(house.cli, filepath.Join(bin, "terraform")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", script)
	cmd.Dir = cli.Dir
	cmd.Env = append(os.Environ(), append(env, "PATH="+bin+":"+os.Getenv("PATH"), "TF_CLI_CONFIG_FILE="+house.configFile,
		"CHECKPOINT_DISABLE=1", "TF_INPUT=0", "TF_CLI_ARGS_apply=-auto-approve")...)
	out, err := cmd.CombinedOutput()
	return colour.ReplaceAllString(string(out), ""), err
}

// TestLeaked_oneToken follows the guide: the leaked token works before and not after,
// the new one works, the Secret comes before the revocation, and nothing is printed.
func TestLeaked_oneToken(t *testing.T) {
	t.Parallel()
	w, env := newWorld(t)
	cli := installed(t, env...)
	write(t, cli, sources+textOf(t, resources+"resource.tf"))
	run(t, cli, "init", "-input=false")
	run(t, cli, "apply", "-auto-approve", "-input=false")
	leaked := w.ActiveTokens(w.shop)[0]

	before := strings.Replace(snippet(t, leakedGuide, "LEAKED=$(credentials)"), "https://gitlab.example.com", w.URL, 1)
	after := snippet(t, leakedGuide, `login "$(credentials)"`)
	out, err := shell(t, cli, env, before+"\nterraform apply -replace=\"$ADDRESS\" -no-color\n"+after)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if first, last := lines[0], strings.Join(lines[len(lines)-2:], " "); first != "200" || last != "401 200" {
		t.Errorf("the logins answer %s before, and %s after:\n%s", first, last, out)
	}
	inOrder(t, out, "+/- resource", "autodevops_registry_access.shop: Creation complete",
		"kubernetes_secret_v1.registry: Modifications complete", "(deposed object", "Destruction complete")
	if live := w.ActiveTokens(w.shop); len(live) != 1 || live[0].ID == leaked.ID {
		t.Errorf("active are %d tokens", len(live))
	}
	for _, secret := range w.Secrets() {
		if strings.Contains(out, secret) {
			t.Error("the commands print a secret")
		}
	}
}

// TestLeaked_secretNotWritten: as long as the Secret has the old credentials, they work.
func TestLeaked_secretNotWritten(t *testing.T) {
	t.Parallel()
	w, env := newWorld(t)
	cli := installed(t, env...)
	config := sources + textOf(t, resources+"resource.tf")
	write(t, cli, config)
	run(t, cli, "init", "-input=false")
	run(t, cli, "apply", "-auto-approve", "-input=false")
	leaked := w.ActiveTokens(w.shop)[0]

	// The new credentials do not reach the Secret.
	write(t, cli, strings.Replace(config, `  type = "kubernetes.io/dockerconfigjson"`, `  type = "kubernetes.io/dockerconfigjson"
  lifecycle {
    precondition {
      condition     = autodevops_registry_access.shop.token_id == 0
      error_message = "The cluster does not answer."
    }
  }`, 1))
	if _, err := cli.Run(t.Context(), "apply", "-auto-approve", "-input=false", "-replace=autodevops_registry_access.shop"); err == nil ||
		!strings.Contains(err.Error(), "The cluster does not answer.") {
		t.Fatalf("the apply ends with %v", err)
	}
	if live := w.ActiveTokens(w.shop); len(live) != 2 || !w.CanPull(w.shop, leaked.Username, leaked.Secret) {
		t.Errorf("active are %d tokens", len(live))
	}
	write(t, cli, config)
	inOrder(t, run(t, cli, "apply", "-auto-approve", "-input=false", "-no-color"),
		"kubernetes_secret_v1.registry: Modifications complete", "(deposed object", "Destruction complete")
	if live := w.ActiveTokens(w.shop); len(live) != 1 || w.CanPull(w.shop, leaked.Username, leaked.Secret) {
		t.Errorf("active are %d tokens", len(live))
	}
}

// TestLeaked_state replaces every token of a state with the guide's commands.
func TestLeaked_state(t *testing.T) {
	t.Parallel()
	w, env := newWorld(t)
	cli := installed(t, env...)
	write(t, cli, sources+`
data "autodevops_registry_access" "shop" {
  project = "acme/shop"
}
resource "autodevops_registry_access" "this" {
  for_each = toset(["acme/shop", "acme/worker"])
  project  = each.key
  lifecycle {
    create_before_destroy = true
  }
}
`)
	run(t, cli, "init", "-input=false")
	run(t, cli, "apply", "-auto-approve", "-input=false")
	leaked := w.Secrets()
	out, err := shell(t, cli, env, snippet(t, leakedGuide, "xargs -0 terraform plan"))
	if err != nil || !strings.Contains(out, "2 added, 0 changed, 2 destroyed") {
		t.Fatalf("%v\n%s", err, out)
	}
	if live := w.ActiveTokens(w.shop); len(live) != 1 || strings.Contains(strings.Join(leaked, " "), live[0].Secret) {
		t.Errorf("active are %d tokens", len(live))
	}
	if _, err := os.Stat(filepath.Join(cli.Dir, "leaked.plan")); !os.IsNotExist(err) {
		t.Errorf("the plan is left: %v", err)
	}
}

// inOrder expects the texts one after the other.
func inOrder(t *testing.T, text string, want ...string) {
	t.Helper()
	rest := text
	for _, one := range want {
		_, after, found := strings.Cut(rest, one)
		if !found {
			t.Errorf("%q is not where it should be in\n%s", one, text)
			return
		}
		rest = after
	}
}
