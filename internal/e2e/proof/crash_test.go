//go:build linux

package proof_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/terraform"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// victim is who gets killed.
type victim string

const (
	theProvider victim = "provider"
	theCLI      victim = "CLI"
)

// assassin kills one process of a run at one of its API requests.
type assassin struct {
	victim victim
	// at counts the requests of the run, from 1; 0 spares everybody.
	at int
	// after kills once GitLab has carried a request out, and before anybody hears of
	// it; only requests that change something count then. Otherwise GitLab never sees
	// the request.
	after bool

	mu   sync.Mutex
	run  string
	cli  int
	seen int
	hit  string
	// orphans are the providers of killed CLIs. They live on beside the next runs, and
	// may still be at work.
	orphans []orphan
}

type orphan struct {
	pid   int
	since time.Time
}

// orphansWork is longer than an orphan is at work: it looks into a POST that got no
// answer three times, three seconds apart.
const orphansWork = 12 * time.Second

// attend makes the assassin see the lab's requests.
func (a *assassin) attend(l *lab) {
	l.gitlab.OnRequest(func(r gitlabtest.Request) {
		if a.strikes(r, false) {
			panic(http.ErrAbortHandler)
		}
	})
	l.gitlab.OnAnswer(func(r gitlabtest.Request) { a.strikes(r, true) })
}

// arm starts a new round: what start starts, under the run's name, is the next to
// die, at that request.
func (a *assassin) arm(run string, at int, after bool, start func() int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.buryOrphans(orphansWork)
	a.run, a.at, a.after, a.seen, a.hit = run, at, after, 0, ""
	a.cli = start()
}

// awaitOrphans lets orphans end their work.
func (a *assassin) awaitOrphans() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.orphans); n > 0 {
		time.Sleep(time.Until(a.orphans[n-1].since.Add(orphansWork)))
	}
	a.buryOrphans(0)
}

// buryOrphans ends what CLIs left behind that were killed so long ago.
func (a *assassin) buryOrphans(ago time.Duration) {
	a.orphans = slices.DeleteFunc(a.orphans, func(o orphan) bool {
		old := time.Since(o.since) >= ago
		if old {
			_ = syscall.Kill(o.pid, syscall.SIGKILL)
		}
		return old
	})
}

// strikes kills if its time has come. Requests of pullers and of orphans are none of
// the run's.
func (a *assassin) strikes(r gitlabtest.Request, after bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at == 0 || r.Header.Get(runHeader) != a.run || a.hit != "" || after != a.after || after && r.Method == http.MethodGet {
		return false
	}
	if a.seen++; a.seen != a.at {
		return false
	}
	a.hit = r.String()
	if a.victim == theCLI {
		for _, pid := range processes(func(parent int, _ string) bool { return parent == a.cli }) {
			a.orphans = append(a.orphans, orphan{pid, time.Now()})
		}
		_ = syscall.Kill(a.cli, syscall.SIGKILL)
		return true
	}
	for _, pid := range processes(func(parent int, exe string) bool { return parent == a.cli && isOurs(exe) }) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return true
}

// killed is what came of the round.
func (a *assassin) killed() (hit string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = 0
	return a.hit
}

func isOurs(exe string) bool {
	name := filepath.Base(exe)
	return name == "terraform-provider-autodevops" || name == "provider-on-a-clock"
}

// processes lists the processes of a kind, by their parent and their program.
func processes(which func(parent int, exe string) bool) []int {
	var found []int
	paths, _ := filepath.Glob("/proc/[0-9]*")
	for _, path := range paths {
		exe, err := os.Readlink(filepath.Join(path, "exe"))
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(path, "stat"))
		if err != nil {
			continue
		}
		// The name, in parentheses, may hold anything; the state and the parent follow it.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		parent, _ := strconv.Atoi(fields[1])
		if pid, err := strconv.Atoi(filepath.Base(path)); err == nil && which(parent, exe) {
			found = append(found, pid)
		}
	}
	return found
}

// assault runs the CLI command once for each of its API requests, with the victim
// killed there, and the same command again after each. before prepares each run,
// check looks at what the second run has left.
func (s *stack) assault(a *assassin, command []string, before, check func()) (kills int) {
	s.Helper()
	command = append(command, "-auto-approve", "-input=false", "-no-color")
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			before()
			var run *terraform.Running
			name := fmt.Sprint(time.Now().UnixNano())
			a.arm(name, at, after, func() int {
				var err error
				run, err = s.cli.Start(s.ctx, append(slices.Clone(command), "-var=run="+name)...)
				s.must(err)
				return run.PID()
			})
			_, err := run.Wait()
			hit := a.killed()
			if hit == "" {
				s.must(err)
				check()
				break // the run has fewer requests
			}
			kills++
			if err == nil {
				s.Errorf("%s killed at %s, request %d of %v: the run does not notice", a.victim, hit, at, command)
			}
			// Whoever is killed comes back, and does the same again.
			if out, err := s.cli.Run(s.ctx, command...); err != nil {
				s.Fatalf("%s killed at %s, request %d: the next %s fails: %v\n%s", a.victim, hit, at, command[0], err, out)
			}
			check()
		}
	}
	a.awaitOrphans()
	check()
	return kills
}

