package registryaccess_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
	"github.com/autodevops/terraform-provider-autodevops/internal/seal"
)

// with joins arguments.
func with(all ...arguments) arguments {
	joined := arguments{}
	for _, one := range all {
		maps.Copy(joined, one)
	}
	return joined
}

// refreshedPlan refreshes and plans.
func (d *driver) refreshedPlan(args arguments) plan {
	d.Helper()
	if !d.refresh() {
		d.Fatalf("refresh failed: %v", describe(d.last))
	}
	return d.planChange(args)
}

// wantSealed wants the state to publish a working token, or nothing, to these recipients.
func (d *driver) wantSealed(works bool, recipients ...int) {
	d.Helper()
	for i := range sealKeys() {
		c, err := d.opened(i)
		if !slices.Contains(recipients, i) {
			if !errors.Is(err, seal.ErrOtherRecipients) {
				d.Errorf("recipient %d is none, and gets %v", i, err)
			}
			continue
		}
		if err != nil {
			d.Errorf("recipient %d: %v", i, err)
			continue
		}
		username, password := credentials(c.DockerConfigJSON.Reveal())
		switch {
		case !works && (c != seal.Credentials{DockerConfigJSON: access.EmptyDockerConfig}):
			d.Error("credentials are published, and none should be")
		case works && (username != c.Username || password != c.Token.Reveal() || !d.gitlab.CanPull(d.project, username, password)):
			d.Errorf("the published credentials of %q do not pull", username)
		}
	}
	for _, name := range []string{"token", "docker_config_json"} {
		if !d.attributes(d.state)[name].IsNull() {
			d.Errorf("%s is not null", name)
		}
	}
}

// wantAction wants a plan with that action, and returns it.
func (d *driver) wantAction(args arguments, action access.Action, why string) plan {
	d.Helper()
	p := d.refreshedPlan(args)
	if failed(p.diagnostics) {
		d.Fatalf("the plan fails: %v", describe(p.diagnostics))
	}
	if got := d.textOf(p.planned, "last_action"); got != string(action) || !strings.HasPrefix(d.textOf(p.planned, "last_change"), why) {
		d.Errorf("plans %s (%s), want %s (%s)", got, d.textOf(p.planned, "last_change"), action, why)
	}
	return p
}

func (d *driver) mustCarryOut(p plan) {
	d.Helper()
	if !d.apply(p) {
		d.Fatalf("apply failed: %v", describe(d.last))
	}
}

// TestSeal_life: everything of the lifecycle works sealed, steady plans are empty, and what
// is sealed is not sealed again.
func TestSeal_life(t *testing.T) {
	d := newDriver(t)
	d.base = sealedFor(0, 1)
	settled := func(works bool) {
		t.Helper()
		before := d.text("sealed_credentials")
		d.mustBeSettled(nil)
		if d.text("sealed_credentials") != before {
			t.Error("a refresh has changed what is sealed")
		}
		d.wantSealed(works, 0, 1)
	}

	p := d.wantAction(nil, access.ActionMint, "Minted: ")
	planned := d.attributes(p.planned)
	if !planned["token"].IsNull() || !planned["docker_config_json"].IsNull() || planned["sealed_credentials"].IsKnown() || planned["docker_config_revision"].IsKnown() {
		t.Errorf("plans %v, %v", planned["sealed_credentials"], planned["docker_config_revision"])
	}
	d.mustCarryOut(p)
	settled(true)
	username := d.text("username")

	d.gitlab.Clock.AdvanceDays(340)
	d.mustCarryOut(d.wantAction(nil, access.ActionRotate, "Rotated: "))
	settled(true)
	if retired := d.attributes(d.state)["retired_tokens"].String(); !strings.Contains(retired, username) {
		t.Errorf("the retired token has no username: %s", retired)
	}

	// A revocation changes nothing that is published.
	d.gitlab.Clock.AdvanceDays(7)
	before := d.text("sealed_credentials")
	p = d.wantAction(nil, access.ActionRevoke, "Rotated: ")
	if d.textOf(p.planned, "sealed_credentials") != before || !d.attributes(p.planned)["retired_tokens"].IsFullyKnown() {
		t.Error("the plan of a revocation does not know what stays")
	}
	d.mustCarryOut(p)
	settled(true)

	d.gitlab.SetVisibility(d.project, "public")
	p = d.wantAction(nil, access.ActionWithdraw, "Withdrawn: ")
	if revision := d.attributes(p.planned)["docker_config_revision"]; !revision.IsKnown() {
		t.Error("the revision of nothing is not known")
	}
	d.mustCarryOut(p)
	settled(false)
	d.gitlab.Clock.AdvanceDays(7)
	d.mustCarryOut(d.wantAction(nil, access.ActionRevoke, "Withdrawn: "))
	settled(false)

	d.gitlab.SetVisibility(d.project, "private")
	d.mustCarryOut(d.wantAction(nil, access.ActionMint, "Minted again: "))
	settled(true)

	d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
	before = d.text("sealed_credentials")
	d.mustCarryOut(d.wantAction(nil, access.ActionStartWindDown, "Winding down: "))
	settled(true)
	d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.True)
	d.mustCarryOut(d.wantAction(nil, access.ActionCancelWindDown, "Wind-down cancelled: "))
	settled(true)
	if d.text("sealed_credentials") != before {
		t.Error("a wind-down has sealed again")
	}
	d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
	d.mustApply(nil)
	d.gitlab.Clock.AdvanceDays(7)
	d.mustCarryOut(d.wantAction(nil, access.ActionEnd, "Revoked: "))
	settled(false)

	d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.True)
	d.mustApply(nil)
	d.gitlab.RevokeInSettings(d.gitlab.ActiveTokens(d.project)[0].ID)
	d.mustCarryOut(d.wantAction(nil, access.ActionReplace, "Replaced: "))
	settled(true)
	if !d.destroy() || len(d.gitlab.ActiveTokens(d.project)) != 0 {
		t.Errorf("%d tokens live: %v", len(d.gitlab.ActiveTokens(d.project)), describe(d.last))
	}
}

