//go:build linux

package proof_test

import (
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/cluster"
)

// The documented gaps. Each is measured, so that it stays as small as the guide
// says, and each has a neighbour that shows how to keep out of it.

// TestGapSecretNotUpdated: the apply that rotates fails at the Secret, and nobody
// applies again until the overlap is over. The next apply then revokes the old
// token before the Secret has the new one.
func TestGapSecretNotUpdated(t *testing.T) {
	for _, scenario := range []struct {
		name string
		days int
		gap  bool
	}{
		{"applied again within the overlap", 6, false},
		{"applied again after the overlap", 7, true},
	} {
		t.Run(scenario.name, func(t *testing.T) {
			l := newClockedLab(t)
			shop := l.newApp("acme/shop")
			s := l.newStack()
			s.access(shop)
			s.init()
			s.apply()
			old := l.published(shop)

			load, order := l.pullAll(shop, secretName), l.guard(shop)
			l.passDays(335)
			_, err := s.tryApply("-var=kubernetes_token=" + house.cluster.ReaderToken)
			if err == nil {
				t.Fatal("the Secret could be updated")
			}
			l.says(err.Error(), "cannot patch resource")
			if l.published(shop) != old {
				t.Fatal("the Secret has changed")
			}
			aMoment()
			l.passDays(scenario.days)
			aMoment()
			out := s.apply()
			aMoment()
			l.runs("healed", []string{secretName}, shop)
			l.settle(s, 7)

			if !scenario.gap {
				load.expectNoFailure()
				order.expectOrder()
				return
			}
			// The guard sees the gap for certain; whether a pull falls into it is chance.
			t.Log(load.stop())
			if seen := order.seen(); len(seen) == 0 || !strings.Contains(seen[0], "after DELETE") {
				t.Errorf("the gap is not where it is documented: %q", seen)
			}
			l.says(out, "make sure that no Secret holds them: they are revoked before Secrets are updated")
		})
	}
}

// settle lets an overlap pass, and expects the plan to be empty after the apply.
func (l *lab) settle(s *stack, days int) {
	l.Helper()
	l.passDays(days)
	s.apply()
	s.settled()
}

// TestGapSpecialName: an access that has GitLab's own name feeds the jobs. One that
// deploys during the overlap may write the old token into its own Secret, which
// dies with the overlap. Pods with Terraform's Secret never notice.
func TestGapSpecialName(t *testing.T) {
	for _, newest := range []bool{true, false} {
		t.Run(map[bool]string{true: "job gets the new token", false: "job gets the old token"}[newest], func(t *testing.T) {
			l := newClockedLab(t)
			l.gitlab.SetJobsGetNewest(newest)
			shop := l.newApp("acme/shop")
			s := l.newStack()
			s.access(shop, `name = "gitlab-deploy-token"`)
			s.init()
			l.says(s.apply(), "GitLab hands this token to jobs")
			l.gitlab.EndJob(l.deployJob(shop))

			jobs, terraforms := l.pullAll(shop, jobSecretName), l.pullAll(shop, secretName)
			l.passDays(335)
			s.apply()
			l.gitlab.EndJob(l.deployJob(shop)) // the last deployment before the revocation
			aMoment()
			l.passDays(7)
			s.apply()
			aMoment()
			failing := l.pullAsKubelet(shop, jobSecretName)
			l.gitlab.EndJob(l.deployJob(shop)) // the next deployment heals
			healed := time.Now()
			aMoment()

			terraforms.expectNoFailure()
			result := jobs.stop()
			t.Logf("with the job's own Secret: %s; from the first failed pull to the next deployment %s",
				result, sinceFirst(result, healed).Round(time.Millisecond))
			if newest == (failing != nil) {
				t.Errorf("the job's Secret after the revocation: %v", failing)
			}
			if newest && len(result.failed) > 0 {
				t.Errorf("%s, the first with: %v", result, result.first)
			}
			if err := l.pullAsKubelet(shop, jobSecretName); err != nil {
				t.Errorf("after the next deployment: %v", err)
			}
			l.runs("has-both", []string{jobSecretName, secretName}, shop)
			if c := l.published(shop); c == (cluster.Credentials{}) {
				t.Error("nothing is published")
			}
		})
	}
}

func sinceFirst(p pulls, until time.Time) time.Duration {
	if len(p.failed) == 0 {
		return 0
	}
	return until.Sub(p.failed[0])
}
