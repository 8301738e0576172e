//go:build linux

package proof_test

import (
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
}

func (p pulls) String() string { return fmt.Sprintf("%d pulls, %d failed", p.n, len(p.failed)) }

// gap is the time from the first failed pull to the last.
func (p pulls) gap() time.Duration {
	if len(p.failed) == 0 {
		return 0
	}
	return p.failed[len(p.failed)-1].Sub(p.failed[0])
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
			result.n++
			if err != nil {
				result.failed = append(result.failed, time.Now())
				if result.first == nil {
					result.first = err
				}
			}
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
// accepted by the registry, or the Secret is empty and anonymous pulls work, or
// the app needs no pulls. It looks after each answer of GitLab, before the client
// hears of it, and at each version of the Secret.
type guard struct {
	lab *lab
	app app

	mu         sync.Mutex
	notNeeded  bool
	looks      int
	violations []string
}

func (l *lab) guard(a app) *guard {
	l.Helper()
	g := &guard{lab: l, app: a}
	l.gitlab.OnAnswer(func(r gitlabtest.Request) {
		if l.ctx.Err() == nil {
			g.look(l.secret(secretName), "after "+r.String())
		}
	})
	versions, err := house.cluster.Client.CoreV1().Secrets(l.namespace).Watch(l.ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + secretName})
	l.must(err)
	go func() {
		for version := range versions.ResultChan() {
			if secret, ok := version.Object.(*corev1.Secret); ok {
				g.look(*secret, fmt.Sprintf("as the Secret was %s", version.Type))
			}
		}
	}()
	return g
}

// look checks a Secret. One without data is one that is not there yet.
func (g *guard) look(secret corev1.Secret, when string) {
	if len(secret.Data) == 0 {
		return
	}
	chosen, err := house.cluster.Choose(g.app.repository, secret)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.looks++
	switch {
	case err != nil:
		g.violations = append(g.violations, fmt.Sprintf("%s: %v", when, err))
	case g.notNeeded:
	case len(chosen) == 0:
		if !g.lab.gitlab.CanPull(g.app.Project, "", "") {
			g.violations = append(g.violations, when+": the Secret is empty, and anonymous pulls are refused")
		}
	case !g.lab.gitlab.CanPull(g.app.Project, chosen[0].Username, chosen[0].Password):
		g.violations = append(g.violations, when+": the Secret holds a token that the registry refuses")
	}
}

// setNeeded says whether from now on somebody pulls the app's image.
func (g *guard) setNeeded(needed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.notNeeded = !needed
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
