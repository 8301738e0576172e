//go:build linux

package proof_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/cluster"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// aMoment lets pullers pull, between two changes.
func aMoment() { time.Sleep(6 * pullEvery) }

// TestRotationUnderLoad lives through the whole life of an access while its image
// is pulled without a pause. Not one pull fails, and the order of death holds.
func TestRotationUnderLoad(t *testing.T) {
	l := newClockedLab(t)
	shop := l.newApp("acme/shop")
	s := l.newStack()
	s.access(shop)
	s.init()
	order := l.guard(shop)

	s.apply()
	load := l.pullAll(shop, secretName)
	l.runs("created", []string{secretName}, shop)
	first := l.published(shop)
	s.settled()

	rotate := func(name string, arguments ...string) {
		old := l.published(shop)
		s.access(shop, arguments...)
		l.says(s.apply(), "Rotation of token ")
		fresh := l.published(shop)
		if fresh == old || fresh == (cluster.Credentials{}) {
			t.Fatalf("%s: the Secret holds what it held before", name)
		}
		aMoment()
		if err := l.registry.Pull(l.ctx, shop.image, old.Username, old.Password); err != nil {
			t.Errorf("%s: a pod that still has the old token cannot pull: %v", name, err)
		}
		l.runs(name, []string{secretName}, shop)
		l.passDays(7)
		aMoment()
		l.says(s.apply(), "Revocation of retired tokens of ")
		l.refused(shop, old)
		l.runs(name+"-revoked", []string{secretName}, shop)
		s.settled()
	}
	l.passDays(335)
	rotate("window")
	l.refused(shop, first)
	rotate("by-hand", `rotate_when_changed = { incident = "42" }`)
	rotate("renamed", `name = "pulls"`, `rotate_when_changed = { incident = "42" }`)
	s.access(shop, `name = "pulls"`)
	s.apply() // a trigger that goes away is a change of it as well
	l.passDays(7)
	s.apply()

	// The project turns public, and private again; mode bridges the way back.
	last := l.published(shop)
	l.gitlab.SetVisibility(shop.Project, "public")
	aMoment()
	l.says(s.apply(), "Withdrawal of token ")
	if l.published(shop) != (cluster.Credentials{}) {
		t.Error("the Secret of a public project is not empty")
	}
	l.must(l.registry.Pull(l.ctx, shop.image, last.Username, last.Password))
	l.runs("public", []string{secretName}, shop)
	l.passDays(7)
	l.says(s.apply(), "Revocation of retired tokens of ")
	l.runs("public-revoked", []string{secretName}, shop)
	s.access(shop, `name = "pulls"`, `mode = "always"`)
	s.apply()
	l.gitlab.SetVisibility(shop.Project, "private")
	aMoment()
	s.access(shop, `name = "pulls"`)
	s.apply()
	l.runs("private-again", []string{secretName}, shop)

	// Auto DevOps goes off, comes back, and goes for good.
	l.gitlab.SetGroupAutoDevOps(l.group, gitlabtest.False)
	l.says(s.apply(), "Wind-down of token ")
	aMoment()
	l.passDays(2)
	l.gitlab.SetGroupAutoDevOps(l.group, gitlabtest.True)
	s.apply()
	aMoment()
	l.passDays(30)
	s.settled()
	l.gitlab.SetGroupAutoDevOps(l.group, gitlabtest.False)
	s.apply()
	l.passDays(6)
	s.settled()
	l.runs("winding-down", []string{secretName}, shop)
	l.passDays(1)
	aMoment()

	// The need has ended a week ago: the next apply may end the token.
	load.expectNoFailure()
	order.setNeeded(false)
	l.says(s.apply(), "End of token ")
	if l.published(shop) != (cluster.Credentials{}) {
		t.Error("the Secret is not empty after the end")
	}
	if live := l.gitlab.ActiveTokens(shop.Project); len(live) != 0 {
		t.Errorf("%d tokens live on", len(live))
	}
	s.settled()
	order.expectOrder()
}

// TestTakeOverUnderLoad: GitLab's own permanent token is imported. Pods that have
// the job's Secret and pods that have Terraform's both pull, all through the overlap.
func TestTakeOverUnderLoad(t *testing.T) {
	l := newClockedLab(t)
	shop := l.newApp("acme/shop")
	l.gitlab.SaveAutoDevOps(shop.Project, gitlabtest.True)
	gitlabs := l.gitlab.ActiveTokens(shop.Project)
	if len(gitlabs) != 1 {
		t.Fatalf("GitLab has made %d tokens", len(gitlabs))
	}
	l.gitlab.EndJob(l.deployJob(shop))
	before := l.pullAll(shop, jobSecretName)
	both := l.pullAll(shop, jobSecretName, secretName)
	l.runs("jobs-secret", []string{jobSecretName}, shop)

	s := l.newStack()
	s.access(shop)
	s.init()
	order := l.guard(shop)
	_, err := s.cli.Run(l.ctx, "import", "-input=false", "-no-color", "autodevops_registry_access.app", fmt.Sprintf("acme/shop:%d", gitlabs[0].ID))
	l.must(err)
	l.says(s.apply(), "Take-over of token ")
	after := l.pullAll(shop, secretName)
	aMoment()

	// A deployment in the overlap still gets GitLab's token, which still works.
	l.gitlab.EndJob(l.deployJob(shop))
	aMoment()
	l.runs("deployed-in-the-overlap", []string{jobSecretName}, shop)
	l.runs("moved", []string{secretName}, shop)

	// The last day of the overlap: pods have been moved to Terraform's Secret.
	l.passDays(7)
	aMoment()
	before.expectNoFailure()
	l.says(s.apply(), "GitLab may make its own token again")
	l.refused(shop, cluster.Credentials{Username: gitlabs[0].Username, Password: gitlabs[0].Secret})
	// The kubelet tries the next credentials when the first are dead.
	aMoment()
	l.runs("both-secrets", []string{jobSecretName, secretName}, shop)
	l.gitlab.EndJob(l.deployJob(shop)) // GitLab's token is gone: this Secret dies with the job
	aMoment()
	both.expectNoFailure()
	after.expectNoFailure()
	s.settled()
	order.expectOrder()
}
