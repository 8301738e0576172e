package examples_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestStory: what the provider logs at DEBUG tells of each decision what was found,
// what follows and what is done, in one line, and no secret.
func TestStory(t *testing.T) {
	t.Parallel()
	w, env := newWorld(t)
	log := filepath.Join(t.TempDir(), "log")
	cli := installed(t, append(env, "TF_LOG_PROVIDER=DEBUG", "TF_LOG_PATH="+log)...)
	write(t, cli, shopAccess)
	run(t, cli, "init", "-input=false")
	run(t, cli, "apply", "-auto-approve", "-input=false")
	off := false
	w.SaveAutoDevOps(w.shop, &off)
	run(t, cli, "plan", "-input=false")

	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var story []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "registry access: ") {
			story = append(story, line)
		}
	}
	for i, want := range [][]string{
		{"plan of a creation", "project=acme/shop", "visibility=private", "auto_devops=true", "required=true", "reason=auto_devops_private", "action=mint"},
		{"plan of a creation"}, // a CLI plans again before it applies
		{"access: creation", "action=mint"},
		{"plan", "auto_devops=false", "required=false", "reason=auto_devops_disabled", "action=start_wind_down", "Winding down"},
	} {
		if len(story) <= i {
			t.Fatalf("the story has %d lines:\n%s", len(story), strings.Join(story, ""))
		}
		for _, word := range want {
			if !strings.Contains(story[i], word) {
				t.Errorf("line %d does not say %q: %s", i+1, word, story[i])
			}
		}
	}
	if len(story) != 4 {
		t.Errorf("the story has %d lines:\n%s", len(story), strings.Join(story, ""))
	}
	for _, secret := range append(w.Secrets(), strings.TrimPrefix(env[1], "GITLAB_TOKEN=")) {
		if strings.Contains(string(text), secret) {
			t.Error("the log holds a secret")
		}
	}
}

// TestDebug: a CLI attaches to a provider that was started with -debug, and that
// provider lives on.
func TestDebug(t *testing.T) {
	t.Parallel()
	w, env := newWorld(t)
	served := exec.CommandContext(t.Context(), house.provider, "-debug")
	served.Env = append(os.Environ(), env...)
	stdout, err := served.StdoutPipe()
	if err == nil {
		err = served.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = served.Process.Kill(); _ = served.Wait() })
	attach := ""
	for lines := bufio.NewScanner(stdout); attach == "" && lines.Scan(); {
		if _, value, found := strings.Cut(lines.Text(), "TF_REATTACH_PROVIDERS='"); found {
			attach = strings.TrimSuffix(value, "'")
		}
	}
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	if isTofu(t) { // whose default host is another
		attach = strings.ReplaceAll(attach, "registry.terraform.io", "registry.opentofu.org")
	}
	// Only the attached provider knows the token.
	cli := installed(t, "TF_REATTACH_PROVIDERS="+attach)
	write(t, cli, shopAccess)
	run(t, cli, "init", "-input=false")
	for range 2 {
		run(t, cli, "plan", "-input=false")
	}
	if n := w.CountRequests("GET /projects/:id"); n != 2 {
		t.Errorf("the attached provider made %d requests in two plans", n)
	}
}