// TestKilled: provider or CLI die at each API request of an apply. The next apply
// converges, no pull fails, and no live token is unaccounted for.
func TestKilled(t *testing.T) {
	for _, who := range []victim{theProvider, theCLI} {
		t.Run(string(who), func(t *testing.T) {
			t.Parallel()
			l := newClockedLab(t)
			shop := l.newApp("acme/shop")
			s := l.newStack()
			s.access(shop)
			s.init()
			order := l.guard(shop)
			killer := &assassin{victim: who}
			killer.attend(l)
			t.Cleanup(func() { killer.buryOrphans(0) })

			kills := map[string]int{}
			round := 0
			trigger := func() {
				round++
				s.access(shop, fmt.Sprintf(`rotate_when_changed = { round = "%d" }`, round))
			}
			accounted := func() { s.accountedFor(shop) }

			order.setNeeded(false)
			// Before it has a state that knows its username, a killed run leaves tokens that
			// the next plans name as unmanaged: an operator reads that and revokes them.
			named := func() {
				s.accountedFor(shop)
				for _, id := range s.inState().Unmanaged {
					s.gitlab.DeleteDeployToken(id)
				}
			}
			// nothing takes everything back to the beginning, faster than a destroy.
			nothing := func() {
				for _, token := range s.gitlab.Tokens(shop.Project) {
					s.gitlab.DeleteDeployToken(token.ID)
				}
				_ = house.cluster.Client.CoreV1().Secrets(l.namespace).Delete(l.ctx, secretName, metav1.DeleteOptions{})
				_ = os.Remove(s.stateFile())
			}
			kills["create"] = s.assault(killer, []string{"apply"}, nothing, named)
			kills["take over"] = s.assault(killer, []string{"apply"}, func() {
				nothing()
				id := l.gitlab.CreateDeployToken(shop.Project, "by hand", "somebody", time.Time{}, "read_registry").ID
				_, err := s.cli.Run(l.ctx, "import", "-input=false", "-no-color", "autodevops_registry_access.app", fmt.Sprintf("%d:%d", shop.ID, id))
				l.must(err)
			}, func() {
				s.apply() // the name has changed, and the state learns of such tokens at a refresh
				named()
			})
			order.setNeeded(true)
			load := l.pullAll(shop, secretName)
			kills["rotate"] = s.assault(killer, []string{"apply"}, trigger, accounted)
			l.passDays(7)
			s.apply()
			kills["revoke"] = s.assault(killer, []string{"apply"}, func() {
				trigger()
				s.apply()
				l.passDays(7)
			}, func() {
				s.accountedFor(shop)
				if retired := s.inState().Retired; len(retired) != 0 {
					s.Errorf("%d tokens are still to be revoked", len(retired))
				}
			})
			load.expectNoFailure()
			order.setNeeded(false)
			kills["destroy"] = s.assault(killer, []string{"destroy"}, func() { s.apply() }, func() {
				if live := s.gitlab.ActiveTokens(shop.Project); len(live) != 0 {
					s.Errorf("%d tokens live on after the destroy", len(live))
				}
			})
			order.expectOrder()
			t.Logf("the %s killed at every request: %v", who, kills)
		})
	}
}

// accountedFor checks that every live token of the app's project is in the state:
// current, retired, or named as unmanaged. The state may learn of a token only by
// the next apply, if a process that nobody heard any more has made it.
func (s *stack) accountedFor(a app) {
	s.Helper()
	known := s.inState().tokens()
	for _, token := range s.gitlab.ActiveTokens(a.Project) {
		if !slices.Contains(known, token.ID) {
			s.Errorf("token %d %q lives, and the state does not know it", token.ID, token.Name)
		}
	}
}

// accessInState is what the state says of the access.
type accessInState struct {
	TokenID   int64   `json:"token_id"`
	Unmanaged []int64 `json:"unmanaged_token_ids"`
	Retired   []struct {
		TokenID int64 `json:"token_id"`
	} `json:"retired_tokens"`
}

func (s *stack) stateFile() string { return filepath.Join(s.cli.Dir, "terraform.tfstate") }

// inState reads the only access of the state; an empty one if there is none.
func (s *stack) inState() accessInState {
	s.Helper()
	text, err := os.ReadFile(s.stateFile())
	s.must(err)
	var state struct {
		Resources []struct {
			Type      string
			Instances []struct{ Attributes json.RawMessage }
		}
	}
	s.must(json.Unmarshal(text, &state))
	var found accessInState
	for _, r := range state.Resources {
		if r.Type == "autodevops_registry_access" {
			s.must(json.Unmarshal(r.Instances[0].Attributes, &found))
		}
	}
	return found
}

// tokens lists every token that the state knows.
func (a accessInState) tokens() []int64 {
	ids := append([]int64{a.TokenID}, a.Unmanaged...)
	for _, retired := range a.Retired {
		ids = append(ids, retired.TokenID)
	}
	return ids
}
