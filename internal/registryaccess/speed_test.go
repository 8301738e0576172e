package registryaccess_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/autodevops/terraform-provider-autodevops/internal/provider"
)

// BenchmarkPlan is PlanResourceChange with nothing due. make bench prints it.
func BenchmarkPlan(b *testing.B) {
	d := steady(b)
	config := d.object(d.resource.ValueType(), arguments{"project": "acme/shop"})
	req := &tfprotov6.PlanResourceChangeRequest{
		TypeName: typeName, PriorState: d.encode(d.state), ProposedNewState: d.encode(d.propose(config)),
		Config: d.encode(config), PriorPrivate: d.private,
	}
	b.ReportAllocs()
	for b.Loop() {
		resp, err := d.running.PlanResourceChange(b.Context(), req)
		if err != nil || len(resp.Diagnostics) > 0 {
			b.Fatal(err, describe(resp.Diagnostics))
		}
	}
}

// BenchmarkRead is ReadResource with an answer at hand, so without the network and what
// Go's client for it costs.
func BenchmarkRead(b *testing.B) {
	d := steady(b)
	req := &tfprotov6.ReadResourceRequest{TypeName: typeName, CurrentState: d.encode(d.state), Private: d.private}
	b.ReportAllocs()
	for b.Loop() {
		resp, err := d.running.ReadResource(b.Context(), req)
		if err != nil || len(resp.Diagnostics) > 0 {
			b.Fatal(err, describe(resp.Diagnostics))
		}
	}
}

// BenchmarkValidate is ValidateResourceConfig, once for each resource of each phase.
func BenchmarkValidate(b *testing.B) {
	d := steady(b)
	req := &tfprotov6.ValidateResourceConfigRequest{TypeName: typeName, Config: d.encode(d.object(d.resource.ValueType(), arguments{"project": "acme/shop"}))}
	b.ReportAllocs()
	for b.Loop() {
		resp, err := d.running.ValidateResourceConfig(b.Context(), req)
		if err != nil || len(resp.Diagnostics) > 0 {
			b.Fatal(err, describe(resp.Diagnostics))
		}
	}
}

// BenchmarkUpgrade is UpgradeResourceState, once for each resource of each phase.
func BenchmarkUpgrade(b *testing.B) {
	d := steady(b)
	req := &tfprotov6.UpgradeResourceStateRequest{TypeName: typeName, RawState: &tfprotov6.RawState{JSON: d.stateJSON()}}
	b.ReportAllocs()
	for b.Loop() {
		resp, err := d.running.UpgradeResourceState(b.Context(), req)
		if err != nil || len(resp.Diagnostics) > 0 {
			b.Fatal(err, describe(resp.Diagnostics))
		}
	}
}

// steady is a resource with nothing due, and a provider process.
func steady(b *testing.B) *driver {
	b.Helper()
	d := newDriverIn(b)
	d.mustApply(nil)
	d.mustBeSettled(nil)
	d.running = d.configured()
	return d
}

// TestShortcut_sameAnswers: with the shortcuts and without them, a refresh and a plan of
// the same resource give the same answer, at each point of each operation of TestFailures.
func TestShortcut_sameAnswers(t *testing.T) {
	shorter := 0
	for _, op := range slices.Concat(operations(), sealedOperations(), publications()) {
		d := newDriverIn(t)
		d.base = op.base
		op.prepare(d)
		for range 3 {
			shorter += d.compareAnswers(op.args)
			if op.destroy || !d.runApply(op.args) {
				break
			}
			shorter += d.compareAnswers(op.args)
			d.gitlab.Clock.AdvanceDays(8)
		}
	}
	if shorter < 12 {
		t.Errorf("only %d plans took the shortcut", shorter)
	}
}

// TestShortcut_argumentsTakenOut: an argument with a default that leaves the configuration
// is still in the proposed state, and the framework puts the default there.
func TestShortcut_argumentsTakenOut(t *testing.T) {
	for name, value := range (arguments{
		"mode": "always", "name": "another", "scopes": []string{"read_registry", "read_repository"}, "permanent": true,
		"on_not_required": "keep", "verify": false, "username": "puller", "visibility": "private", "rotate_when_changed": map[string]string{"a": "1"},
	}) {
		d := newDriverIn(t)
		d.mustApply(arguments{name: value})
		d.compareAnswers(nil)
		if d.compareAnswers(arguments{name: value}) == 0 {
			t.Errorf("%s: a steady plan does not take the shortcut", name)
		}
		if p := d.planChange(nil); p.empty() != (name == "username") {
			t.Errorf("%s was taken out, and the plan is empty: %v", name, p.empty())
		}
	}
}

// stateJSON is the state as it stands in a state file.
func (d *driver) stateJSON() []byte {
	d.Helper()
	encoded, err := json.Marshal(plain(d.TB, d.state))
	if err != nil {
		d.Fatal(err)
	}
	// plain has numbers as text.
	return regexp.MustCompile(`"(project_id|generation|token_id|docker_config_revision)":"([0-9e.+]+)"`).ReplaceAll(encoded, []byte(`"$1":$2`))
}

