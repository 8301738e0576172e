//go:build linux

package proof_test

import (
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/cluster"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// puller pulls an image over and over, with whatever the Secrets hold.
type puller struct {
	lab  *lab
	stop func() pulls
}

// pulls is what came of it.
type pulls struct {
	n      int
	failed []time.Time
	first  error
	// lastGood and longest follow the time that passes without a good pull.
	lastGood time.Time
	longest  time.Duration
}

func (p pulls) String() string {
	return fmt.Sprintf("%d pulls, %d failed, at most %s without a good one", p.n, len(p.failed), p.longest.Round(time.Millisecond))
}

func (p *pulls) count(err error) {
	now := time.Now()
	p.n++
	if p.lastGood.IsZero() {
		p.lastGood = now
	}
	p.longest = max(p.longest, now.Sub(p.lastGood))
	if err == nil {
		p.lastGood = now
		return
	}
	p.failed = append(p.failed, now)
	if p.first == nil {
		p.first = err
	}
}

// pullEvery is the pause between two pulls of a puller.
const pullEvery = 50 * time.Millisecond

// pullAll starts pulling the app's image with these Secrets, in this order.
func (l *lab) pullAll(a app, secrets ...string) *puller {
	p := &puller{lab: l}
	var result pulls
	ended, end := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			err := l.pullAsKubelet(a, secrets...)
			if l.ctx.Err() != nil {
				return
			}
			result.count(err)
			select {
			case <-end:
				return
			case <-time.After(pullEvery):
			}
		}
	}()
	p.stop = sync.OnceValue(func() pulls {
		close(end)
		<-ended
		return result
	})
	l.Cleanup(func() { p.stop() })
	return p
}

// expectNoFailure stops the puller, none of whose pulls may have failed.
func (p *puller) expectNoFailure() {
	p.lab.Helper()
	result := p.stop()
	p.lab.Logf("under load: %s", result)
	if len(result.failed) > 0 {
		p.lab.Errorf("%s, the first with: %v", result, result.first)
	}
	if result.n == 0 {
		p.lab.Error("nothing was pulled")
	}
}

// guard checks the order of death: at every instant, the token in the Secret is
// accepted by the registry, and so is each that it has replaced until its overlap
// is over; or the Secret is empty and anonymous pulls work; or the app needs no
// pulls. It looks after each answer of GitLab, before the client hears of it, and
// at each version of the Secret.
type guard struct {
	lab *lab
	app app

	mu         sync.Mutex
	notNeeded  bool
	published  bool
	held       []holding
	looks      int
	violations []string
}

// holding is a credential that somebody in the cluster may still hold.
type holding struct {
	cluster.Credentials

	// until is the end of its overlap; zero while it is published.
	until time.Time
}

// overlap of the accesses that are guarded: seven days, if nothing else is configured.
const overlap = 7 * 24 * time.Hour

func (l *lab) guard(a app) *guard {
	l.Helper()
	g := &guard{lab: l, app: a}
	// Whatever ends a test early, what was seen by then says more.
	l.Cleanup(func() {
		if seen := g.seen(); l.Failed() && len(seen) > 0 {
			l.Logf("the guard saw %d violations, the first %s", len(seen), seen[0])
		}
	})
	l.gitlab.OnAnswer(func(r gitlabtest.Request) {
		if l.ctx.Err() == nil {
			g.look(l.secret(secretName), "after "+r.String())
		}
	})
	versions, err := house.cluster.Client.CoreV1().Secrets(l.namespace).Watch(l.ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + secretName})
	l.must(err)
	go func() {
		for version := range versions.ResultChan() {
			if version.Type == watch.Deleted {
				g.look(corev1.Secret{}, "as the Secret was deleted")
			} else if secret, ok := version.Object.(*corev1.Secret); ok {
				g.look(*secret, fmt.Sprintf("as the Secret was %s", version.Type))
			}
		}
		if l.ctx.Err() == nil {
			g.violate("the watch of the Secret has ended")
		}
	}()
	return g
}

// look checks a Secret; one without data is one that is not there.
func (g *guard) look(secret corev1.Secret, when string) {
	chosen, err := house.cluster.Choose(g.app.repository, secret)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.notNeeded || len(secret.Data) == 0 && !g.published {
		return
	}
	g.looks++
	pulls := func(c cluster.Credentials) bool { return g.lab.gitlab.CanPull(g.app.Project, c.Username, c.Password) }
	switch {
	case err != nil:
		g.violations = append(g.violations, fmt.Sprintf("%s: %v", when, err))
	case len(secret.Data) == 0:
		g.violations = append(g.violations, when+": the Secret is gone")
	case len(chosen) == 0 && !pulls(cluster.Credentials{}):
		g.violations = append(g.violations, when+": the Secret is empty, and anonymous pulls are refused")
	case len(chosen) > 0 && !pulls(chosen[0]):
		g.violations = append(g.violations, when+": the Secret holds a token that the registry refuses")
	}
	g.published = true
	g.remember(chosen)
	for _, h := range g.held {
		if (h.until.IsZero() || g.lab.gitlab.Clock.Now().Before(h.until)) && !pulls(h.Credentials) {
			g.violations = append(g.violations, when+": the registry refuses a token whose overlap is not over")
		}
	}
}

// remember notes what is published now, and what is not any more.
func (g *guard) remember(published []cluster.Credentials) {
	known := false
	for i := range g.held {
		h := &g.held[i]
		now := len(published) > 0 && h.Credentials == published[0]
		known = known || now
		if !now && h.until.IsZero() {
			h.until = g.lab.gitlab.Clock.Now().Add(overlap)
		}
	}
	if !known && len(published) > 0 {
		g.held = append(g.held, holding{Credentials: published[0]})
	}
}

// hold says that somebody holds these credentials, published elsewhere, from now
// until an overlap has passed.
func (g *guard) hold(c cluster.Credentials) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = append(g.held, holding{Credentials: c, until: g.lab.gitlab.Clock.Now().Add(overlap)})
}

func (g *guard) violate(what string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.violations = append(g.violations, what)
}

// setNeeded says whether from now on somebody pulls the app's image. What was held
// before is forgotten.
func (g *guard) setNeeded(needed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.notNeeded, g.published, g.held = !needed, false, nil
}

// seen is what was seen to be wrong.
func (g *guard) seen() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.violations)
}

// expectOrder reports what was seen.
func (g *guard) expectOrder() {
	g.lab.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lab.Logf("order of death: %d looks, %d violations", g.looks, len(g.violations))
	if len(g.violations) > 0 {
		g.lab.Errorf("the first of %d: %s", len(g.violations), g.violations[0])
	}
	if g.looks == 0 {
		g.lab.Error("nobody looked")
	}
}
