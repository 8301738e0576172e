package registryaccess_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// inProduction publishes only for the jobs of production.
func inProduction() arguments {
	return arguments{"ci_variables": arguments{"environment_scope": "production"}}
}

func TestPublication_uncertainScopeChange(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.Inject(gitlabtest.Fault{Match: postVariable, Status: 502, Times: gitlabtest.Always})
	d.runApply(inProduction())
	d.gitlab.ClearFaults()
	d.mustApply(inProduction())
	d.mustBePublished("production")
	d.mustBeSettled(inProduction())
	if _, left := d.variable(passwordKey, "*"); left {
		t.Error("our pair of the old scope is left behind, and nothing says so")
	}
	d.destroy()
	if n := len(d.gitlab.Variables(d.project)); n != 0 {
		t.Errorf("%d rows left after the destroy: %v", n, describe(d.last))
	}
}

func TestPublication_rotateAndScopeDeleteFails(t *testing.T) {
	for name, base := range map[string]arguments{"plain": nil, "sealed": sealedFor(0), "own username": {"username": "deployer"}} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t)
			d.base = base
			d.mustApply(variables())
			d.gitlab.Clock.AdvanceDays(200)
			d.gitlab.Inject(gitlabtest.Fault{Match: deleteVariable, Status: 403, Body: `{"message":"403 Forbidden"}`, Times: gitlabtest.Always})
			ok := d.runApply(inProduction())
			if !ok {
				t.Error("S1: minted, proven, published, and then an error")
			}
			for _, token := range d.gitlab.ActiveTokens(d.project) {
				if !strings.Contains(d.stateText(), fmt.Sprint(token.ID)) {
					t.Errorf("token %d lives in the variables, and the state does not know it: %s", token.ID, d.stateText())
				}
			}
			d.gitlab.ClearFaults()
			d.mustApply(inProduction())
			for _, token := range d.gitlab.ActiveTokens(d.project) {
				if !strings.Contains(d.stateText(), fmt.Sprint(token.ID)) {
					t.Errorf("after next apply: token %d lives unknown: %s", token.ID, d.stateText())
				}
			}
			d.mustBeSettled(inProduction())
		})
	}
}

func TestPublication_valueChangedDescriptionStays(t *testing.T) {
	for _, how := range []string{"destroy", "unpublish", "withdraw"} {
		t.Run(how, func(t *testing.T) {
			d := newDriver(t)
			d.mustApply(variables())
			d.edit(passwordKey, func(v *gitlabtest.Variable) { v.Value = "somebodys-own-value" })
			switch how {
			case "destroy":
				d.refresh()
				d.destroy()
			case "unpublish":
				d.mustApply(nil)
			case "withdraw":
				d.gitlab.SetVisibility(d.project, "public")
				d.mustApply(variables())
			}
			if v, _ := d.variable(passwordKey, "*"); v.Value != "somebodys-own-value" {
				t.Errorf("somebody's value was removed: %v", describe(d.last))
			}
		})
	}
}

func TestPublication_hold(t *testing.T) {
	t.Run("removed", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(variables())
		d.gitlab.SetRegistryEnabled(false)
		d.runApply(nil)
		d.gitlab.SetRegistryEnabled(true)
		d.mustApply(nil)
		d.mustApply(nil)
		d.mustBeSettled(nil)
		if n := len(d.gitlab.Variables(d.project)); n != 0 {
			t.Errorf("%d of our rows are left for ever", n)
		}
	})
	t.Run("added", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(nil)
		d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: passwordKey, Value: "their-own-password", Description: "theirs"})
		d.gitlab.SetRegistryEnabled(false)
		d.runApply(variables())
		d.gitlab.SetRegistryEnabled(true)
		ok := d.runApply(variables())
		if v, _ := d.variable(passwordKey, "*"); v.Value != "their-own-password" {
			t.Errorf("somebody's variable was overwritten without overwrite (%v): %v", ok, describe(d.last))
		}
	})
	t.Run("scope", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(variables())
		d.gitlab.SetRegistryEnabled(false)
		d.runApply(inProduction())
		d.gitlab.SetRegistryEnabled(true)
		d.mustApply(inProduction())
		d.mustBeSettled(inProduction())
		if _, left := d.variable(passwordKey, "*"); left {
			t.Error("our pair of the old scope is left behind")
		}
	})
}