// TestSeal_changes: whatever changes about the sealing rotates with overlap, and the plan
// says why.
func TestSeal_changes(t *testing.T) {
	moved := func(d *driver) { d.gitlab.SetRegistryHost("registry.example.org:5050") }
	for name, c := range map[string]struct {
		before, after arguments
		happens       func(*driver)
		why           string
		recipients    []int
	}{
		"on":                  {before: nil, after: sealedFor(0), why: "Sealed: token 1 was in the clear.", recipients: []int{0}},
		"off":                 {before: sealedFor(0), after: nil, why: "No longer sealed: "},
		"one more":            {before: sealedFor(0), after: sealedFor(0, 1), why: "Sealed again: age_recipients.", recipients: []int{0, 1}},
		"one less":            {before: sealedFor(0, 1), after: sealedFor(1), why: "Sealed again: ", recipients: []int{1}},
		"another":             {before: sealedFor(0), after: sealedFor(2), why: "Sealed again: ", recipients: []int{2}},
		"the registry":        {before: sealedFor(0), after: sealedFor(0), happens: moved, why: "Sealed again: the registry has moved", recipients: []int{0}},
		"on, and the host":    {before: nil, after: sealedFor(0), happens: moved, why: "Sealed: ", recipients: []int{0}},
		"permanent, another":  {before: with(sealedFor(0), arguments{"permanent": true}), after: with(sealedFor(2), arguments{"permanent": true}), why: "Sealed again: ", recipients: []int{2}},
		"without an overlap":  {before: sealedFor(0), after: with(sealedFor(2), arguments{"rotation": arguments{"overlap_days": 0}}), why: "Sealed again: ", recipients: []int{2}},
		"with a chosen name":  {before: with(sealedFor(0), arguments{"username": "puller"}), after: with(sealedFor(2), arguments{"username": "puller"}), why: "Sealed again: ", recipients: []int{2}},
		"of a state of 0.1.0": {before: nil, after: sealedFor(0), happens: func(d *driver) { d.private = nil }, why: "Sealed: ", recipients: []int{0}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t)
			d.mustApply(c.before)
			old := d.gitlab.ActiveTokens(d.project)[0]
			if c.happens != nil {
				c.happens(d)
			}
			p := d.wantAction(c.after, access.ActionSeal, strings.ReplaceAll(c.why, "token 1 ", fmt.Sprintf("token %d ", old.ID)))
			if got := summaries(p.diagnostics); !slices.Contains(got, fmt.Sprintf("Sealing of token %d of acme/shop", old.ID)) {
				t.Errorf("says %v", got)
			}
			d.mustCarryOut(p)
			live, noOverlap := len(d.gitlab.ActiveTokens(d.project)), name == "without an overlap"
			if live != 2 && !noOverlap || live != 1 && noOverlap {
				t.Errorf("%d tokens live", live)
			}
			d.mustBeSettled(c.after)
			if len(c.recipients) > 0 {
				d.wantSealed(true, c.recipients...)
			}
			if !d.secretPulls() {
				t.Error("the Secret does not pull")
			}
			if host, _, _ := strings.Cut(strings.TrimPrefix(d.published().DockerConfigJSON.Reveal(), `{"auths":{"`), `"`); host != d.text("registry") {
				t.Errorf("the credentials are for %s, not for %s", host, d.text("registry"))
			}
			d.gitlab.Clock.AdvanceDays(7)
			d.mustApply(c.after)
			if d.gitlab.CanPull(d.project, old.Username, old.Secret) {
				t.Error("the old token outlives its overlap")
			}
		})
	}
}

// TestSeal_orderOfRecipients: a set has no order.
func TestSeal_orderOfRecipients(t *testing.T) {
	d := newDriver(t)
	d.mustApply(sealedFor(0, 1, 2))
	d.mustBeSettled(sealedFor(2, 0, 1))
	d.gitlab.Clock.AdvanceDays(340)
	d.mustApply(sealedFor(1, 2, 0))
	d.mustBeSettled(sealedFor(2, 1, 0))
}

