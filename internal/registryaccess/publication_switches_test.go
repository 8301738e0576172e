package registryaccess_test

import (
	"strings"
	"testing"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

func TestPublication_removedWhileOff(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.SetCIEnabled(d.project, false)
	d.refresh()
	p := d.planChange(nil)
	d.apply(p)
	if strings.Contains(strings.Join(describe(d.last), ""), "no longer pulls") && d.jobsPull() {
		t.Error("the warning says that the token no longer pulls, and it does")
	}
}

func TestPublication_widenScope(t *testing.T) {
	d := newDriver(t)
	d.mustApply(inProduction())
	if !d.runApply(variables()) {
		t.Error(describe(d.last))
	}
}

func TestPublication_longerLife(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables(arguments{"rotation": arguments{"expiration_days": 90}}))
	args := variables(arguments{"rotation": arguments{"expiration_days": 365}})
	d.mustApply(args)
	d.refresh()
	p := d.planChange(args)
	if d.text("last_action") == "rotate" || !p.empty() {
		t.Error("lengthening expiration_days rotates at once")
	}
}

func TestPublication_noRefresh(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.Clock.AdvanceDays(200)
	p := d.planChange(variables())
	d.gitlab.Clock.AdvanceDays(2) // a saved plan, late
	if !d.apply(p) {
		t.Fatal(describe(d.last))
	}
	d.mustBePublished("*")
	d.mustBeSettled(variables())
}

func TestPublication_latePlan(t *testing.T) {
	for name, f := range map[string]func(d *driver){
		"gone": func(d *driver) {
			d.gitlab.DeleteVariable(d.project, userKey, "*")
			d.gitlab.DeleteVariable(d.project, passwordKey, "*")
		},
		"hidden": func(d *driver) {
			d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: passwordKey, Value: "a-hidden-value", Hidden: true, Masked: true})
		},
		"off":    func(d *driver) { d.gitlab.SetCIEnabled(d.project, false) },
		"public": func(d *driver) { d.gitlab.SetVisibility(d.project, "public") },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t)
			d.mustApply(variables())
			d.gitlab.Clock.AdvanceDays(200)
			d.refresh()
			p := d.planChange(variables())
			d.gitlab.Clock.AdvanceDays(3)
			f(d)
			d.apply(p)
			d.accounted()
			d.gitlab.SetCIEnabled(d.project, true)
			d.gitlab.SetVisibility(d.project, "private")
			d.mustApply(variables())
			d.mustApply(variables())
			d.mustBePublished("*")
			d.mustBeSettled(variables())
		})
	}
}

func TestPublication_rename(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.RenameProject(d.project, "acme/market")
	d.gitlab.Clock.AdvanceDays(200)
	d.mustApply(variables())
	d.mustBePublished("*")
	d.mustBeSettled(variables())
	d.destroy()
	if n := len(d.gitlab.Variables(d.project)); n != 0 {
		t.Error(n)
	}
}

func TestPublication_replaceWhileOff(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.SetCIEnabled(d.project, false)
	d.gitlab.RevokeInSettings(d.gitlab.ActiveTokens(d.project)[0].ID)
	d.refresh()
	p := d.planChange(variables())
	d.apply(p)
	if strings.Contains(strings.Join(describe(p.diagnostics), ""), "keep the old token, which lives until it expires") {
		t.Error("the old token is revoked; it does not live")
	}
}

func TestPublication_endWhileOff(t *testing.T) {
	for _, v := range []string{"16.0.0", "18.0.0"} {
		t.Run(v, func(t *testing.T) {
			d := newDriver(t)
			d.gitlab.SetVersion(v)
			d.mustApply(variables())
			d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
			d.mustApply(variables())
			d.gitlab.SetCIEnabled(d.project, false)
			d.gitlab.Clock.AdvanceDays(370)
			d.mustApply(variables())
			d.gitlab.Clock.AdvanceDays(10)
			d.mustApply(variables())
			d.gitlab.SetCIEnabled(d.project, true)
			d.mustApply(variables())
			if n := len(d.gitlab.Variables(d.project)); n != 0 {
				t.Errorf("%d rows with a dead token are left, ci_status %q %v", n, d.text("ci_status"), describe(d.last))
			}
		})
	}
}

func TestPublication_sealAndPublishNotRequired(t *testing.T) {
	t.Run("begins", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(nil)
		d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
		d.mustApply(nil)
		if !d.runApply(sealedVariables()) {
			t.Error(describe(d.last))
		}
	})
	t.Run("repairs", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(variables())
		d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
		d.mustApply(variables())
		d.gitlab.DeleteVariable(d.project, passwordKey, "*")
		if !d.runApply(sealedVariables()) {
			t.Error(describe(d.last))
		}
	})
}

func TestPublication_sealedUsername(t *testing.T) {
	d := newDriver(t)
	d.mustApply(sealedVariables())
	d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
	d.mustApply(sealedVariables())
	args := sealedVariables()
	args["username"] = "deployer"
	d.mustApply(args)
	d.refresh()
	if s := d.text("ci_status"); s != "published" {
		t.Errorf("ci_status %q, and nobody has changed a variable", s)
	}
	d.mustBeSettled(args)
	d.destroy()
	if n := len(d.gitlab.Variables(d.project)); n != 0 {
		t.Errorf("%d of our rows are left: %v", n, describe(d.last))
	}
}