func TestPublication_sealedWindDown(t *testing.T) {
	t.Run("added", func(t *testing.T) {
		d := newDriver(t)
		d.base = sealedFor(0)
		d.mustApply(nil)
		d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
		d.mustApply(nil)
		d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: passwordKey, Value: "their-own-password", Description: "theirs"})
		d.runApply(variables())
		d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.True)
		ok := d.runApply(variables())
		if v, _ := d.variable(passwordKey, "*"); v.Value != "their-own-password" {
			t.Errorf("somebody's variable was overwritten without overwrite (%v): %v", ok, describe(d.last))
		}
	})
	t.Run("scope", func(t *testing.T) {
		d := newDriver(t)
		d.base = sealedFor(0)
		d.mustApply(variables())
		d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
		d.mustApply(variables())
		d.mustApply(inProduction())
		if n := len(d.gitlab.Variables(d.project)); n == 0 {
			t.Error("the rows are gone during the wind-down, and nothing is published")
		}
		d.mustBeSettled(inProduction())
	})
}

func TestPublication_uncertainThenOff(t *testing.T) {
	args := variables(arguments{"rotation": arguments{"overlap_days": 0}})
	d := newDriver(t)
	d.mustApply(args)
	d.gitlab.Clock.AdvanceDays(200)
	d.gitlab.Inject(gitlabtest.Fault{Match: putVariable, Status: 502, Times: gitlabtest.Always})
	d.mustApply(args)
	d.mustSay("may not be published")
	d.gitlab.ClearFaults()
	d.gitlab.SetCIEnabled(d.project, false)
	d.mustApply(args)
	if !d.jobsPull() {
		t.Error("the token in the variables was revoked while nobody knew that it was replaced there")
	}
	d.gitlab.SetCIEnabled(d.project, true)
	d.gitlab.Deploy(d.project, "production")
	if !d.gitlab.ClusterPulls(d.project, "production") {
		t.Error("the first deployment after CI is on again cannot pull")
	}
}

func TestPublication_unreachableThenNoOverlap(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.SetCIEnabled(d.project, false)
	d.gitlab.Clock.AdvanceDays(200)
	d.mustApply(variables())
	args := variables(arguments{"rotation": arguments{"overlap_days": 0}})
	d.refresh()
	p := d.planChange(args)
	d.apply(p)
	if !d.jobsPull() {
		t.Error("the token in the variables was revoked")
	}
}

func TestPublication_ownUsername(t *testing.T) {
	args := variables(arguments{"username": "deployer"})
	t.Run("replace", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(args)
		d.load() // -replace plans a creation, whatever the order
		if !d.runApply(args) {
			t.Error(describe(d.last))
		}
	})
	t.Run("import", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(args)
		id := d.gitlab.Tokens(d.project)[0].ID
		d.load()
		d.importState(fmt.Sprint("acme/shop:", id))
		if !d.runApply(args) {
			t.Error(describe(d.last))
		}
	})
}

func TestPublication_noPrivate(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	d.gitlab.Clock.AdvanceDays(200)
	d.private = nil
	d.mustApply(variables())
	if d.text("last_action") != "publish" {
		t.Error(d.text("last_action"))
	}
	d.mustBeSettled(variables())
}

func TestPublication_restoreFails(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.Clock.AdvanceDays(200)
	d.refresh()
	p := d.planChange(variables())
	d.gitlab.Inject(gitlabtest.Fault{
		Match: putVariable, When: gitlabtest.After, Status: 200,
		Body: `{"variable_type":"env_var","key":"CI_DEPLOY_PASSWORD","value":"x","hidden":false,"protected":false,"masked":false,"raw":true,"environment_scope":"*","description":null}`,
	})
	d.gitlab.Inject(gitlabtest.Fault{Match: putVariable, Status: 502, Times: gitlabtest.Always})
	d.apply(p)
	if !d.jobsPull() {
		t.Error("the variables hold a token that this apply has revoked")
	}
}

func TestPublication_neverPublished(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.mustApply(round("2"))
	d.mustBeSettled(round("2"))
	d.mustApply(round("3"))
	if r := d.retired(); len(r) != 2 || r[1].revokeAt.After(d.gitlab.Clock.Now().AddDate(0, 0, 8)) {
		t.Errorf("a token that was never in variables lives until its expiry: %v", r)
	}
}

