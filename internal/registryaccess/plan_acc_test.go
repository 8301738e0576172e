package registryaccess_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

func containsAll(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// TestAccSavedPlan_acrossEveryBoundary: a plan made before a moment and applied
// after it does what it showed.
func TestAccSavedPlan_acrossEveryBoundary(t *testing.T) {
	for name, c := range map[string]struct {
		before, between int
		arguments       string
		live            int
	}{
		"an update across the rotation window":       {333, 5, `verify = false`, 1},
		"an update across a day":                     {10, 1, `verify = false`, 1},
		"a rotation by argument across the window":   {333, 5, `rotate_when_changed = { x = "1" }`, 2},
		"a rotation of the window across a day":      {340, 1, ``, 2},
		"a rotation of the window across the expiry": {340, 40, ``, 1},
		"a shorter window across the old window":     {333, 5, `rotation = { rotate_before_days = 10 }`, 1},
		"an unknown argument across the window":      {333, 5, `verify = terraform_data.secret2.output != "x"`, 2},
		"a wider window that opens at once":          {300, 1, `rotation = { rotate_before_days = 100 }`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t)
			const extra = "\nresource \"terraform_data\" \"secret2\" { input = timestamp() }\n"
			s.run(
				resource.TestStep{Config: s.config() + extra, ExpectNonEmptyPlan: true},
				resource.TestStep{
					PreConfig:        func() { s.gitlab.Clock.AdvanceDays(c.before) },
					Config:           s.config(c.arguments) + extra,
					ConfigPlanChecks: expect(during(func() { s.gitlab.Clock.AdvanceDays(c.between) })),
					Check:            resource.ComposeTestCheckFunc(s.active(c.live), s.published()), ExpectNonEmptyPlan: true,
				},
			)
		})
	}
}

func TestAccSavedPlan_projectChangesBeforeTheApply(t *testing.T) {
	t.Run("a creation fails closed", func(t *testing.T) {
		s := newFixture(t)
		s.run(resource.TestStep{
			Config:           s.config(),
			ConfigPlanChecks: expect(during(func() { s.gitlab.SetVisibility(s.project, "public") })),
			ExpectError:      says("Provider produced inconsistent final plan"),
		})
		if len(s.gitlab.Tokens(s.project)) != 0 {
			t.Error("a token was minted")
		}
	})
	for name, change := range map[string]func(s *fixture){
		"private again, Auto DevOps off": func(s *fixture) {
			s.gitlab.SetVisibility(s.project, "private")
			s.gitlab.SetGroupAutoDevOps(s.group, gitlabtest.False)
		},
		"private again, needed":     func(s *fixture) { s.gitlab.SetVisibility(s.project, "private") },
		"the registry goes missing": func(s *fixture) { s.gitlab.SetRegistryEnabled(false) },
	} {
		t.Run("a withdrawal fails closed: "+name, func(t *testing.T) {
			s := newFixture(t)
			s.run(
				resource.TestStep{Config: s.config()},
				resource.TestStep{
					PreConfig:        func() { s.gitlab.SetVisibility(s.project, "public") },
					Config:           s.config(),
					ConfigPlanChecks: expect(during(func() { change(s) })),
					ExpectError:      says("The project has changed since the plan"),
				},
			)
		})
	}
}

// TestAccPlan_withoutRefresh: the window opens although no Read tells of it, and a
// stale verdict does nothing.
func TestAccPlan_withoutRefresh(t *testing.T) {
	s := newFixture(t)
	noRefresh := resource.TestStep{
		Config:           s.config(),
		ConfigPlanChecks: expect(plans("generation", number(2))),
		Check:            s.active(2),
	}
	noRefresh.PreConfig = func() { s.gitlab.Clock.AdvanceDays(340); s.gitlab.ForgetRequests() }
	s.runWith(resource.TestCase{AdditionalCLIOptions: planWithoutRefresh()}, resource.TestStep{Config: s.config()}, noRefresh)
}

func TestAccDestroy_plansWithGitLabDown(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	d.gitlab.Inject(gitlabtest.Fault{Times: gitlabtest.Always})
	d.gitlab.ForgetRequests()
	d.planDestroy()
	if log := d.gitlab.Requests(); len(log) != 0 {
		t.Errorf("planning the destroy asked GitLab: %v", log)
	}
	d.gitlab.ClearFaults()
}

