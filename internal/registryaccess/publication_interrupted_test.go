package registryaccess_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

func joined(a arguments, more ...arguments) arguments {
	a = maps.Clone(a)
	for _, m := range more {
		maps.Copy(a, m)
	}
	return a
}

func atOnce() arguments { return arguments{"rotation": arguments{"overlap_days": 0}} }

const getVariable = "GET /projects/:id/variables/:key"

// TestPublication_staleTwice: what a failed apply leaves in another scope is removed by a later one, however often it fails.
func TestPublication_staleTwice(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.Inject(gitlabtest.Fault{Match: deleteVariable, Status: 502, Times: gitlabtest.Always})
	d.mustApply(inProduction())
	d.mustApply(inProduction())
	d.gitlab.ClearFaults()
	d.mustApply(inProduction())
	d.mustApply(inProduction())
	if _, left := d.variable(passwordKey, "*"); left {
		t.Errorf("our pair of the old scope is left for ever; last_action %q, last_change %q", d.text("last_action"), d.text("last_change"))
	}
}

// TestPublication_twoUncertainThenOff: after two uncertain publications, any of the tokens may be in the variables.
func TestPublication_twoUncertainThenOff(t *testing.T) {
	d := newDriver(t)
	a := func(n string) arguments { return joined(variables(), atOnce(), round(n)) }
	d.mustApply(a("1"))
	blind := gitlabtest.Fault{Match: getVariable, Status: 502, Times: gitlabtest.Always}
	d.gitlab.Inject(gitlabtest.Fault{Match: putVariable, Status: 502, When: gitlabtest.After, Times: gitlabtest.Always})
	d.gitlab.Inject(blind)
	d.mustApply(a("2")) // written, not known
	d.gitlab.ClearFaults()
	d.gitlab.Inject(gitlabtest.Fault{Match: putVariable, Status: 502, Times: gitlabtest.Always})
	d.gitlab.Inject(blind)
	d.mustApply(a("3")) // not written, not known
	d.gitlab.ClearFaults()
	if !d.jobsPull() {
		t.Fatal("before")
	}
	d.gitlab.SetCIEnabled(d.project, false)
	d.mustApply(a("3"))
	if !d.jobsPull() {
		t.Errorf("the token in the variables was revoked: %v", describe(d.last))
	}
}

func TestPublication_importUncertainThenOff(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	id := d.gitlab.Tokens(d.project)[0].ID
	d.load()
	d.importState(fmt.Sprint("acme/shop:", id))
	a := joined(variables(), atOnce())
	d.gitlab.Inject(gitlabtest.Fault{Match: putVariable, Status: 502, Times: gitlabtest.Always})
	d.gitlab.Inject(gitlabtest.Fault{Match: getVariable, Status: 502, Times: gitlabtest.Always})
	d.mustApply(a)
	d.gitlab.ClearFaults()
	d.gitlab.SetCIEnabled(d.project, false)
	d.mustApply(a)
	if !d.jobsPull() {
		t.Errorf("the token in the variables was revoked: %v", describe(d.last))
	}
}

func TestPublication_withdrawAtOnceWhileOff(t *testing.T) {
	d := newDriver(t)
	a := joined(variables(), atOnce())
	d.mustApply(a)
	d.gitlab.SetCIEnabled(d.project, false)
	d.gitlab.SetVisibility(d.project, "public")
	d.runApply(a)
	d.runApply(a)
	if !d.jobsPull() {
		t.Errorf("the token in the variables was revoked")
	}
}

// TestPublication_killedThenRemoved: the pair of an interrupted rotation is ours when ci_variables is removed.
func TestPublication_killedThenRemoved(t *testing.T) {
	for _, how := range []string{"removed", "public"} {
		t.Run(how, func(t *testing.T) {
			d := newDriver(t)
			d.mustApply(joined(variables(), round("1")))
			s, p := d.state, d.private
			d.mustApply(joined(variables(), round("2")))
			d.state, d.private = s, p // killed
			a := round("1")
			if how == "public" {
				d.gitlab.SetVisibility(d.project, "public")
				a = joined(a, variables())
			}
			d.mustApply(a)
			d.mustApply(a)
			if n := len(d.gitlab.Variables(d.project)); n != 0 {
				t.Errorf("%d rows of ours are left after the withdrawal: %v", n, describe(d.last))
			}
			d.destroy()
			if n := len(d.gitlab.Variables(d.project)); n != 0 && !d.jobsPull() {
				t.Errorf("after the destroy, jobs get a dead pair: %v", describe(d.last))
			}
		})
	}
}

func TestPublication_reAddedWhileOff(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.SetCIEnabled(d.project, false)
	d.mustApply(nil)
	d.refresh()
	p := d.planChange(variables())
	planned := !failed(p.diagnostics)
	if applied := d.apply(p); planned && !applied {
		t.Errorf("the plan says nothing, and the apply fails: %v", describe(d.last))
	}
	if !d.runApply(variables()) {
		t.Errorf("and again: %v", describe(d.last))
	}
}

