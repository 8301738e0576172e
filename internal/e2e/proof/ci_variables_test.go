//go:build linux

package proof_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/cluster"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// publish is a configuration whose credentials go into CI/CD variables, and nowhere else.
func (s *stack) publish(a app, arguments ...string) {
	s.Helper()
	s.write(fmt.Sprintf(`
resource "autodevops_registry_access" "app" {
  project      = %q
  ci_variables = {}
  %s
  lifecycle {
    create_before_destroy = true
  }
}
`, a.path, strings.Join(arguments, "\n  ")))
}

// behind is environments_behind: names with what they hold.
func (s *stack) behind() string {
	s.Helper()
	var parts []string
	for _, e := range s.inState().Behind {
		parts = append(parts, e.Name+" "+e.Holds)
	}
	return strings.Join(parts, ", ")
}

// holds is what the kubelet would use from the Secret of the deploy jobs.
func (d *deployment) holds() cluster.Credentials {
	d.Helper()
	chosen, err := house.cluster.Choose(d.app.repository, d.secret(d.secretName()))
	d.must(err)
	if len(chosen) != 1 {
		d.Fatalf("the Secret has %d credentials for the image", len(chosen))
	}
	return chosen[0]
}

// heldToken is the id of the token in the Secret of the deploy jobs; 0 if GitLab has none such.
func (d *deployment) heldToken() int64 {
	d.Helper()
	for _, token := range d.gitlab.Tokens(d.app.Project) {
		if d.holds() == (cluster.Credentials{Username: token.Username, Password: token.Secret}) {
			return token.ID
		}
	}
	return 0
}

// orderOfDeath checks after each answer of GitLab, before the provider hears of it: what the
// last deploy job has written pulls, and so does the pair that the next one would get.
type orderOfDeath struct {
	mu         sync.Mutex
	off        bool
	looks      int
	violations []string
}

func (d *deployment) guardVariables() *orderOfDeath {
	o := &orderOfDeath{}
	d.gitlab.OnAnswer(func(r gitlabtest.Request) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if d.ctx.Err() != nil || o.off || r.Route == "/jwt/auth" {
			return
		}
		o.looks++
		secret := d.secret(d.secretName())
		chosen, err := house.cluster.Choose(d.app.repository, secret)
		d.check(err)
		if len(secret.Data) > 0 && (len(chosen) == 0 || !d.gitlab.CanPull(d.app.Project, chosen[0].Username, chosen[0].Password)) {
			o.violations = append(o.violations, fmt.Sprintf("after %s: what the last job wrote does not pull", r))
		}
		pair := map[string]string{}
		for _, v := range d.gitlab.Variables(d.app.Project) {
			pair[v.Key] = v.Value
		}
		if len(pair) == 2 && !d.gitlab.CanPull(d.app.Project, pair["CI_DEPLOY_USER"], pair["CI_DEPLOY_PASSWORD"]) {
			o.violations = append(o.violations, fmt.Sprintf("after %s: what the next job gets does not pull", r))
		}
	})
	return o
}

func (o *orderOfDeath) rest() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.off = true
}

func (o *orderOfDeath) expect(t *testing.T) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	t.Logf("order of death: %d looks, %d violations", o.looks, len(o.violations))
	if len(o.violations) > 0 {
		t.Errorf("the first of %d: %s", len(o.violations), o.violations[0])
	}
	if o.looks == 0 {
		t.Error("nobody looked")
	}
}

