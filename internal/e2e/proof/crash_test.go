//go:build linux

package proof_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/cluster"
	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/terraform"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// victim is who gets killed.
type victim string

const (
	theProvider victim = "provider"
	theCLI      victim = "CLI"
)

// assassin kills one process of a run at one of its API requests, to GitLab or to
// Kubernetes.
type assassin struct {
	victim victim

	mu sync.Mutex
	// at counts the requests of the run, from 1; 0 spares everybody.
	at int
	// after kills once a request was carried out, and before anybody hears of it; only
	// those count then after which something is different. Otherwise the server never
	// sees the request.
	after bool
	run   string
	cli   *terraform.Running
	seen  int
	hit   string
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

// ofTheSecret names requests to Kubernetes, after their method.
const ofTheSecret = " of the Secret"

// attend makes the assassin see the lab's requests. It returns the URL of a proxy
// before the API server, through which the runs go.
func (a *assassin) attend(l *lab) (kubernetes string) {
	matters := func(r gitlabtest.Request) bool { return r.Method != http.MethodGet || r.Route == "/jwt/auth" }
	l.gitlab.OnRequest(func(r gitlabtest.Request) {
		if a.strikes(r.Header.Get(runHeader), r.String(), false) {
			panic(http.ErrAbortHandler)
		}
	})
	l.gitlab.OnAnswer(func(r gitlabtest.Request) {
		if matters(r) {
			a.strikes(r.Header.Get(runHeader), r.String(), true)
		}
	})

	target, err := url.Parse(house.cluster.URL)
	l.must(err)
	certificate, err := os.ReadFile(house.cluster.CAFile)
	l.must(err)
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(certificate)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}}
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The Kubernetes provider cannot say to which run it belongs. An orphan of it
		// does nothing more: its calls end with its CLI.
		run, change := a.current(), r.Method != http.MethodGet
		if change && a.strikes(run, r.Method+ofTheSecret, false) {
			panic(http.ErrAbortHandler)
		}
		r.Header.Set("Authorization", "Bearer "+house.cluster.AdminToken) // clients send none over plain HTTP
		proxy.ServeHTTP(w, r)
		if change {
			a.strikes(run, r.Method+ofTheSecret, true)
		}
	}))
	l.Cleanup(server.Close)
	return server.URL
}

func (a *assassin) current() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.run
}

// arm starts a new round: what start starts, under the run's name, is the next to
// die, at that request.
func (a *assassin) arm(run string, at int, after bool, start func() *terraform.Running) *terraform.Running {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.buryOrphans(orphansWork)
	a.run, a.at, a.after, a.seen, a.hit = run, at, after, 0, ""
	a.cli = start()
	return a.cli
}