// TestPublication_lostPrivateThenRemoved: a state that lost its notes still knows that its token was published.
func TestPublication_lostPrivateThenRemoved(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.Clock.Advance(3 * time.Minute)
	d.gitlab.Deploy(d.project, "production")
	d.private = nil
	d.mustApply(nil)
	d.mustApply(round("2"))
	d.gitlab.Clock.AdvanceDays(8)
	d.mustApply(round("2"))
	if !d.gitlab.ClusterPulls(d.project, "production") {
		t.Error("the token in the cluster was revoked before its expiry")
	}
}

// TestPublication_longHistory: however often a publication is uncertain, what the variables hold is not forgotten.
func TestPublication_longHistory(t *testing.T) {
	for _, v := range []string{"16.0.0", "18.0.0"} {
		for name, base := range map[string]arguments{"plain": nil, "sealed": sealedFor(0)} {
			t.Run(v+name, func(t *testing.T) {
				d := newDriverFor(t, v)
				d.base = base
				d.mustApply(joined(variables(), round("1")))
				d.gitlab.Inject(gitlabtest.Fault{Match: putVariable, Status: 502, Times: gitlabtest.Always})
				for range 22 {
					d.mustApply(joined(variables(), round("2")))
				}
				d.gitlab.ClearFaults()
				t.Log(len(d.gitlab.ActiveTokens(d.project)), "live tokens")
				if !d.destroy() {
					t.Error(describe(d.last))
				}
				if n := len(d.gitlab.Variables(d.project)); n != 0 {
					t.Errorf("%d rows left: %v", n, describe(d.last))
				}
			})
		}
	}
}

// TestPublication_longHistoryAtOnce: the same, without an overlap: what the variables hold is not revoked.
func TestPublication_longHistoryAtOnce(t *testing.T) {
	d := newDriver(t)
	a := func(n string) arguments { return joined(variables(), atOnce(), round(n)) }
	d.mustApply(a("1"))
	d.gitlab.Inject(gitlabtest.Fault{Match: putVariable, Status: 502, Times: gitlabtest.Always})
	for range 22 {
		d.mustApply(a("2"))
	}
	d.gitlab.ClearFaults()
	d.gitlab.SetCIEnabled(d.project, false)
	d.mustApply(a("2"))
	if !d.jobsPull() {
		t.Error("the token in the variables was revoked")
	}
}

// TestPublication_removedAndMintFails: a removal is noted although the rotation of the same apply fails.
func TestPublication_removedAndMintFails(t *testing.T) {
	d := newDriver(t)
	d.mustApply(joined(variables(), round("1")))
	d.gitlab.Inject(gitlabtest.Fault{Match: postToken, Status: 403, Body: `{"message":"403 Forbidden"}`, Times: gitlabtest.Always})
	if d.runApply(round("2")) {
		t.Fatal("minted")
	}
	d.gitlab.ClearFaults()
	d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: passwordKey, Value: "their-own-password"})
	d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: userKey, Value: "their-user"})
	d.runApply(joined(variables(), round("1")))
	if v, _ := d.variable(passwordKey, "*"); v.Value != "their-own-password" {
		t.Errorf("overwritten without overwrite: %v", describe(d.last))
	}
}

func TestPublication_privateLostWithStale(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.Inject(gitlabtest.Fault{Match: deleteVariable, Status: 502, Times: gitlabtest.Always})
	d.mustApply(inProduction())
	d.gitlab.ClearFaults()
	d.private = nil
	d.refresh()
	d.destroy()
	if n := len(d.gitlab.Variables(d.project)); n != 0 && len(d.last) == 0 {
		t.Errorf("%d rows with a dead token are left, and nothing says so", n)
	}
}

func TestPublication_privateAgainWhileOff(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.SetCIEnabled(d.project, false)
	d.gitlab.SetVisibility(d.project, "public")
	d.mustApply(variables())
	d.gitlab.SetVisibility(d.project, "private")
	if !d.runApply(variables()) {
		t.Logf("error while off: %v", describe(d.last))
	}
	d.gitlab.SetCIEnabled(d.project, true)
	d.mustApply(variables())
	d.mustBePublished("*")
	d.mustBeSettled(variables())
	if strings.Contains(d.text("last_change"), "ci_variables was removed") {
		t.Error(d.text("last_change"))
	}
}

func TestPublication_reAddedWhileOff2(t *testing.T) {
	t.Run("saved removal", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(variables())
		d.refresh()
		p := d.planChange(nil)
		d.gitlab.SetCIEnabled(d.project, false)
		if !d.apply(p) {
			t.Fatal(describe(d.last))
		}
		d.refresh()
		p = d.planChange(variables())
		planned := !failed(p.diagnostics)
		if applied := d.apply(p); planned && !applied {
			t.Errorf("the plan says nothing, and the apply fails: %v", describe(d.last))
		}
	})
	t.Run("rotation is due", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(joined(variables(), round("1")))
		d.gitlab.SetCIEnabled(d.project, false)
		d.mustApply(round("1"))
		d.refresh()
		p := d.planChange(joined(variables(), round("2")))
		planned := !failed(p.diagnostics)
		if applied := d.apply(p); planned && !applied {
			t.Errorf("the plan says nothing, and the apply fails: %v", describe(d.last))
		}
	})
}

