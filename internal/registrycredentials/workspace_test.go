package registrycredentials_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// workspace runs the built provider under a real CLI, everything logged.
type workspace struct {
	*testing.T

	dir, cli string
	// said is all that was printed and logged.
	said bytes.Buffer
}

// newWorkspace skips without a CLI that knows ephemeral resources, unless the environment
// says that there must be one.
func newWorkspace(t *testing.T) *workspace {
	t.Helper()
	w := &workspace{T: t, dir: t.TempDir(), cli: os.Getenv("TF_ACC_TERRAFORM_PATH")}
	if w.cli == "" {
		w.cli = "terraform"
	}
	version, err := exec.CommandContext(t.Context(), w.cli, "version").Output()
	knows := regexp.MustCompile(`(?m)^(Terraform|OpenTofu) v1\.(1[1-9]|[2-9]\d)\.`).Match(version)
	switch required := os.Getenv("AUTODEVOPS_REQUIRE_CLI") != ""; {
	case err != nil && required:
		t.Fatalf("no CLI: %v", err)
	case err != nil:
		t.Skip("no Terraform CLI: set TF_ACC_TERRAFORM_PATH or put terraform on PATH")
	case !knows:
		t.Skipf("this CLI is older than 1.11: %s", version)
	}
	bin := filepath.Join(w.dir, "bin")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(bin, "terraform-provider-autodevops"), "../..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
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

// read returns a file of the workspace; empty if there is none.
func (w *workspace) read(name string) string {
	w.Helper()
	content, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil && !os.IsNotExist(err) {
		w.Fatal(err)
	}
	return string(content)
}

// result is what a command came to. log is what TF_LOG=TRACE has logged to a file.
type result struct {
	code        int
	stdout, log string
	// printed is what a person sees, without colours and frames, in one line.
	printed string
}

// run runs the CLI with additional environment variables.
func (w *workspace) run(environment []string, args ...string) result {
	w.Helper()
	logFile := filepath.Join(w.dir, "trace.log")
	_ = os.Remove(logFile)
	cmd := exec.CommandContext(w.Context(), w.cli, args...)
	cmd.Dir = w.dir
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); !strings.HasPrefix(name, "TF_") && !strings.HasPrefix(name, "CI_") && !strings.HasPrefix(name, "AUTODEVOPS_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, "TF_LOG=TRACE", "TF_LOG_PATH="+logFile, "TF_CLI_CONFIG_FILE="+filepath.Join(w.dir, "cli.tfrc"), "CHECKPOINT_DISABLE=1",
		"TF_IN_AUTOMATION=1", "GITLAB_TOKEN=glpat-0123456789abcdefghij", "GITLAB_BASE_URL=https://gitlab.example.com")
	cmd.Env = append(cmd.Env, environment...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run()
	r := result{code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), log: w.read("trace.log")}
	plain := regexp.MustCompile("\x1b\\[[0-9;]*m|[│╷╵]").ReplaceAllString(r.stdout+stderr.String(), " ")
	r.printed = strings.Join(strings.Fields(plain), " ")
	w.said.WriteString(r.stdout + stderr.String() + r.log)
	return r
}

// must wants an exit code.
func (w *workspace) must(code int, r result, says ...string) {
	w.Helper()
	if r.code != code {
		w.Fatalf("exit code %d, want %d: %s", r.code, code, r.printed)
	}
	for _, text := range says {
		if !strings.Contains(r.printed, text) {
			w.Errorf("the CLI does not say %q: %s", text, r.printed)
		}
	}
}

// holdsNo searches all that was printed, logged, planned and stored.
func (w *workspace) holdsNo(secrets ...string) {
	w.Helper()
	places := map[string]string{"what was printed and logged": w.said.String()}
	for _, pattern := range []string{"*.tfstate*", "*.bin", "crash*.log", ".terraform/*"} {
		files, err := filepath.Glob(filepath.Join(w.dir, pattern))
		if err != nil {
			w.Fatal(err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				continue // a folder
			}
			places[filepath.Base(file)] = string(content) + unzipped(w.T, file)
		}
	}
	if places["terraform.tfstate"] == "" || !strings.Contains(places["what was printed and logged"], "[TRACE]") {
		w.Fatal("there is no state or no log to search")
	}
	for place, text := range places {
		for _, secret := range secrets {
			for _, form := range formsOf(secret) {
				if i := strings.Index(text, form); i >= 0 {
					w.Errorf("a secret is in %s, after: %s", place, text[max(0, i-200):i])
				}
			}
		}
	}
}

// formsOf are the texts by which a secret can be found: itself, and what it looks like
// inside base64 at each of the three places where it can begin.
func formsOf(secret string) []string {
	forms := []string{secret}
	for offset := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", offset) + secret))
		forms = append(forms, encoded[4:len(encoded)-4])
	}
	return forms
}