// awaitOrphans lets orphans end their work.
func (a *assassin) awaitOrphans() {
	a.mu.Lock()
	var youngest time.Time
	for _, o := range a.orphans {
		youngest = o.since
	}
	a.mu.Unlock()
	if !youngest.IsZero() {
		time.Sleep(time.Until(youngest.Add(orphansWork)))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
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

// strikes kills if its time has come. Requests of pullers, of orphans and of other
// runs are none of its business.
func (a *assassin) strikes(run, request string, after bool) bool {
	if run == "" {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at == 0 || run != a.run || a.hit != "" || after != a.after {
		return false
	}
	if a.seen++; a.seen != a.at {
		return false
	}
	a.hit = request
	for _, child := range a.cli.Children() {
		switch {
		case a.victim == theCLI:
			a.orphans = append(a.orphans, orphan{child.PID, time.Now()})
		case child.Program == clockedProvider:
			_ = syscall.Kill(child.PID, syscall.SIGKILL)
		}
	}
	if a.victim == theCLI {
		a.cli.Kill()
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

// assault runs the CLI command once for each of its API requests, with the victim
// killed there, and the same command again after each. before prepares each run,
// check looks at what the second run has left.
func (s *stack) assault(a *assassin, command []string, before, check func()) (hits map[string]int) {
	s.Helper()
	hits = map[string]int{}
	command = append(command, "-auto-approve", "-input=false", "-no-color")
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			before()
			name := fmt.Sprint(time.Now().UnixNano())
			run := a.arm(name, at, after, func() *terraform.Running {
				run, err := s.cli.Start(s.ctx, append(slices.Clone(command), "-var=run="+name)...)
				s.must(err)
				return run
			})
			_, err := run.Wait()
			hit := a.killed()
			if hit == "" {
				s.must(err)
				check()
				break // the run has fewer requests
			}
			hits[hit]++
			// Our provider has done its part when the Secret is written.
			unconcerned := a.victim == theProvider && strings.HasSuffix(hit, ofTheSecret)
			if err == nil && !unconcerned {
				s.Errorf("%s killed at %s, request %d of %v: the run does not notice", a.victim, hit, at, command)
			}
			if a.victim == theCLI && after && hit == http.MethodPost+ofTheSecret {
				// The Kubernetes provider does not find what it has made and nobody saved.
				_, err := s.cli.Run(s.ctx, "import", "-input=false", "-no-color", "kubernetes_secret.registry", s.namespace+"/"+secretName)
				s.must(err)
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
	return hits
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
			killer := &assassin{victim: who}
			s.kubernetes = killer.attend(l)
			s.access(shop)
			s.init()
			order := l.guard(shop)
			t.Cleanup(func() { killer.buryOrphans(0) })

			round := 0
			trigger := func() {
				round++
				s.access(shop, fmt.Sprintf(`rotate_when_changed = { round = "%d" }`, round))
			}
			accounted := func() { s.accountedFor(shop) }

			order.setNeeded(false)
			// Before it has a state that knows its username, a killed run leaves tokens that
			// the next plans name as unmanaged: an operator reads that and revokes them. A
			// creation lists none of the provider's own, which its plan may be about to end.
			named := func() {
				s.apply() // the state learns of such tokens at a refresh
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
			creation := s.assault(killer, []string{"apply"}, nothing, named)
			takeOver := s.assault(killer, []string{"apply"}, func() {
				order.setNeeded(false)
				nothing()
				byHand := l.gitlab.CreateDeployToken(shop.Project, "by hand", "somebody", time.Time{}, "read_registry")
				order.setNeeded(true) // from now on, pods pull with that token
				order.hold(cluster.Credentials{Username: byHand.Username, Password: byHand.Secret})
				_, err := s.cli.Run(l.ctx, "import", "-input=false", "-no-color", "autodevops_registry_access.app", fmt.Sprintf("%d:%d", shop.ID, byHand.ID))
				l.must(err)
			}, named)
			order.setNeeded(true)
			load := l.pullAll(shop, secretName)
			rotation := s.assault(killer, []string{"apply"}, trigger, accounted)
			l.passDays(7)
			s.apply()
			revocation := s.assault(killer, []string{"apply"}, func() {
				for range 2 {
					trigger()
					s.apply()
				}
				l.passDays(7)
			}, func() {
				s.accountedFor(shop)
				// Tokens of killed rotations, which another copy of the state may have
				// published, end at their own expiry.
				for _, retired := range s.inState().Retired {
					if retired.RevokeAt != retired.ExpiresAt {
						s.Errorf("token %d is still to be revoked", retired.TokenID)
					}
				}
			})
			load.expectNoFailure()
			order.setNeeded(false)
			destruction := s.assault(killer, []string{"destroy"}, func() {
				s.apply()
				trigger()
				s.apply()
			}, func() {
				if live := s.gitlab.ActiveTokens(shop.Project); len(live) != 0 {
					s.Errorf("%d tokens live on after the destroy", len(live))
				}
			})
			order.expectOrder()

			// Everything that changes something was interrupted, before it and after it.
			const post, verify, remove = "POST /projects/:id/deploy_tokens", "GET /jwt/auth", "DELETE /projects/:id/deploy_tokens/:token_id"
			for name, c := range map[string]struct {
				hits map[string]int
				want map[string]int
			}{
				"create":    {creation, map[string]int{post: 2, verify: 2, "POST of the Secret": 2}},
				"take over": {takeOver, map[string]int{post: 2, verify: 2, "POST of the Secret": 2}},
				"rotate":    {rotation, map[string]int{post: 2, verify: 2, "PATCH of the Secret": 2}},
				"revoke":    {revocation, map[string]int{remove: 4}},
				"destroy":   {destruction, map[string]int{remove: 4, "DELETE of the Secret": 2}},
			} {
				t.Logf("%s, the %s killed at: %v", name, who, c.hits)
				for request, times := range c.want {
					if c.hits[request] < times {
						t.Errorf("%s: the %s was killed %d times at %s, want %d", name, who, c.hits[request], request, times)
					}
				}
			}
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
	Behind    []struct {
		Name  string `json:"name"`
		Holds string `json:"holds"`
	} `json:"environments_behind"`
	Retired []struct {
		TokenID   int64  `json:"token_id"`
		RevokeAt  string `json:"revoke_at"`
		ExpiresAt string `json:"expires_at"`
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