// TestSeal_takeOver: an import knows no secret, so it is taken over like any other, and
// what is sealed then is no import.
func TestSeal_takeOver(t *testing.T) {
	d := newDriver(t)
	d.gitlab.SaveAutoDevOps(d.project, gitlabtest.True)
	if !d.importState("acme/shop") {
		t.Fatal(describe(d.last))
	}
	d.mustCarryOut(d.wantAction(sealedFor(0), access.ActionTakeOver, "Taken over: "))
	d.wantSealed(true, 0)
	d.mustBeSettled(sealedFor(0))
}

// TestSeal_importedAndNotRequired: what an import leaves sealed is nothing, so a token that
// is required later is still taken over.
func TestSeal_importedAndNotRequired(t *testing.T) {
	for _, mode := range []arguments{{"mode": "never"}, {"mode": "never", "on_not_required": "keep"}} {
		d := newDriverIn(t)
		d.gitlab.SaveAutoDevOps(d.project, gitlabtest.True)
		if !d.importState("acme/shop") {
			t.Fatal(describe(d.last))
		}
		d.mustApply(with(sealedFor(0), mode))
		d.wantSealed(false, 0)
		d.mustBeSettled(with(sealedFor(0), mode))
		d.mustApply(with(sealedFor(1), mode)) // nothing can be sealed again for others
		d.wantSealed(false, 1)
		d.mustCarryOut(d.wantAction(sealedFor(1), access.ActionTakeOver, "Taken over: "))
		d.wantSealed(true, 1)
		d.mustBeSettled(sealedFor(1))
	}
}

// TestSeal_notRequired: while access is not required no token is minted. What is in the
// state in the clear is sealed all the same; what is sealed stays until the next minting.
func TestSeal_notRequired(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
	d.mustApply(nil)
	d.gitlab.ForgetRequests()

	revision := d.attributes(d.state)["docker_config_revision"]
	p := d.refreshedPlan(sealedFor(0))
	if planned := d.attributes(p.planned); !planned["docker_config_revision"].Equal(revision) || !planned["token"].IsNull() {
		t.Errorf("plans revision %s", planned["docker_config_revision"])
	}
	d.mustCarryOut(p)
	d.wantSealed(true, 0)
	d.mustBeSettled(sealedFor(0))

	d.mustApply(sealedFor(1))
	d.wantSealed(true, 0)
	d.mustBeSettled(sealedFor(1))
	d.mustApply(nil)
	d.wantSealed(true, 0)
	d.mustBeSettled(nil)
	if d.gitlab.CountRequests(postToken) != 0 {
		t.Error("a token was minted that is not required")
	}

	// Back in use, older versions of the state still have the secret.
	d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.True)
	d.mustCarryOut(d.wantAction(sealedFor(0), access.ActionSeal, "Sealed: "))
	d.wantSealed(true, 0)

	// The end seals nothing for whom the configuration names then.
	d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
	d.mustApply(sealedFor(1))
	d.gitlab.Clock.AdvanceDays(7)
	d.mustCarryOut(d.wantAction(sealedFor(1), access.ActionEnd, "Revoked: "))
	d.wantSealed(false, 1)
	d.mustBeSettled(sealedFor(1))
}

// TestSeal_withoutToken: nothing is sealed again for other recipients without a minting.
func TestSeal_withoutToken(t *testing.T) {
	d := newDriver(t)
	d.base = arguments{"mode": "never"}
	d.mustApply(nil)
	if d.text("sealed_credentials") != "" || d.text("docker_config_json") != access.EmptyDockerConfig {
		t.Error("sealed without seal")
	}
	for _, recipients := range [][]int{{0}, {1, 2}, {2}} {
		d.mustApply(sealedFor(recipients...))
		d.wantSealed(false, recipients...)
		d.mustBeSettled(sealedFor(recipients...))
	}
	d.mustApply(nil)
	d.mustBeSettled(nil)
	if d.text("sealed_credentials") != "" || d.text("docker_config_json") != access.EmptyDockerConfig {
		t.Error("still sealed")
	}
	if d.gitlab.CountRequests(postToken) != 0 {
		t.Error("a token was minted that is not required")
	}

	created := newDriverIn(t)
	created.base = d.base
	created.mustApply(sealedFor(0))
	created.wantSealed(false, 0)
	created.mustBeSettled(sealedFor(0))
}

// TestSeal_registryMissing: while GitLab names no registry nothing rotates, and what is in
// the state in the clear is sealed nevertheless.
func TestSeal_registryMissing(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	d.gitlab.SetRegistryEnabled(false)
	d.mustApply(sealedFor(0))
	if c, err := d.opened(0); err != nil || c.Token.Reveal() != d.gitlab.ActiveTokens(d.project)[0].Secret {
		t.Errorf("the secret was not sealed: %v", err)
	}
	d.mustBeSettled(sealedFor(0))
	d.gitlab.SetRegistryEnabled(true)
	d.mustCarryOut(d.wantAction(sealedFor(0), access.ActionSeal, "Sealed: "))
	d.wantSealed(true, 0)
}
