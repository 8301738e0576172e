package registryaccess_test

import (
	"slices"
	"testing"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// sealedVariables publishes in CI/CD variables and keeps no secret in the state.
func sealedVariables() arguments {
	return variables(sealedFor(0))
}

// mustBePublishedSealed wants what the recipient opens in the variables.
func (d *driver) mustBePublishedSealed() {
	d.Helper()
	password, _ := d.variable(passwordKey, "*")
	user, _ := d.variable(userKey, "*")
	opened, err := d.opened(0)
	if err != nil {
		d.Fatal(err)
	}
	if opened.Token.Reveal() != password.Value || opened.Username != user.Value || !d.gitlab.CanPull(d.project, user.Value, password.Value) {
		d.Error("the variables do not hold what is sealed")
	}
	if d.text("token") != "" || d.text("ci_status") != "published" {
		d.Errorf("the state holds a token, or ci_status is %q", d.text("ci_status"))
	}
}

func TestSealed_publication(t *testing.T) {
	t.Run("life", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(sealedVariables())
		d.mustBePublishedSealed()
		d.mustBeSettled(sealedVariables())
		d.gitlab.Clock.AdvanceDays(200)
		d.mustApply(sealedVariables())
		d.mustBePublishedSealed()
		d.mustBeSettled(sealedVariables())
		d.gitlab.SetVisibility(d.project, "public")
		d.mustApply(sealedVariables())
		d.mustBeSettled(sealedVariables())
		if left := d.gitlab.Variables(d.project); len(left) != 0 {
			t.Errorf("%d variables are left", len(left))
		}
	})
	// What is sealed cannot be published another time, so drift rotates.
	for name, change := range map[string]func(*driver){
		"removed":             func(d *driver) { d.gitlab.DeleteVariable(d.project, passwordKey, "*") },
		"changed":             func(d *driver) { d.edit(passwordKey, func(v *gitlabtest.Variable) { v.Value = "somebody's-value" }) },
		"the user is removed": func(d *driver) { d.gitlab.DeleteVariable(d.project, userKey, "*") },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t)
			d.mustApply(sealedVariables())
			change(d)
			d.mustApply(sealedVariables())
			d.mustBePublishedSealed()
			if d.text("last_action") != "rotate" || len(d.retired()) != 1 {
				t.Errorf("last_action %s, %d retired", d.text("last_action"), len(d.retired()))
			}
			d.mustBeSettled(sealedVariables())
		})
	}
	t.Run("not certain, and there", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(sealedVariables())
		d.gitlab.Clock.AdvanceDays(200)
		d.gitlab.Inject(gitlabtest.Fault{Match: putVariable, Status: 502, Times: gitlabtest.Always, When: gitlabtest.After})
		d.gitlab.Inject(gitlabtest.Fault{Match: "GET /projects/:id/variables/:key", Status: 502, Times: gitlabtest.Always})
		d.mustApply(sealedVariables())
		d.gitlab.ClearFaults()
		live := len(d.gitlab.ActiveTokens(d.project))
		d.mustApply(sealedVariables())
		d.mustBePublishedSealed()
		if now := len(d.gitlab.ActiveTokens(d.project)); now != live || d.text("published_at") == "" {
			t.Errorf("%d tokens live, %d before; published_at %q", now, live, d.text("published_at"))
		}
		d.mustBeSettled(sealedVariables())
	})
	t.Run("not certain, and gone before the apply", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(sealedVariables())
		d.gitlab.Clock.AdvanceDays(200)
		d.gitlab.Inject(gitlabtest.Fault{Match: putVariable, Status: 502, Times: gitlabtest.Always, When: gitlabtest.After})
		d.gitlab.Inject(gitlabtest.Fault{Match: "GET /projects/:id/variables/:key", Status: 502, Times: gitlabtest.Always})
		d.mustApply(sealedVariables())
		d.gitlab.ClearFaults()
		d.refresh()
		p := d.planChange(sealedVariables())
		d.gitlab.DeleteVariable(d.project, passwordKey, "*")
		before := d.state
		if d.apply(p) || !d.state.Equal(before) {
			t.Error("the apply succeeds, or the state says what has not happened")
		}
		d.mustApply(sealedVariables())
		d.mustBePublishedSealed()
	})
	t.Run("switched on", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(sealedFor(0))
		d.mustApply(sealedVariables())
		d.mustBePublishedSealed()
		d.mustBeSettled(sealedVariables())
		if !d.destroy() || len(d.gitlab.Variables(d.project)) != 0 {
			t.Errorf("%d variables after the destroy: %v", len(d.gitlab.Variables(d.project)), describe(d.last))
		}
	})
	t.Run("a GitLab without descriptions", func(t *testing.T) {
		d := newDriver(t)
		d.gitlab.SetVersion("16.0.0")
		d.mustApply(sealedVariables())
		d.mustBeSettled(sealedVariables())
		if !d.destroy() || len(d.gitlab.Variables(d.project)) != 0 {
			t.Errorf("%d variables after the destroy: %v", len(d.gitlab.Variables(d.project)), describe(d.last))
		}
	})
	t.Run("not required any more", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(sealedVariables())
		d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
		d.mustApply(sealedVariables())
		d.gitlab.DeleteVariable(d.project, passwordKey, "*")
		live := len(d.gitlab.ActiveTokens(d.project))
		d.mustBeSettled(sealedVariables())
		if now := len(d.gitlab.ActiveTokens(d.project)); now != live || slices.Contains(d.writes(), putVariable) {
			t.Errorf("%d tokens live, %d before", now, live)
		}
	})
}