// B14: no overlap from now on, while a withdrawn token is in variables out of reach.
func TestPublication_endRetiredWhileOff(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.SetCIEnabled(d.project, false)
	d.gitlab.SetVisibility(d.project, "public")
	d.mustApply(variables())
	d.gitlab.SetVisibility(d.project, "private")
	d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
	d.runApply(joined(variables(), atOnce()))
	if !d.jobsPull() {
		t.Error("the token in the variables was revoked")
	}
}

// B15: an end without overlap while CI is off.
func TestPublication_endAtOnceWhileOff(t *testing.T) {
	d := newDriver(t)
	a := joined(variables(), atOnce())
	d.mustApply(a)
	d.gitlab.SetCIEnabled(d.project, false)
	d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
	d.mustApply(a)
	d.mustApply(a)
	if !d.jobsPull() {
		t.Errorf("revoked: %v", describe(d.last))
	}
}

// B16: the registry is off while the scope changes, and the object is tainted.
func TestPublication_holdScopeLost(t *testing.T) {
	d := newDriver(t)
	d.mustApply(inProduction())
	d.gitlab.SetRegistryEnabled(false)
	d.runApply(variables())
	d.gitlab.SetRegistryEnabled(true)
	d.private = nil
	d.destroy()
	if n := len(d.gitlab.Variables(d.project)); n != 0 && len(d.last) == 0 {
		t.Errorf("%d rows left, nothing said", n)
	}
}

// B17: killed scope change.
func TestPublication_killedScopeChange(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	s, p := d.state, d.private
	d.mustApply(joined(inProduction(), round("2")))
	d.state, d.private = s, p
	d.mustApply(variables())
	d.mustApply(variables())
	d.mustBePublished("*")
	d.mustBeSettled(variables())
	if _, left := d.variable(passwordKey, "production"); left {
		t.Errorf("the pair of the killed apply is left in production, ci_status %q", d.text("ci_status"))
	}
}

var _ = time.Now

// TestPublication_sealedTaintOldGitLab: a pair beside our generated username is ours if nothing speaks against it.
func TestPublication_sealedTaintOldGitLab(t *testing.T) {
	d := newDriverFor(t, "16.0.0")
	d.base = sealedFor(0)
	d.mustApply(variables())
	d.private = nil // Terraform keeps none of a tainted object
	if !d.destroy() {
		t.Error(describe(d.last))
	}
	_, user := d.variable(userKey, "*")
	_, password := d.variable(passwordKey, "*")
	if user || password {
		t.Errorf("left: user %v password %v", user, password)
	}
	d.load()
	if !d.runApply(variables()) {
		t.Error(describe(d.last))
	}
}

func TestPublication_killedWidening(t *testing.T) {
	for name, c := range map[string][2]arguments{"to *": {inProduction(), variables()}, "to production": {variables(), inProduction()}} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t)
			d.mustApply(joined(c[0], round("1")))
			s, p := d.state, d.private
			d.mustApply(joined(c[1], round("2")))
			d.state, d.private = s, p
			d.mustApply(joined(c[0], round("1")))
			d.mustApply(joined(c[0], round("1")))
			d.mustBeSettled(joined(c[0], round("1")))
			t.Logf("ci_status %s, said %v", d.text("ci_status"), summaries(d.last))
			d.refresh()
			d.destroy()
			for _, v := range d.gitlab.Variables(d.project) {
				t.Errorf("left after the destroy: %s %s; said %v", v.Key, v.Scope, summaries(d.last))
			}
			if len(d.gitlab.ActiveTokens(d.project)) != 0 {
				t.Error("live")
			}
		})
	}
}

// B20: killed scope change alone, no new token.
func TestPublication_killedScopeOnly(t *testing.T) {
	d := newDriver(t)
	d.mustApply(inProduction())
	s, p := d.state, d.private
	d.mustApply(variables())
	d.state, d.private = s, p
	d.mustApply(inProduction())
	d.mustBeSettled(inProduction())
	d.destroy()
	for _, v := range d.gitlab.Variables(d.project) {
		t.Errorf("left after the destroy: %s %s; said %v", v.Key, v.Scope, summaries(d.last))
	}
}

// B21: killed withdrawal of the first publication: variables of a killed publication with no ci_variables in the state.
func TestPublication_killedPublication(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	s, p := d.state, d.private
	d.mustApply(variables())
	d.state, d.private = s, p
	d.mustBeSettled(nil)
	d.destroy()
	for _, v := range d.gitlab.Variables(d.project) {
		t.Errorf("left after the destroy: %s %s; said %v", v.Key, v.Scope, summaries(d.last))
	}
}