// TestVariablesUnderLoad lives through the life of credentials in CI/CD variables, while pods
// pull with what deploy jobs write: creation, rotation, a late old job, a public project and
// back, a wind-down. No pull fails before the last token has expired.
func TestVariablesUnderLoad(t *testing.T) {
	l := newClockedLab(t)
	shop := l.newApp("acme/shop")
	d := l.newDeployment(shop)
	s := l.newStack()
	s.publish(shop)
	s.init()
	s.apply()
	d.deploy()
	order, stop := d.guardVariables(), l.pullWith(shop, d.secretName())
	l.runs("created", []string{d.secretName()}, shop)
	l.pass(5 * time.Minute)
	s.settled()
	first := d.holds()

	// A job that was taken before the rotation writes after one that was taken after it.
	l.passDays(183)
	late := d.take()
	l.says(s.apply(), "Rotation of token ")
	aMoment()
	d.deploy()
	second := d.holds()
	d.createSecret(late)
	l.pass(time.Minute)
	l.gitlab.FinishJob(late, "failed")
	if second == first || d.holds() != first {
		t.Fatal("the late job does not write the old token over the new one")
	}
	aMoment()
	l.runs("late", []string{d.secretName()}, shop)
	s.refresh()
	if got := s.behind(); !strings.HasPrefix(got, "production ") {
		t.Errorf("after the late job, behind are %q", got)
	}
	d.deploy()
	s.refresh()
	if got := s.behind(); d.holds() != second || got != "" {
		t.Errorf("after the next deployment, behind are %q", got)
	}
	l.passDays(181)
	s.apply() // the next window, or nothing
	d.deploy()
	l.passDays(2)
	l.refused(shop, first)
	l.runs("expired", []string{d.secretName()}, shop)

	// Public, and private again: the Secret stays in the cluster, and so its token stays alive.
	l.gitlab.SetVisibility(shop.Project, "public")
	l.says(s.apply(), "Withdrawal of token ")
	aMoment()
	d.deploy()
	l.runs("public", []string{d.secretName()}, shop)
	l.passDays(30)
	s.apply()
	l.gitlab.SetVisibility(shop.Project, "private")
	aMoment()
	s.apply()
	l.runs("private-again", []string{d.secretName()}, shop)
	d.deploy()

	// Auto DevOps goes off, on, and off for good. Pods pull until the token expires.
	l.gitlab.SetGroupAutoDevOps(l.group, gitlabtest.False)
	l.says(s.apply(), "Wind-down of token ")
	l.passDays(40)
	l.gitlab.SetGroupAutoDevOps(l.group, gitlabtest.True)
	s.apply()
	d.deploy()
	l.gitlab.SetGroupAutoDevOps(l.group, gitlabtest.False)
	s.apply()
	l.passDays(300)
	s.apply() // tokens that were replaced have expired
	s.settled()
	aMoment()
	l.runs("winding-down", []string{d.secretName()}, shop)
	d.expectAllGood(stop())
	order.rest()
	l.passDays(66)
	l.says(s.apply(), "End of token ")
	if tokens, variables := len(l.gitlab.ActiveTokens(shop.Project)), len(l.gitlab.Variables(shop.Project)); tokens+variables != 0 {
		t.Errorf("%d tokens and %d variables are left", tokens, variables)
	}
	s.settled()
	order.expect(t)
}

// TestVariablesLeak: the steps of the guide end a leaked token without a failed pull. One
// -replace ends it at once, and pods cannot pull from then on until the deploy job has run.
func TestVariablesLeak(t *testing.T) {
	l := newClockedLab(t)
	shop := l.newApp("acme/shop")
	d := l.newDeployment(shop)
	s := l.newStack()
	s.publish(shop)
	s.init()
	s.apply()
	d.deploy()

	stop := l.pullWith(shop, d.secretName())
	leaked := d.holds()
	s.publish(shop, `rotate_when_changed = { incident = "42" }`)
	s.apply()
	aMoment()
	d.deploy()
	s.publish(shop, `rotate_when_changed = { incident = "42" }`, `rotation = { overlap_days = 0 }`)
	s.apply()
	l.refused(shop, leaked)
	aMoment()
	l.runs("three-steps", []string{d.secretName()}, shop)
	d.expectAllGood(stop())
	s.publish(shop, `rotate_when_changed = { incident = "42" }`)
	s.apply()

	stop = l.pullWith(shop, d.secretName())
	aMoment()
	leaked = d.holds()
	begun := time.Now()
	var revoked time.Time
	l.gitlab.OnRequest(func(r gitlabtest.Request) {
		if r.Method == http.MethodDelete && revoked.IsZero() {
			revoked = time.Now()
		}
	})
	_, err := s.tryApply("-replace=autodevops_registry_access.app")
	l.must(err)
	l.refused(shop, leaked)
	aMoment()
	d.deploy()
	healed := time.Now()
	aMoment()
	l.runs("replaced", []string{d.secretName()}, shop)
	p := stop()
	t.Logf("-replace: %s; it took %s to the revocation, and the job was done %s later", p, revoked.Sub(begun).Round(time.Millisecond), healed.Sub(revoked).Round(time.Millisecond))
	if len(p.failed) == 0 {
		t.Error("no pull failed between the revocation and the deployment; the guide says otherwise")
	}
	const oneRequest = time.Second // a pull that had begun when the token was revoked
	for _, at := range p.failed {
		if at.Before(revoked.Add(-oneRequest)) || at.After(healed) {
			t.Errorf("a pull failed %s after the revocation, and %s after the deployment", at.Sub(revoked), at.Sub(healed))
		}
	}
}

