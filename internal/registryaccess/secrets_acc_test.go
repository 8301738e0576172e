package registryaccess_test

import (
	"bytes"

	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// workspace runs the built provider under a real CLI, everything logged.
type workspace struct {
	*fixture

	dir, cli string
	// said is all that was printed and logged, and the plans outside of sensitive values.
	said bytes.Buffer
	// environment has more variables for the CLI.
	environment []string
}

func newWorkspace(s *fixture) *workspace {
	s.Helper()
	requireCLI(s.TB)
	w := &workspace{fixture: s, dir: s.TempDir(), cli: os.Getenv("TF_ACC_TERRAFORM_PATH")}
	if w.cli == "" {
		w.cli = "terraform"
	}
	bin := filepath.Join(w.dir, "bin")
	build := exec.CommandContext(s.Context(), "go", "build", "-o", filepath.Join(bin, "terraform-provider-autodevops"), "../..")
	if out, err := build.CombinedOutput(); err != nil {
		s.Fatalf("build: %v\n%s", err, out)
	}
	w.write("cli.tfrc", fmt.Sprintf("provider_installation {\n  dev_overrides {\n    \"autodevops/autodevops\" = %q\n  }\n  direct {}\n}\n", bin))
	return w
}

func (w *workspace) write(name, content string) {
	w.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o600); err != nil {
		w.Fatal(err)
	}
}

// command runs the CLI at TF_LOG=TRACE. Failures are part of the story.
func (w *workspace) command(args ...string) []byte {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), w.cli, args...)
	cmd.Dir = w.dir
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "TF_") && !strings.HasPrefix(variable, "CI_") && !strings.HasPrefix(variable, "GITLAB_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, "TF_LOG=TRACE", "TF_CLI_CONFIG_FILE="+filepath.Join(w.dir, "cli.tfrc"), "CHECKPOINT_DISABLE=1",
		"GITLAB_TOKEN="+w.token, "GITLAB_BASE_URL="+w.gitlab.URL)
	cmd.Env = append(cmd.Env, w.environment...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run()
	w.said.Write(stderr.Bytes())
	if args[0] != "show" || !strings.Contains(strings.Join(args, " "), "-json") {
		w.said.Write(stdout.Bytes())
	}
	return stdout.Bytes()
}

// apply plans, shows the plan in both forms and applies it.
func (w *workspace) apply(arguments string) {
	w.Helper()
	w.write("main.tf", `
terraform {
  required_providers {
    autodevops = { source = "autodevops/autodevops" }
  }
}
resource "autodevops_registry_access" "shop" {
  project = "acme/shop"
  `+arguments+`
}
output "config" {
  value     = autodevops_registry_access.shop.docker_config_json
  sensitive = true
}
resource "terraform_data" "secret" {
  input = nonsensitive(sha256(autodevops_registry_access.shop.docker_config_json))
}
`)
	w.command("plan", "-out=plan.bin")
	w.command("show", "plan.bin")
	w.said.WriteString(withoutSensitive(w.TB, w.command("show", "-json", "plan.bin")))
	w.command("apply", "-auto-approve", "plan.bin")
	w.command("show")
	w.command("output")
}

// withoutSensitive returns a plan's JSON without the values that it marks as sensitive.
func withoutSensitive(tb testing.TB, raw []byte) string {
	tb.Helper()
	if len(raw) == 0 {
		return ""
	}
	var document any
	if err := json.Unmarshal(raw, &document); err != nil {
		tb.Fatal(err)
	}
	encoded, err := json.Marshal(scrub(document))
	if err != nil {
		tb.Fatal(err)
	}
	return string(encoded)
}

// scrub follows the pairs of value and mark that plans and states are made of.
func scrub(node any) any {
	switch node := node.(type) {
	case []any:
		for i := range node {
			node[i] = scrub(node[i])
		}
	case map[string]any:
		for value, mark := range map[string]string{"before": "before_sensitive", "after": "after_sensitive", "values": "sensitive_values"} {
			if marks, marked := node[mark]; marked {
				node[value] = remove(node[value], marks)
			}
		}
		if node["sensitive"] == true {
			delete(node, "value")
		}
		for key := range node {
			node[key] = scrub(node[key])
		}
	}
	return node
}

