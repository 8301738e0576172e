package registryaccess_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// TestSeal_destroyWithoutPrivateState: the username alone tells that a sealed token of a
// tainted object is the state's.
func TestSeal_destroyWithoutPrivateState(t *testing.T) {
	d := newDriver(t)
	d.base = sealedFor(0)
	d.mustApply(round("1"))
	d.mustApply(round("2"))
	if !d.refresh() {
		t.Fatal(describe(d.last))
	}
	d.private = nil
	d.gitlab.OverrideToken(d.gitlab.ActiveTokens(d.project)[1].ID, "username", "somebody")
	if d.destroy() {
		t.Error("somebody's token was deleted")
	}
	d.gitlab.OverrideToken(d.gitlab.ActiveTokens(d.project)[0].ID, "username", d.text("username"))
	if !d.destroy() || len(d.gitlab.ActiveTokens(d.project)) != 0 {
		t.Errorf("%d tokens live: %v", len(d.gitlab.ActiveTokens(d.project)), describe(d.last))
	}
}

// TestSeal_failedCleanUp (S1): sealed credentials reach the Secret although a retired token
// could not be revoked in the same apply.
func TestSeal_failedCleanUp(t *testing.T) {
	d := newDriver(t)
	d.base = sealedFor(0)
	d.mustApply(round("1"))
	d.mustApply(round("2"))
	d.gitlab.Clock.AdvanceDays(7)
	d.gitlab.SetVisibility(d.project, "public")
	d.gitlab.Inject(gitlabtest.Fault{Match: deleteToken, Status: http.StatusServiceUnavailable, Times: gitlabtest.Always})
	d.mustApply(round("2"))
	d.wantSealed(false, 0)
	var config string
	if err := d.secret["docker_config_json"].As(&config); err != nil || config != access.EmptyDockerConfig {
		t.Errorf("the Secret was not updated: %v", err)
	}
	d.gitlab.ClearFaults()
	d.mustApply(round("2"))
	d.mustBeSettled(round("2"))
}

// TestSeal_recipients: what cannot be sealed for is refused before anything happens, and
// no diagnostic shows, or points to, what may be a secret.
func TestSeal_recipients(t *testing.T) {
	secret := sealKeys()[0].secret
	for name, c := range map[string]struct {
		keys    []string
		says    string
		located bool
	}{
		"none":         {[]string{}, "There is no recipient", true},
		"SSH":          {[]string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN9dHdk"}, "SSH key", false},
		"a secret key": {[]string{sealKeys()[1].public, secret}, "secret key of age", false},
		"cut":          {[]string{sealKeys()[0].public[:30]}, "check how it was copied", true},
		"empty":        {[]string{""}, "is empty", true},
	} {
		d := newDriverIn(t)
		args := arguments{"seal": arguments{"age_recipients": c.keys}}
		p := d.planChange(args)
		if !failed(p.diagnostics) || len(p.diagnostics) != 1 {
			t.Errorf("%s: says %v", name, describe(p.diagnostics))
			continue
		}
		said := p.diagnostics[0]
		if said.Summary != "Invalid recipients of sealed credentials" || !strings.Contains(said.Detail, c.says) || (said.Attribute != nil) != c.located {
			t.Errorf("%s: says %v at %v", name, describe(p.diagnostics), said.Attribute)
		}
		if strings.Contains(said.Detail, secret[10:20]) || len(d.gitlab.Requests()) != 0 {
			t.Errorf("%s: the key is shown, or GitLab was asked: %v", name, d.gitlab.Requests())
		}
	}
}

// TestSeal_recipientsInTheApply: recipients that only the apply knows are checked before it
// mints, also where nobody validates them.
func TestSeal_recipientsInTheApply(t *testing.T) {
	d := newDriver(t)
	bad := d.configuration(arguments{"seal": arguments{"age_recipients": []string{sealKeys()[0].secret}}})
	unknown := d.configuration(arguments{"seal": arguments{"age_recipients": tftypes.NewValue(tftypes.Set{ElementType: tftypes.String}, tftypes.UnknownValue)}})
	p := d.planFor(d.configured(), unknown)
	if failed(p.diagnostics) || d.attributes(p.planned)["sealed_credentials"].IsKnown() {
		t.Fatalf("the plan of an unknown recipient: %v", describe(p.diagnostics))
	}
	values := d.attributes(p.planned)
	values["seal"] = d.attributes(bad)["seal"]
	planned := tftypes.NewValue(d.resource.ValueType(), values)
	resp, err := d.configured().ApplyResourceChange(t.Context(), &tfprotov6.ApplyResourceChangeRequest{
		TypeName: typeName, PriorState: d.encode(d.state), PlannedState: d.encode(planned), Config: d.encode(bad), PlannedPrivate: p.private,
	})
	if err != nil {
		t.Fatal(err)
	}
	said := fmt.Sprint(describe(resp.Diagnostics))
	if !failed(resp.Diagnostics) || !strings.Contains(said, "Nothing was changed") || strings.Contains(said, sealKeys()[0].secret[10:20]) {
		t.Errorf("says %s", said)
	}
	if d.gitlab.CountRequests(postToken) != 0 || !d.decode(resp.NewState).IsNull() {
		t.Error("a token was minted")
	}
	// The same with a recipient that can be sealed for.
	good := d.planFor(d.configured(), unknown)
	good.config = d.configuration(sealedFor(0))
	values["seal"] = d.attributes(good.config)["seal"]
	good.planned = tftypes.NewValue(d.resource.ValueType(), values)
	if !d.apply(good) {
		t.Fatal(describe(d.last))
	}
	d.wantSealed(true, 0)
}

// TestFailures_sealed is TestFailures for operations that seal, as far as sealing makes
// them different, with the faults that have different consequences.
func TestFailures_sealed(t *testing.T) {
	t.Parallel()
	chosen := []string{"500 before, for ever", "500 after, for ever", "cut after, once"}
	for _, op := range sealedOperations() {
		if !slices.Contains([]string{"create sealed", "rotate sealed and revoke", "end", "seal", "unseal"}, op.name) {
			continue
		}
		t.Run(op.name, func(t *testing.T) {
			for _, match := range requestsOf(t, op) {
				for name, fault := range faults(match) {
					if !slices.Contains(chosen, name) {
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

// TestSeal_identityIsNoRecipient: that the provider's identity cannot open what is about to
// be sealed is said before a token is minted.
func TestSeal_identityIsNoRecipient(t *testing.T) {
	const says = "Seal identity matches no recipient of acme/shop"
	d := newDriver(t)
	d.identity = sealKeys()[2].secret
	if got := summaries(d.planChange(sealedFor(0)).diagnostics); !slices.Equal(got, []string{says}) {
		t.Errorf("a creation says %v", got)
	}
	if p := d.planChange(sealedFor(0, 2)); len(p.diagnostics) != 0 {
		t.Errorf("a recipient: %v", describe(p.diagnostics))
	}
	if p := d.planChange(nil); len(p.diagnostics) != 0 {
		t.Errorf("unsealed: %v", describe(p.diagnostics))
	}
	d.mustApply(sealedFor(2))
	if p := d.refreshedPlan(sealedFor(0)); !slices.Contains(summaries(p.diagnostics), says) {
		t.Errorf("an update says %v", describe(p.diagnostics))
	}
	d.mustApply(sealedFor(0))
	if p := d.refreshedPlan(sealedFor(0)); len(p.diagnostics) != 0 {
		t.Errorf("a steady plan says %v", describe(p.diagnostics))
	}
}