// TestLeakUnderLoad: Terraform writes the Secret. With create_before_destroy, -replace ends
// the leaked token, and no pull fails.
func TestLeakUnderLoad(t *testing.T) {
	l := newClockedLab(t)
	shop := l.newApp("acme/shop")
	s := l.newStack()
	s.access(shop, "lifecycle {\n    create_before_destroy = true\n  }")
	s.init()
	s.apply()
	const times = 5
	stop := l.pullWith(shop, secretName)
	for range times {
		leaked := l.published(shop)
		aMoment()
		_, err := s.tryApply("-replace=autodevops_registry_access.app")
		l.must(err)
		l.refused(shop, leaked)
		if live := l.gitlab.ActiveTokens(shop.Project); len(live) != 1 {
			t.Errorf("%d tokens are alive", len(live))
		}
	}
	l.runs("replaced", []string{secretName}, shop)
	p := stop()
	t.Logf("%d replacements: %s", times, p)
	if len(p.failed)+len(p.withoutSecret) > 0 || len(p.overtaken) > times || len(p.good) < times {
		t.Errorf("%s; the first failed with: %v", p, p.first)
	}
	s.settled()
}

// TestVariablesKilled: provider or CLI die at each API request of a rotation. The next apply
// converges, what jobs have written pulls all the time, and so does what they get.
func TestVariablesKilled(t *testing.T) {
	for _, who := range []victim{theProvider, theCLI} {
		t.Run(string(who), func(t *testing.T) {
			if who == theCLI && os.Getenv("E2E_SHORT") != "" {
				t.Skip("LEFT OUT: the kills of the CLI, because E2E_SHORT is set; make e2e has them")
			}
			t.Parallel()
			l := newClockedLab(t)
			shop := l.newApp("acme/shop")
			d := l.newDeployment(shop)
			s := l.newStack()
			killer := &assassin{victim: who}
			killer.attend(l)
			t.Cleanup(func() { killer.buryOrphans(0) })
			s.publish(shop)
			s.init()
			s.apply()
			d.deploy()
			order, stop := d.guardVariables(), l.pullWith(shop, d.secretName())

			round := 0
			rotation := s.assault(killer, []string{"apply"}, func() {
				round++
				s.publish(shop, fmt.Sprintf(`rotate_when_changed = { round = "%d" }`, round))
			}, func() {
				s.accountedFor(shop)
				if who == theCLI {
					s.apply() // what a killed CLI has left behind may have published after the last one
				}
				d.deploy()
				if got, want := d.heldToken(), s.inState().TokenID; got != want {
					t.Errorf("the next job gets token %d, and not %d", got, want)
				}
				s.refresh()
				if got := s.behind(); got != "" {
					t.Errorf("after the deployment, behind are %q", got)
				}
			})
			d.expectAllGood(stop())
			order.rest()
			destruction := s.assault(killer, []string{"destroy"}, func() {
				round++
				s.publish(shop, fmt.Sprintf(`rotate_when_changed = { round = "%d" }`, round))
				s.apply()
			}, func() {
				for _, token := range s.gitlab.ActiveTokens(shop.Project) {
					t.Errorf("token %d lives on after the destroy", token.ID)
				}
				if left := len(s.gitlab.Variables(shop.Project)); left > 0 {
					t.Errorf("%d variables are left after the destroy", left)
				}
			})
			order.expect(t)
			for name, c := range map[string]struct{ hits, want map[string]int }{
				"rotate": {rotation, map[string]int{
					"POST /projects/:id/deploy_tokens": 2, "GET /jwt/auth": 2, "PUT /projects/:id/variables/:key": 2, "GET /projects/:id/variables": 1,
				}},
				"destroy": {destruction, map[string]int{"DELETE /projects/:id/variables/:key": 4, "DELETE /projects/:id/deploy_tokens/:token_id": 2}},
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
