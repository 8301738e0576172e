package registryaccess_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

const (
	postToken   = "POST /projects/:id/deploy_tokens"
	deleteToken = "DELETE /projects/:id/deploy_tokens/:token_id"
	listTokens  = "GET /projects/:id/deploy_tokens"
	getProject  = "GET /projects/:id"
)

// operation is something that an apply does, with the way there.
type operation struct {
	name string
	args arguments
	// base are arguments on the way there and afterwards.
	base arguments
	// prepare brings driver and GitLab to where the next apply does it.
	prepare func(d *driver)
	destroy bool
	// publishes: it changes CI/CD variables.
	publishes bool
	// unpublishes: the variables are meant to be removed.
	unpublishes bool
}

func operations() []operation {
	created := func(d *driver) { d.mustApply(nil) }
	return []operation{
		{name: "create", prepare: func(*driver) {}},
		{name: "rotate", prepare: func(d *driver) { created(d); d.gitlab.Clock.AdvanceDays(340) }},
		{name: "rotate without overlap", args: arguments{"rotation": arguments{"overlap_days": 0}}, prepare: func(d *driver) {
			created(d)
			d.gitlab.Clock.AdvanceDays(340)
		}},
		{name: "rotate and revoke", args: arguments{"rotate_when_changed": map[string]string{"round": "2"}}, prepare: func(d *driver) {
			created(d)
			d.mustApply(arguments{"rotate_when_changed": map[string]string{"round": "1"}})
			d.gitlab.Clock.AdvanceDays(7)
		}},
		{name: "revoke", prepare: func(d *driver) {
			created(d)
			d.gitlab.Clock.AdvanceDays(340)
			d.mustApply(nil)
			d.gitlab.Clock.AdvanceDays(7)
		}},
		{name: "wind down", prepare: func(d *driver) { created(d); d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False) }},
		{name: "end", prepare: func(d *driver) {
			created(d)
			d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
			d.mustApply(nil)
			d.gitlab.Clock.AdvanceDays(7)
		}},
		{name: "withdraw", prepare: func(d *driver) { created(d); d.gitlab.SetVisibility(d.project, "public") }},
		{name: "mint again", prepare: func(d *driver) {
			created(d)
			d.gitlab.SetVisibility(d.project, "public")
			d.mustApply(nil)
			d.gitlab.Clock.AdvanceDays(8)
			d.mustApply(nil)
			d.gitlab.SetVisibility(d.project, "private")
		}},
		{name: "revoked by hand", prepare: func(d *driver) {
			created(d)
			d.dead = d.text("token") // and stays so until another one can be minted
			d.gitlab.RevokeInSettings(d.gitlab.ActiveTokens(d.project)[0].ID)
		}},
		{name: "take over", prepare: func(d *driver) {
			d.gitlab.SaveAutoDevOps(d.project, gitlabtest.True)
			d.importState(fmt.Sprint("acme/shop:", d.gitlab.Tokens(d.project)[0].ID))
		}},
		{name: "destroy", destroy: true, prepare: func(d *driver) {
			created(d)
			d.gitlab.Clock.AdvanceDays(340)
			d.mustApply(nil)
		}},
	}
}