func remove(value, marks any) any {
	switch marks := marks.(type) {
	case bool:
		if marks {
			return nil
		}
	case map[string]any:
		if object, ok := value.(map[string]any); ok {
			for key, mark := range marks {
				object[key] = remove(object[key], mark)
			}
		}
	case []any:
		if list, ok := value.([]any); ok {
			for i := range min(len(list), len(marks)) {
				list[i] = remove(list[i], marks[i])
			}
		}
	}
	return value
}

// TestAccSecrets_stayOutOfEverythingPrinted runs a whole life at TF_LOG=TRACE,
// failures included, and searches all that anybody could read for every secret
// that GitLab ever issued, and for the provider's own token.
func TestAccSecrets_stayOutOfEverythingPrinted(t *testing.T) {
	s := newFixture(t, gitlabtest.WithClock(gitlabtest.NewClock(time.Now())))
	w := newWorkspace(s)
	const fast = "rotation = { overlap_days = 0 }\n"

	w.apply("")
	w.apply(`rotate_when_changed = { round = "1" }`)
	w.apply(fast + `rotate_when_changed = { round = "2" }`)
	for _, secret := range s.gitlab.Secrets() { // a proxy that echoes what it got
		s.gitlab.Inject(gitlabtest.Fault{Match: "GET /jwt/auth", Times: 3, Status: 401, Body: secret})
	}
	w.apply(`rotate_when_changed = { round = "3" }`)
	s.gitlab.ClearFaults()
	s.gitlab.Inject(gitlabtest.Fault{Match: postToken, Status: 502, Body: s.token, When: gitlabtest.After})
	w.apply(`rotate_when_changed = { round = "4" }`)
	s.gitlab.Inject(gitlabtest.Fault{Match: deleteToken, Times: gitlabtest.Always, Status: 403, Body: s.token})
	w.apply(fast + `rotate_when_changed = { round = "5" }`)
	s.gitlab.ClearFaults()
	// In CI/CD variables, beside those of other people.
	const published = "ci_variables = {}\n"
	s.gitlab.SetVariable(s.project, gitlabtest.Variable{Key: "THEIR_PASSWORD", Value: "a-password-of-somebody-else"})
	w.apply(published)
	s.gitlab.Deploy(s.project, "production")
	s.gitlab.SetVariable(s.project, gitlabtest.Variable{Key: passwordKey, Value: "a-value-of-somebody-else", Masked: true})
	w.apply(published)
	for _, secret := range s.gitlab.Secrets() {
		s.gitlab.Inject(gitlabtest.Fault{Match: putVariable, Status: 502, Body: secret})
		s.gitlab.Inject(gitlabtest.Fault{Match: putVariable, Status: 400, Body: `{"message":"` + secret + `"}`})
	}
	w.apply(published + `rotate_when_changed = { round = "6" }`)
	s.gitlab.ClearFaults()
	w.apply(published + `rotate_when_changed = { round = "7" }`)
	w.apply("")
	s.gitlab.SetVariable(s.project, gitlabtest.Variable{Key: passwordKey, Value: "another-value-of-somebody-else", Scope: "production"})
	w.apply(published)
	s.gitlab.DeleteVariable(s.project, passwordKey, "production")
	s.gitlab.SetGroupAutoDevOps(s.group, gitlabtest.False)
	w.apply(published)
	s.gitlab.SetVisibility(s.project, "public")
	w.apply(published)
	w.command("destroy", "-auto-approve")

	if issued := len(s.gitlab.Secrets()); issued < 6 || len(s.gitlab.ActiveTokens(s.project)) != 0 {
		t.Fatalf("the life was not lived: %d secrets, %d left\n%s", issued, len(s.gitlab.ActiveTokens(s.project)), lastLines(w.said.String()))
	}
	text := w.said.String()
	if !strings.Contains(text, "[TRACE]") || !strings.Contains(text, "registry access: plan") {
		t.Fatal("nothing was logged")
	}
	for _, secret := range s.gitlab.Secrets() {
		for _, form := range formsOf(secret) {
			if i := strings.Index(text, form); i >= 0 {
				t.Errorf("a secret was printed after: %s", text[max(0, i-200):i])
			}
		}
	}
	t.Logf("searched %d bytes for %d secrets", len(text), len(s.gitlab.Secrets()))
}

// formsOf are the texts by which a secret can be found: itself, and what it looks
// like inside base64 at each of the three places where it can begin.
func formsOf(secret string) []string {
	forms := []string{secret}
	for offset := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", offset) + secret))
		forms = append(forms, encoded[4:len(encoded)-4])
	}
	return forms
}

func lastLines(text string) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}
