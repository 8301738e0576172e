package registryaccess_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

func TestAccDrift_deadTokensAreReplacedAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		kill  func(s *fixture)
		story string
		// retired: a list can lag and a clock can be wrong, so the row is left alone for the overlap.
		retired int
	}{
		"deleted": {func(s *fixture) { s.gitlab.DeleteDeployToken(s.gitlab.Tokens(s.project)[0].ID) }, `^Replaced: token [0-9]+ was deleted\.$`, 1},
		"revoked": {func(s *fixture) { s.gitlab.RevokeInSettings(s.gitlab.Tokens(s.project)[0].ID) }, `^Replaced: token [0-9]+ was revoked\.$`, 0},
		"expired": {func(s *fixture) { s.gitlab.Clock.AdvanceDays(400) }, `^Replaced: token [0-9]+ expired on 2027-01-15\.$`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t)
			s.run(
				resource.TestStep{Config: s.config()},
				resource.TestStep{
					PreConfig: func() { c.kill(s) }, Config: s.config(),
					ConfigPlanChecks: expect(action(plancheck.ResourceActionUpdate), secretChanges(),
						plans("generation", number(2)), plans("last_change", matches(c.story))),
					ConfigStateChecks: []statecheck.StateCheck{has("retired_tokens", length(c.retired))},
					Check:             resource.ComposeTestCheckFunc(s.active(1), s.published()),
				},
			)
		})
	}
}

// TestDrift_refusalsChangeNothing: an error in the middle of a refresh leaves the
// state as it was, and nothing is ever planned from it.
func TestDrift_refusalsChangeNothing(t *testing.T) {
	for _, match := range []string{getProject, listTokens} {
		for _, fault := range []gitlabtest.Fault{
			{Status: http.StatusUnauthorized, Body: `{"message":"401 Unauthorized"}`},
			{Status: http.StatusForbidden, Body: `{"message":"403 Forbidden"}`},
			{Status: http.StatusInternalServerError},
			{Status: http.StatusServiceUnavailable, Body: "<html>maintenance</html>"},
			{Status: http.StatusNotFound, Body: `{"message":"404 Project Not Found"}`}, // of one request alone
			{Status: http.StatusNotFound, Body: "<html>404</html>"},
			{Status: http.StatusOK, Body: "<html>Sign in</html>"},
			{},
			{When: gitlabtest.During},
		} {
			fault.Match, fault.Times = match, gitlabtest.Always
			t.Run(fmt.Sprint(match, fault.Status, fault.String()), func(t *testing.T) {
				d := newDriver(t)
				d.mustApply(nil)
				before := d.state
				d.gitlab.Inject(fault)
				if d.refresh() {
					t.Error("the refresh passed")
				}
				if !d.state.Equal(before) {
					t.Error("the state changed")
				}
				d.gitlab.ClearFaults()
				d.mustBeSettled(nil)
			})
		}
	}
}

func TestDrift_absentFromTheListProvesNothing(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	d.gitlab.Inject(gitlabtest.Fault{Match: listTokens, Status: http.StatusOK, Body: "[]", Times: gitlabtest.Always})
	d.mustBeSettled(nil)
	if n := d.gitlab.CountRequests("GET /projects/:id/deploy_tokens/:token_id"); n != 1 {
		t.Errorf("asked %d times for the token alone", n)
	}
}

func TestDrift_projectGone(t *testing.T) {
	for name, remove := range map[string]func(d *driver){
		"deleted":         func(d *driver) { d.gitlab.DeleteProject(d.project) },
		"lost membership": func(d *driver) { d.gitlab.SetRole(d.project, d.maintainer, gitlabtest.NoRole) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t)
			d.mustApply(nil)
			id := d.gitlab.Tokens(d.project)[0].ID
			remove(d)
			if !d.refresh() || !d.state.IsNull() {
				t.Fatalf("it is still in the state: %v", describe(d.last))
			}
			if got := fmt.Sprint(describe(d.last)); len(d.last) != 1 || !containsAll(got, "acme/shop", fmt.Sprint(id), "GitLab does not tell which") {
				t.Errorf("says %s", got)
			}
		})
	}
	t.Run("a proxy that strips the token", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(nil)
		d.gitlab.Inject(gitlabtest.Fault{Match: getProject, Times: gitlabtest.Always, Status: http.StatusNotFound, Body: `{"message":"404 Project Not Found"}`})
		d.gitlab.Inject(gitlabtest.Fault{Match: listTokens, Times: gitlabtest.Always, Status: http.StatusNotFound, Body: `{"message":"404 Project Not Found"}`})
		d.gitlab.Inject(gitlabtest.Fault{Match: "GET /user", Times: gitlabtest.Always, Status: http.StatusUnauthorized, Body: `{"message":"401 Unauthorized"}`})
		if d.refresh() || d.state.IsNull() {
			t.Error("an anonymous caller was believed")
		}
	})
}