func TestPlan_makesNoRequestButForAChangedProject(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	if !d.refresh() {
		t.Fatal(describe(d.last))
	}
	for name, c := range map[string]struct {
		args     arguments
		requests int
	}{
		"nothing":            {nil, 0},
		"another name":       {arguments{"name": "x"}, 0},
		"mode never":         {arguments{"mode": "never"}, 0},
		"the same by id":     {arguments{"project": itoa(d.project.ID)}, 0},
		"the same, in upper": {arguments{"project": "ACME/Shop"}, 0},
		"another string":     {arguments{"project": "acme/shop2"}, 1},
	} {
		d.gitlab.ForgetRequests()
		d.planChange(c.args)
		if n := len(d.gitlab.Requests()); n != c.requests {
			t.Errorf("%s: %d requests, want %d", name, n, c.requests)
		}
		if d.gitlab.Writes() != 0 {
			t.Errorf("%s: a plan wrote", name)
		}
	}
}

func TestPlan_steadyCostsTwoRequests(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	d.gitlab.ForgetRequests()
	d.mustBeSettled(nil)
	if log := d.gitlab.Requests(); len(log) != 2 {
		t.Errorf("requests: %v", log)
	}
}

// TestWarnings lists, for each situation, exactly the warnings of its plan.
func TestWarnings(t *testing.T) {
	settled := func(d *driver) { d.mustApply(nil) }
	for name, c := range map[string]struct {
		prepare func(d *driver)
		args    arguments
		want    []string
	}{
		"creation":            {nil, nil, nil},
		"nothing due":         {settled, nil, nil},
		"permanent":           {nil, arguments{"permanent": true}, []string{"Permanent token"}},
		"GitLab's own name":   {nil, arguments{"name": access.GitLabName}, []string{"GitLab hands this token to jobs"}},
		"the same, permanent": {nil, arguments{"name": access.GitLabName, "permanent": true}, []string{"Permanent token"}},
		"write scopes":        {nil, arguments{"scopes": []string{"read_registry", "write_registry"}}, []string{"The token can write"}},
		"deletion scheduled":  {func(d *driver) { d.gitlab.ScheduleDeletion(d.project) }, arguments{"project": "acme/shop"}, []string{"Project acme/shop-deletion_scheduled-2 is scheduled for deletion"}},
		"foreign tokens": {func(d *driver) {
			d.gitlab.CreateDeployToken(d.project, access.DefaultName, "x", time.Time{}, "read_registry")
		}, nil, []string{"Unmanaged tokens of the same name in acme/shop"}},
		"always, no registry": {func(d *driver) { d.gitlab.SetRegistryAccessLevel(d.project, "disabled") }, arguments{"mode": "always"}, []string{"No registry to give access to"}},
		"contradiction":       {nil, arguments{"auto_devops_enabled": false}, []string{"Arguments for acme/shop contradict GitLab"}},
		"rotation":            {func(d *driver) { settled(d); d.gitlab.Clock.AdvanceDays(340) }, nil, []string{"Rotation of token 4 of acme/shop"}},
		"rotation and foreign": {func(d *driver) {
			settled(d)
			d.gitlab.CreateDeployToken(d.project, access.DefaultName, "x", time.Time{}, "read_registry")
			d.gitlab.Clock.AdvanceDays(340)
		}, nil, []string{"Rotation of token 4 of acme/shop", "Unmanaged tokens of the same name in acme/shop"}},
		"steady and foreign": {func(d *driver) {
			settled(d)
			d.gitlab.CreateDeployToken(d.project, access.DefaultName, "x", time.Time{}, "read_registry")
		}, nil, nil},
		"revocation": {func(d *driver) {
			settled(d)
			d.gitlab.Clock.AdvanceDays(340)
			d.mustApply(nil)
			d.gitlab.Clock.AdvanceDays(7)
		}, nil, []string{"Revocation of retired tokens of acme/shop: 4"}},
		"revoked by hand": {func(d *driver) { settled(d); d.gitlab.RevokeInSettings(d.gitlab.Tokens(d.project)[0].ID) }, nil, []string{"Replacement of token 4 of acme/shop"}},
		"wind-down":       {func(d *driver) { settled(d); d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False) }, nil, []string{"Wind-down of token 4 of acme/shop"}},
		"end": {func(d *driver) {
			settled(d)
			d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
			d.mustApply(nil)
			d.gitlab.Clock.AdvanceDays(7)
		}, nil, []string{"End of token 4 of acme/shop"}},
		"withdrawal":       {func(d *driver) { settled(d); d.gitlab.SetVisibility(d.project, "public") }, nil, []string{"Withdrawal of token 4 of acme/shop"}},
		"keep":             {func(d *driver) { settled(d); d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False) }, arguments{"on_not_required": "keep"}, []string{"Token 4 of acme/shop is kept, and not required"}},
		"registry missing": {func(d *driver) { settled(d); d.gitlab.SetRegistryEnabled(false) }, nil, []string{"GitLab names no container registry for acme/shop"}},
		"GitLab's own token taken over and due": {func(d *driver) {
			d.gitlab.SaveAutoDevOps(d.project, gitlabtest.True)
			d.importState("acme/shop")
			d.mustApply(nil)
			d.gitlab.Clock.AdvanceDays(7)
		}, nil, []string{"GitLab may make its own token again in acme/shop", "Revocation of retired tokens of acme/shop: 4"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t)
			if c.prepare != nil {
				c.prepare(d)
			}
			if !d.refresh() {
				t.Fatal(describe(d.last))
			}
			p := d.planChange(c.args)
			if failed(p.diagnostics) {
				t.Fatal(describe(p.diagnostics))
			}
			if got := summaries(p.diagnostics); fmt.Sprint(got) != fmt.Sprint(c.want) && len(got)+len(c.want) > 0 {
				t.Errorf("warns %v, want %v", got, c.want)
			}
		})
	}
}