// TestShortcut_olderState: a state of 0.1.0 lacks attributes, and one of a later version
// has more.
func TestShortcut_olderState(t *testing.T) {
	d := newDriverIn(t)
	d.mustApply(round("1"))
	d.mustApply(round("2"))
	var state map[string]any
	if err := json.Unmarshal(d.stateJSON(), &state); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"token_status", "last_action", "ci_variables", "ci_status", "published_at", "environments_behind", "seal", "sealed_credentials"} {
		delete(state, name)
	}
	for _, retired := range state["retired_tokens"].([]any) {
		delete(retired.(map[string]any), "status")
		delete(retired.(map[string]any), "username")
	}
	state["of_a_later_version"] = true
	encoded, _ := json.Marshal(state)
	req := &tfprotov6.UpgradeResourceStateRequest{TypeName: typeName, RawState: &tfprotov6.RawState{JSON: encoded}}
	short, err := d.serve().UpgradeResourceState(t.Context(), req)
	long, otherErr := d.serve(provider.WithoutShortcuts()).UpgradeResourceState(t.Context(), req)
	if err != nil || otherErr != nil {
		t.Fatal(err, otherErr)
	}
	d.same("an upgrade", short, long)

	// What 0.1.0 left is refreshed and goes on as it is.
	d.state, d.private = d.decode(short.UpgradedState), nil
	d.mustBeSettled(round("2"))
	if d.text("token_status") != "active" {
		t.Errorf("status %q after the refresh", d.text("token_status"))
	}
	d.gitlab.Clock.AdvanceDays(8)
	d.mustApply(round("2"))
	d.mustBeSettled(round("2"))
	if live := d.gitlab.ActiveTokens(d.project); len(live) != 1 || !d.secretPulls() {
		t.Errorf("%d tokens live after the overlap", len(live))
	}
}

// TestShortcut_warnings: a plan that changes nothing can still warn.
func TestShortcut_warnings(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	d.gitlab.SetRegistryEnabled(false)
	d.compareAnswers(nil)
	if !d.refresh() {
		t.Fatal(describe(d.last))
	}
	if p := d.planChange(nil); !p.empty() || !slices.Equal(summaries(d.last), []string{"GitLab names no container registry for acme/shop"}) {
		t.Errorf("empty: %v, says %v", p.empty(), summaries(d.last))
	}
}

// compareAnswers refreshes and plans the state on both servers. It returns how many of
// the plans are empty, which is where the shortcut answers.
func (d *driver) compareAnswers(args arguments) (empty int) {
	d.Helper()
	if d.state.IsNull() {
		return 0
	}
	with, without := d.configure(d.serve()), d.configure(d.serve(provider.WithoutShortcuts()))
	read := &tfprotov6.ReadResourceRequest{TypeName: typeName, CurrentState: d.encode(d.state), Private: d.private}
	short, err := with.ReadResource(d.Context(), read)
	long, otherErr := without.ReadResource(d.Context(), read)
	if err != nil || otherErr != nil {
		d.Fatal(err, otherErr)
	}
	d.same("a refresh", short, long)

	state := d.decode(long.NewState)
	if state.IsNull() {
		return 0
	}
	before := d.state
	d.state = state
	defer func() { d.state = before }()
	for _, change := range []arguments{args, {"rotation": arguments{"expiration_days": 100}}, {"mode": "always"}, nil} {
		config := d.configuration(change)
		plan := &tfprotov6.PlanResourceChangeRequest{
			TypeName: typeName, PriorState: long.NewState, ProposedNewState: d.encode(d.propose(config)), Config: d.encode(config),
			PriorPrivate: long.Private, PriorIdentity: long.NewIdentity,
		}
		shortPlan, err := with.PlanResourceChange(d.Context(), plan)
		longPlan, otherErr := without.PlanResourceChange(d.Context(), plan)
		if err != nil || otherErr != nil {
			d.Fatal(err, otherErr)
		}
		d.same("a plan", shortPlan, longPlan)
		if bytes.Equal(longPlan.PlannedState.MsgPack, long.NewState.MsgPack) {
			empty++
		}
	}
	return empty
}

// same compares two answers byte for byte.
func (d *driver) same(what string, short, long any) {
	d.Helper()
	if !reflect.DeepEqual(short, long) {
		d.Errorf("%s differs: %s", what, firstDifference(reflect.ValueOf(short).Elem(), reflect.ValueOf(long).Elem()))
	}
}

// firstDifference names the first field that differs, without its value: it may hold secrets.
func firstDifference(a, b reflect.Value) string {
	for i := range a.NumField() {
		if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			return a.Type().Field(i).Name
		}
	}
	return "nothing"
}