func TestPublication_scopeChangeRefusedAndUndone(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.Inject(gitlabtest.Fault{Match: deleteVariable, Status: 500, Times: gitlabtest.Always})
	d.runApply(inProduction())
	d.gitlab.ClearFaults()
	d.mustApply(variables())
	d.refresh()
	for _, v := range d.gitlab.Variables(d.project) {
		if v.Scope == "production" {
			t.Errorf("our own row of the scope production is left, and the plan blames somebody else")
		}
	}
}

func TestPublication_permanent(t *testing.T) {
	args := variables(arguments{"permanent": true})
	d := newDriver(t)
	d.mustApply(args)
	d.mustBeSettled(args)
	d.gitlab.Clock.AdvanceDays(400)
	d.mustBeSettled(args)
	next := variables(arguments{"permanent": true, "rotate_when_changed": map[string]string{"a": "b"}})
	d.mustApply(next)
	d.mustBeSettled(next)
	keep := variables(arguments{"permanent": true, "on_not_required": "keep", "rotate_when_changed": map[string]string{"a": "b"}})
	d.gitlab.SetVisibility(d.project, "public")
	d.mustApply(keep)
	d.mustBeSettled(keep)
	d.mustBePublished("*")
	d.mustApply(next)
	d.mustBeSettled(next)
}

func TestPublication_leftUser(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.edit(passwordKey, func(v *gitlabtest.Variable) { v.Value, v.Description = "theirs-theirs", "" })
	d.destroy()
	_, user := d.variable(userKey, "*")
	if user {
		t.Error("our user row is left, and called somebody's")
	}
}

func TestPublication_killedRotation(t *testing.T) {
	for _, v := range []string{"16.0.0", "18.0.0"} {
		d := newDriverFor(t, v)
		d.mustApply(variables())
		state, private := d.state, d.private
		d.gitlab.Clock.AdvanceDays(200)
		d.mustApply(variables())
		d.state, d.private = state, private
		d.mustApply(variables())
		d.mustBePublished("*")
		d.mustBeSettled(variables())
		d.destroy()
	}
}

func TestPublication_uncertainThenDestroy(t *testing.T) {
	for _, when := range []gitlabtest.When{gitlabtest.Before, gitlabtest.After} {
		for _, v := range []string{"16.0.0", "18.0.0"} {
			for _, base := range []arguments{nil, sealedFor(0)} {
				d := newDriverFor(t, v)
				d.base = base
				d.mustApply(variables())
				d.gitlab.Clock.AdvanceDays(200)
				d.gitlab.Inject(gitlabtest.Fault{Match: putVariable, Status: 502, Times: gitlabtest.Always, When: when})
				d.gitlab.Inject(gitlabtest.Fault{Match: "GET /projects/:id/variables/:key", Status: 502, Times: gitlabtest.Always})
				d.mustApply(variables())
				d.gitlab.ClearFaults()
				if !d.destroy() {
					t.Error(describe(d.last))
				}
				if n := len(d.gitlab.Variables(d.project)); n != 0 {
					t.Errorf("%s when %d sealed %v: %d rows left with dead tokens: %v", v, when, base != nil, n, describe(d.last))
				}
			}
		}
	}
}

func TestPublication_replaceWidensScope(t *testing.T) {
	d := newDriver(t)
	d.mustApply(inProduction())
	d.load()
	if !d.runApply(variables()) {
		t.Error(describe(d.last))
	}
}

func TestPublication_sameChosenUsername(t *testing.T) {
	d := newDriver(t)
	d.mustApply(arguments{"username": "deployer"})
	d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: userKey, Value: "deployer"})
	d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: passwordKey, Value: "their-own-password", Description: "theirs"})
	d.refresh()
	p := d.planChange(variables(arguments{"username": "deployer"}))
	d.apply(p)
	if v, _ := d.variable(passwordKey, "*"); v.Value != "their-own-password" {
		t.Error("overwritten without overwrite")
	}
}

// newDriverFor is newDriver for a GitLab of that version, within a test.
func newDriverFor(t *testing.T, version string) *driver {
	t.Helper()
	s := &fixture{TB: t, gitlab: gitlabtest.New(t)}
	s.populate()
	s.gitlab.SetVersion(version)
	d := &driver{fixture: s}
	d.load()
	return d
}

// TestPublication_withoutPermission: a fine-grained token that may not touch variables rotates and
// destroys all the same, and the variables are named.
func TestPublication_withoutPermission(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.token = d.gitlab.CreateFineGrainedToken(d.maintainer, gitlabtest.FineGrained{Project: d.project, Permissions: []string{
		"Project: Read", "Deploy Token: Read", "Deploy Token: Create", "Deploy Token: Delete",
	}})
	if !d.refresh() || d.text("ci_status") != "unreachable" {
		t.Errorf("ci_status %q: %v", d.text("ci_status"), describe(d.last))
	}
	if !d.destroy() || len(d.gitlab.ActiveTokens(d.project)) != 0 {
		t.Errorf("%d tokens live: %v", len(d.gitlab.ActiveTokens(d.project)), describe(d.last))
	}
	d.mustSay("CI/CD variables of acme/shop could not be removed")
}