// publications are the operations that change CI/CD variables.
func publications() []operation {
	published := func(d *driver) { d.mustApply(variables()) }
	all := []operation{
		{name: "create published", args: variables(), prepare: func(*driver) {}},
		{name: "rotate published", args: variables(), prepare: func(d *driver) { published(d); d.gitlab.Clock.AdvanceDays(200) }},
		{name: "rotate published without overlap", args: variables(arguments{"rotation": arguments{"overlap_days": 0}}), prepare: func(d *driver) {
			published(d)
			d.gitlab.Clock.AdvanceDays(200)
		}},
		{name: "begin", args: variables(), prepare: func(d *driver) { d.mustApply(nil) }},
		{name: "stop", unpublishes: true, prepare: published},
		{name: "repair", args: variables(), prepare: func(d *driver) {
			published(d)
			d.gitlab.DeleteVariable(d.project, passwordKey, "*")
		}},
		{name: "replace a hidden one", args: variables(), prepare: func(d *driver) {
			published(d)
			d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: passwordKey, Value: "a-hidden-value", Hidden: true, Masked: true})
		}},
		{name: "another scope", args: arguments{"ci_variables": arguments{"environment_scope": "production"}}, prepare: published},
		{name: "another username", args: variables(arguments{"username": "deployer"}), prepare: published},
		{name: "withdraw published", unpublishes: true, args: variables(), prepare: func(d *driver) { published(d); d.gitlab.SetVisibility(d.project, "public") }},
		{name: "end published", unpublishes: true, args: variables(), prepare: func(d *driver) {
			published(d)
			d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
			d.mustApply(variables())
			d.gitlab.Clock.AdvanceDays(366)
		}},
		{name: "destroy published", destroy: true, unpublishes: true, prepare: func(d *driver) {
			published(d)
			d.gitlab.Clock.AdvanceDays(200)
			d.mustApply(variables())
		}},
	}
	for i := range all {
		all[i].publishes = true
	}
	return all
}

// faults strike a request once, or so often that no retry gets through.
func faults(match string) map[string]gitlabtest.Fault {
	return map[string]gitlabtest.Fault{
		"403 before":           {Match: match, Status: 403, Body: `{"message":"403 Forbidden"}`},
		"500 before, for ever": {Match: match, Status: 500, Times: gitlabtest.Always},
		"500 after, for ever":  {Match: match, Status: 500, Times: gitlabtest.Always, When: gitlabtest.After},
		"500 after, once":      {Match: match, Status: 500, When: gitlabtest.After},
		"cut before, for ever": {Match: match, Times: gitlabtest.Always},
		"cut after, for ever":  {Match: match, Times: gitlabtest.Always, When: gitlabtest.After},
		"cut after, once":      {Match: match, When: gitlabtest.After},
		"cut during, for ever": {Match: match, Times: gitlabtest.Always, When: gitlabtest.During},
		"404 of a proxy":       {Match: match, Status: 404, Body: "<html>404</html>"},
		"redirect to a page":   {Match: match, Status: 301, Header: map[string]string{"Location": "/dashboard"}},
	}
}

// TestFailures injects an error before, in and after each API call that each
// operation makes. Whatever happens: the state is true, a Secret that could pull
// still can, no live token is unaccounted for, and the next apply converges.
func TestFailures(t *testing.T) {
	t.Parallel()
	for _, op := range append(operations(), publications()...) {
		t.Run(op.name, func(t *testing.T) {
			requests := requestsOf(t, op)
			if len(requests) == 0 {
				t.Fatal("the operation makes no request")
			}
			for _, match := range requests {
				for name, fault := range faults(match) {
					if op.publishes && readElsewhere(match) && name != "500 before, for ever" && name != "cut after, once" {
						continue
					}
					t.Run(strings.ReplaceAll(match, "/", "∕")+"/"+name, func(t *testing.T) {
						testFailure(t, op, fault)
					})
				}
			}
		})
	}
}

// readElsewhere reports whether the request is read in every operation, with every fault.
func readElsewhere(match string) bool {
	return match == getProject || match == listTokens || match == "GET /version" || match == "GET /jwt/auth"
}

// requestsOf runs the operation undisturbed and returns the kinds of request that it makes.
func requestsOf(t *testing.T, op operation) []string {
	t.Helper()
	d := newDriver(t)
	d.base = op.base
	op.prepare(d)
	d.gitlab.ForgetRequests()
	if ok := op.run(d); !ok {
		t.Fatalf("fails undisturbed: %v", describe(d.last))
	}
	var kinds []string
	for _, r := range d.gitlab.Requests() {
		if !slices.Contains(kinds, r.String()) {
			kinds = append(kinds, r.String())
		}
	}
	return kinds
}

// run reports whether the operation went without an error.
func (op operation) run(d *driver) bool {
	if op.destroy {
		return d.destroy()
	}
	return d.runApply(op.args)
}

