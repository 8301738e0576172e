package registryaccess_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// killProvider kills the provider's processes of this workspace, by process id.
func (w *workspace) killProvider() {
	processes, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return
	}
	for _, exe := range processes {
		target, err := os.Readlink(exe)
		if err != nil || !strings.HasPrefix(target, filepath.Join(w.dir, "bin")) {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(exe, "/")[2]); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// TestAccKilled: the provider process dies after GitLab has made the token and
// before it hears of it. The next plan names the token; nothing lives on unknown.
func TestAccKilled(t *testing.T) {
	if _, err := os.Stat("/proc/self/exe"); err != nil {
		t.Skip("needs /proc to find the provider's process")
	}
	s := newFixture(t, gitlabtest.WithClock(gitlabtest.NewClock(time.Now())))
	w := newWorkspace(s)
	kill := false
	s.gitlab.OnRequest(func(r gitlabtest.Request) {
		if kill && r.String() == "GET /jwt/auth" { // the POST has just been answered, and nothing saved
			w.killProvider()
		}
	})

	kill = true
	w.apply("")
	orphans := s.gitlab.ActiveTokens(s.project)
	if len(orphans) != 1 {
		t.Fatalf("%d tokens after the provider was killed\n%s", len(orphans), lastLines(w.said.String()))
	}
	kill = false
	w.said.Reset()
	w.apply("")
	if !containsAll(w.said.String(), "Other tokens of this provider in acme/shop", strconv.FormatInt(orphans[0].ID, 10)) {
		t.Error("the plan of the creation does not name the token that the killed one left")
	}

	kill = true
	w.apply(`rotate_when_changed = { round = "1" }`)
	kill = false
	tokens := s.gitlab.ActiveTokens(s.project)
	if len(tokens) != 3 {
		t.Fatalf("%d tokens after the second kill", len(tokens))
	}
	w.said.Reset()
	w.apply(`rotate_when_changed = { round = "1" }`)
	text := w.said.String()
	if !containsAll(text, "Tokens of an interrupted apply", fmt.Sprint(tokens[2].ID)) {
		t.Error("the plan does not name the token that the killed rotation left")
	}
	if live := s.gitlab.ActiveTokens(s.project); len(live) != 4 {
		t.Errorf("%d tokens live, want the orphan, the retired, the stray and the current one", len(live))
	}
	w.command("destroy", "-auto-approve")
	if live := s.gitlab.ActiveTokens(s.project); len(live) != 1 || live[0].ID != orphans[0].ID {
		t.Errorf("%d tokens live after the destroy, want the orphan of the creation alone", len(live))
	}
}