func TestDrift_destroyOfAGoneProject(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	d.gitlab.DeleteProject(d.project)
	if !d.destroy() || !d.state.IsNull() {
		t.Fatalf("destroy failed: %v", describe(d.last))
	}
	if got := summaries(d.last); len(got) != 1 || got[0] != "Project acme/shop is gone or hidden" {
		t.Errorf("says %v", got)
	}
}

// TestDrift_interruptedApplies: tokens of applies that died are found by their
// username, named in the plan and retired with full overlap.
func TestDrift_interruptedApplies(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	state, private := d.state, d.private
	d.gitlab.Clock.AdvanceDays(340)
	d.mustApply(nil) // the provider and its state are lost after this
	published := d.text("token")
	d.state, d.private = state, private

	if !d.refresh() {
		t.Fatal(describe(d.last))
	}
	p := d.planChange(nil)
	if got := fmt.Sprint(describe(p.diagnostics)); !containsAll(got, "Tokens of an interrupted apply", fmt.Sprint(d.gitlab.Tokens(d.project)[1].ID)) {
		t.Errorf("says %s", got)
	}
	d.mustApply(nil)
	if len(d.gitlab.ActiveTokens(d.project)) != 3 {
		t.Error("a token that a cluster may use was revoked at once")
	}
	username := d.text("username")
	if !d.gitlab.CanPull(d.project, username, published) {
		t.Error("what the lost apply published is dead")
	}
	d.gitlab.Clock.AdvanceDays(7)
	d.mustApply(nil)
	if live := d.gitlab.ActiveTokens(d.project); len(live) != 2 || !d.gitlab.CanPull(d.project, username, published) {
		t.Errorf("%d tokens live, and what the lost apply published should", len(live))
	}
	d.mustBeSettled(nil)
	d.gitlab.Clock.AdvanceDays(366) // beyond the end of the lost token
	for range 2 {
		d.mustApply(nil)
		d.gitlab.Clock.AdvanceDays(7)
	}
	d.mustApply(nil)
	if live := d.gitlab.ActiveTokens(d.project); len(live) != 1 || live[0].Secret != d.text("token") {
		t.Errorf("%d tokens live", len(live))
	}
	d.mustBeSettled(nil)
}

// TestResource_twoStates: two accesses to one project without a common state leave each
// other's tokens alone, and name them.
func TestResource_twoStates(t *testing.T) {
	a := newDriver(t)
	b := &driver{fixture: a.fixture}
	b.load()
	a.mustApply(nil)
	p := b.planChange(nil)
	if got := summaries(p.diagnostics); len(got) != 1 || got[0] != "Other tokens of this provider in acme/shop" {
		t.Errorf("creation says %v", got)
	}
	b.mustApply(nil)
	for range 3 {
		a.gitlab.Clock.AdvanceDays(200)
		a.mustApply(nil)
		b.mustApply(nil)
		a.gitlab.Clock.AdvanceDays(140)
		a.mustApply(nil)
		b.mustApply(nil)
		if !a.secretPulls() || !b.secretPulls() {
			t.Fatal("one revoked what the other published")
		}
	}
	a.mustBeSettled(nil)
	if got := a.attributes(a.state)["unmanaged_token_ids"]; !containsAll(got.String(), itoa(tokenOf(b))) {
		t.Errorf("a does not name b's token: %s", got)
	}
}

func tokenOf(d *driver) int64 {
	for _, token := range d.gitlab.Tokens(d.project) {
		if token.Secret == d.text("token") {
			return token.ID
		}
	}
	return 0
}

func TestAccDrift_projectGoneInARealRun(t *testing.T) {
	s := newFixture(t)
	s.run(
		resource.TestStep{Config: s.config()},
		resource.TestStep{PreConfig: func() { s.gitlab.DeleteProject(s.project) }, Config: s.config(), ExpectError: says("404 Project Not Found")},
	)
}

// TestAccProvider_unknownAtPlan: an access in state is planned without a client.
func TestAccProvider_unknownAtPlan(t *testing.T) {
	s := newFixture(t)
	config := func(round string) string {
		known := fmt.Sprintf("token    = %q", s.token)
		return strings.Replace(s.config(), known, "token    = terraform_data.token.output", 1) + fmt.Sprintf(`
resource "terraform_data" "token" {
  input            = %q
  triggers_replace = %q
}
`, s.token, round)
	}
	s.run(
		resource.TestStep{Config: config("1"), ConfigPlanChecks: expect(plansUnknown("required"), plansUnknown("project_id")), Check: s.published()},
		resource.TestStep{Config: config("2"), ConfigPlanChecks: expect(action(plancheck.ResourceActionNoop)), Check: s.published()},
	)
}