func TestPublication_echo(t *testing.T) {
	d := newDriver(t)
	d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: userKey, Value: "their-user", Description: "theirs"})
	d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: passwordKey, Value: "their-own-password", Description: "theirs"})
	d.gitlab.Inject(gitlabtest.Fault{Match: putVariable, Skip: 1, Times: 1, When: gitlabtest.After, Status: 200,
		Body: `{"variable_type":"env_var","key":"CI_DEPLOY_PASSWORD","value":"x","hidden":false,"protected":false,"masked":false,"raw":true,"environment_scope":"*","description":null}`})
	d.gitlab.Inject(gitlabtest.Fault{Match: putVariable, Skip: 1, Times: gitlabtest.Always, Status: 400, Body: `{"message":{"value":["their-own-password is invalid"]}}`})
	d.runApply(arguments{"ci_variables": arguments{"overwrite": true}})
	if strings.Contains(strings.Join(describe(d.last), "\n"), "their-own-password") {
		t.Error(describe(d.last))
	}
}

func TestPublication_rowsOfARetiredToken(t *testing.T) {
	for _, c := range []struct {
		name, version string
		days          int
		args          arguments
	}{
		{"old GitLab", "16.0.0", 0, variables()},
		{"long ago", "18.0.0", 366, variables()},
		{"username", "18.0.0", 0, variables(arguments{"username": "deployer"})},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDriver(t)
			d.gitlab.SetVersion(c.version)
			d.mustApply(variables())
			d.gitlab.SetCIEnabled(d.project, false)
			d.gitlab.Clock.AdvanceDays(200)
			d.mustApply(c.args)
			d.gitlab.Clock.AdvanceDays(c.days)
			d.mustApply(c.args)
			d.gitlab.SetCIEnabled(d.project, true)
			d.refresh()
			d.destroy()
			if left := d.gitlab.Variables(d.project); len(left) != 0 {
				t.Errorf("%d of our rows are left, with a token that was revoked: %v", len(left), describe(d.last))
			}
		})
	}
}

func TestPublication_unknown(t *testing.T) {
	d := newDriver(t)
	typ := d.resource.ValueType().(tftypes.Object).AttributeTypes["ci_variables"]
	p := d.planChange(arguments{"ci_variables": tftypes.NewValue(typ, tftypes.UnknownValue)})
	if failed(p.diagnostics) {
		t.Fatal(describe(p.diagnostics))
	}
	p.config = d.configuration(variables())
	if !d.apply(p) {
		t.Fatal(describe(d.last))
	}
	d.mustBePublished("*")
	d.mustBeSettled(variables())
	p = d.planChange(arguments{"ci_variables": tftypes.NewValue(typ, tftypes.UnknownValue)})
	p.config = d.configuration(inProduction())
	if !d.apply(p) {
		t.Fatal(describe(d.last))
	}
	d.mustBePublished("production")
	d.mustBeSettled(inProduction())
	p = d.planChange(arguments{"ci_variables": tftypes.NewValue(typ, tftypes.UnknownValue)})
	p.config = d.configuration(nil)
	if !d.apply(p) {
		t.Fatal(describe(d.last))
	}
	d.mustBeSettled(nil)
	if n := len(d.gitlab.Variables(d.project)); n != 0 {
		t.Error(n)
	}
}

// TestPublication_two: two resources of one project publish over each other, and the plan says so.
func TestPublication_two(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	first, firstPrivate := d.state, d.private
	d.load()
	d.mustApply(variables(arguments{"name": "other"}))
	d.state, d.private = first, firstPrivate
	d.refresh()
	d.mustSay("CI/CD variables of acme/shop hold another resource's credentials")
	if d.planChange(variables()).empty() {
		t.Error("the first resource does not publish again")
	}
}

func TestPublication_race(t *testing.T) {
	d := newDriver(t)
	done := false
	d.gitlab.OnRequest(func(r gitlabtest.Request) {
		if r.String() == postVariable && !done && d.gitlab.CountRequests(postVariable) >= 1 {
			done = true
			d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: passwordKey, Value: "their-own-password"})
		}
	})
	d.runApply(variables())
	v, _ := d.variable(passwordKey, "*")
	_, user := d.variable(userKey, "*")
	if v.Value != "their-own-password" || user || len(d.gitlab.ActiveTokens(d.project)) != 0 {
		t.Error("their variable was changed, or something of ours is left")
	}
}