func testFailure(t *testing.T, op operation, fault gitlabtest.Fault) {
	t.Helper()
	d := newDriver(t)
	d.base = op.base
	op.prepare(d)
	pulled := d.secretPulls()
	d.gitlab.Inject(fault)

	jobs := d.jobsPull()
	op.run(d)
	d.gitlab.ClearFaults()
	d.accounted()
	// A changed username is two writes, and a job between them gets a mixed pair.
	if jobs && !d.jobsPull() && !op.unpublishes && op.name != "another username" {
		t.Error("what a job gets pulled before and does not any more")
	}
	noOverlap := strings.HasSuffix(op.name, "without overlap")
	if pulled && !op.destroy && op.name != "end" && !noOverlap && !d.secretPulls() {
		t.Error("the Secret could pull before and cannot any more")
	}

	if op.destroy {
		if !d.destroy() {
			t.Fatalf("the next destroy fails: %v", describe(d.last))
		}
		if left := d.gitlab.ActiveTokens(d.project); len(left) != 0 {
			t.Errorf("destroyed, and %d tokens live", len(left))
		}
		// A 403 means that CI/CD is off, which must not keep tokens alive: a warning names the variables.
		if left := d.gitlab.Variables(d.project); len(left) != 0 && fault.Status != http.StatusForbidden {
			t.Errorf("destroyed, and %d variables are left", len(left))
		}
		return
	}
	d.converge(op.args)
	if d.isRequired() && op.args["ci_variables"] != nil && !d.jobsPull() {
		t.Error("converged, and what a job gets does not pull")
	}
	if d.isRequired() && !d.secretPulls() {
		t.Error("converged, and the Secret does not pull")
	}
}

// accounted wants every live token in the state, or marked as ours by its username so that the next plan names it.
func (d *driver) accounted() {
	d.Helper()
	for _, token := range d.gitlab.ActiveTokens(d.project) {
		id := fmt.Sprintf("%d", token.ID)
		// Before there is a state, the next plan names every token of the name.
		marked := d.state.IsNull() || token.Username == d.text("username")
		if !strings.Contains(d.stateText(), id) && !marked && token.Name != "gitlab-deploy-token" {
			d.Errorf("token %d lives and nobody knows of it: state knows %s", token.ID, d.stateText())
		}
	}
	if current := d.published().Token.Reveal(); current != "" && current != d.dead && d.isRequired() {
		alive := false
		for _, token := range d.gitlab.ActiveTokens(d.project) {
			alive = alive || token.Secret == current
		}
		if !alive {
			d.Error("the state publishes a dead token")
		}
	}
}

// converge applies until the plan is empty, at once and after the overlaps.
func (d *driver) converge(args arguments) {
	d.Helper()
	for range 3 {
		if d.recreate() {
			d.mustApply(args)
		}
		d.mustApply(args)
	}
	d.mustBeSettled(args)
	d.gitlab.Clock.AdvanceDays(8)
	d.mustApply(args)
	d.mustBeSettled(args)
	for _, token := range d.gitlab.ActiveTokens(d.project) {
		if !strings.Contains(d.stateText(), fmt.Sprint(token.ID)) {
			d.Errorf("token %d lives on, unknown", token.ID)
		}
	}
	// Orphans end with their own lifetime, so that a copy of the state that has
	// published one keeps it.
	d.gitlab.Clock.AdvanceDays(366)
	for range 3 {
		d.mustApply(args)
		d.gitlab.Clock.AdvanceDays(8)
	}
	d.mustApply(args)
	d.mustBeSettled(args)
	if live := d.gitlab.ActiveTokens(d.project); len(live) > 1 {
		d.Errorf("%d tokens live after the end of all lifetimes", len(live))
	}
}

// recreate destroys what a failed creation left, as core does with a tainted object.
func (d *driver) recreate() bool {
	if d.state.IsNull() || d.published().Token != "" || !d.isRequired() || d.secret != nil {
		return false
	}
	if !d.destroy() {
		d.Fatalf("destroy of a tainted object: %v", describe(d.last))
	}
	return true
}