// TestWarnings_destroy: what ends without an overlap is said beforehand.
func TestWarnings_destroy(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	d.gitlab.Clock.AdvanceDays(340)
	d.mustApply(nil)
	other := d.gitlab.CreateProject("acme/other", gitlabtest.ProjectOptions{})
	d.gitlab.SetRole(other, d.maintainer, gitlabtest.Maintainer)
	tokens := d.gitlab.Tokens(d.project)

	_, planned := d.planDestroy()
	replaced := d.planChange(arguments{"project": "acme/other"})
	for summary, diagnostics := range map[string][]*tfprotov6.Diagnostic{
		"Revocation of all tokens of acme/shop": planned.Diagnostics, "Another project: revocation of all tokens of acme/shop": replaced.diagnostics,
	} {
		if got := fmt.Sprint(describe(diagnostics)); !containsAll(got, summary, itoa(tokens[0].ID), itoa(tokens[1].ID)) {
			t.Errorf("says %s", got)
		}
	}
	d.gitlab.Clock.AdvanceDays(1)
	if !d.refresh() {
		t.Fatal(describe(d.last))
	}
	again := d.planChange(arguments{"rotate_when_changed": map[string]string{"x": "1"}})
	if got := fmt.Sprint(describe(again.diagnostics)); !containsAll(got, "Tokens that were retired earlier stay as they are: "+itoa(tokens[0].ID)) {
		t.Errorf("says %s", got)
	}
}

// TestPlan_oldObservations: what Read once said of a wind-down says nothing of the next.
func TestPlan_oldObservations(t *testing.T) {
	for name, then := range map[string]func(d *driver){
		"required again": func(d *driver) { d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.True) },
		"turned public":  func(d *driver) { d.gitlab.SetVisibility(d.project, "public") },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t)
			d.mustApply(nil)
			d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
			d.mustApply(nil)
			d.gitlab.Clock.AdvanceDays(8)
			then(d)
			d.mustApply(nil)
			if p := d.planChange(nil); !p.empty() { // without a refresh
				t.Errorf("an old verdict acts: %s", d.difference(p))
			}
		})
	}
}

func TestPlan_arguments_changedAndChangedBackWhileNotRequired(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
	d.mustApply(arguments{"name": "x"})
	d.mustApply(nil)
	d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.True)
	d.mustApply(nil)
	if n := len(d.gitlab.ActiveTokens(d.project)); n != 1 {
		t.Errorf("%d tokens: rotated although the token is what is asked for", n)
	}
	d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
	d.mustApply(arguments{"name": "x"})
	d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.True)
	d.mustApply(arguments{"name": "x"})
	if live := d.gitlab.ActiveTokens(d.project); len(live) != 2 || live[1].Name != "x" {
		t.Errorf("not rotated although the name changed while it was not required: %d", len(live))
	}
}
