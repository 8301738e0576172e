package registryaccess_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// refuseProof makes GitLab refuse every fresh token, and the clean-up fail as well if asked to.
func refuseProof(d *driver, cleanupFails bool) {
	d.gitlab.Inject(gitlabtest.Fault{Match: "GET /jwt/auth", Times: gitlabtest.Always, Status: http.StatusForbidden})
	if cleanupFails {
		d.gitlab.Inject(gitlabtest.Fault{Match: deleteToken, Times: gitlabtest.Always, Status: http.StatusInternalServerError})
	}
}

// TestSafety_unprovenTokensAreNotPublished: without a proof the old token stays
// published and the new one is gone.
func TestSafety_unprovenTokensAreNotPublished(t *testing.T) {
	d := newDriver(t)
	refuseProof(d, false)
	if d.runApply(nil) || !d.state.IsNull() || len(d.gitlab.ActiveTokens(d.project)) != 0 {
		t.Fatalf("a creation without a proof left %d tokens and a state: %v", len(d.gitlab.ActiveTokens(d.project)), !d.state.IsNull())
	}
	d.gitlab.ClearFaults()
	d.mustApply(nil)
	before := d.text("token")
	d.gitlab.Clock.AdvanceDays(340)
	refuseProof(d, false)
	if d.runApply(nil) || d.text("token") != before || len(d.gitlab.ActiveTokens(d.project)) != 1 || !d.secretPulls() {
		t.Error("a rotation without a proof changed what is published")
	}
}

// TestSafety_leftoversAreInTheState: a token that is neither proven nor gone must be
// known, and named to the user.
func TestSafety_leftoversAreInTheState(t *testing.T) {
	for name, prepare := range map[string]func(d *driver){
		"create": func(*driver) {},
		"rotate": func(d *driver) { d.mustApply(nil); d.gitlab.Clock.AdvanceDays(340) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t)
			prepare(d)
			refuseProof(d, true)
			if d.runApply(nil) {
				t.Fatal("applied")
			}
			tokens := d.gitlab.ActiveTokens(d.project)
			leftover := itoa(tokens[len(tokens)-1].ID)
			if !strings.Contains(d.attributes(d.state)["retired_tokens"].String(), leftover) {
				t.Errorf("token %s lives in no state", leftover)
			}
			if got := fmt.Sprint(describe(d.last)); !containsAll(got, leftover, "could not be revoked. It is in the state as a retired token") {
				t.Errorf("says %s", got)
			}
			d.gitlab.ClearFaults()
			d.converge(nil)
		})
	}
}

// TestSafety_expiryIsKept: a token that lives longer than asked is not published.
func TestSafety_expiryIsKept(t *testing.T) {
	d := newDriver(t)
	d.gitlab.IgnoreExpiry(true)
	if d.runApply(nil) || len(d.gitlab.ActiveTokens(d.project)) != 0 {
		t.Errorf("published a token without the expiry; %d live", len(d.gitlab.ActiveTokens(d.project)))
	}
}

// TestSafety_nearerExpiry: an instance that limits lifetimes is not told that it has made
// a longer one.
func TestSafety_nearerExpiry(t *testing.T) {
	d := newDriver(t)
	d.gitlab.LimitExpiry(90)
	if d.runApply(nil) || len(d.gitlab.ActiveTokens(d.project)) != 0 {
		t.Errorf("published a token with another expiry; %d live", len(d.gitlab.ActiveTokens(d.project)))
	}
	if got := fmt.Sprint(describe(d.last)); !containsAll(got, "2026-04-15T00:00:00Z instead of 2027-01-15T00:00:00Z", "expiration_days") || strings.Contains(got, "longer") {
		t.Errorf("says %s", got)
	}
}

// TestSafety_interruptedProofCleansUp: the operation is cancelled while the fresh
// token is being proven.
func TestSafety_interruptedProofCleansUp(t *testing.T) {
	d := newDriver(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d.gitlab.OnRequest(func(r gitlabtest.Request) {
		if r.Route == "/jwt/auth" {
			cancel()
		}
	})
	p := d.planChange(nil)
	server := d.configured()
	again := d.planFor(server, p.config)
	resp, err := server.ApplyResourceChange(ctx, &tfprotov6.ApplyResourceChangeRequest{
		TypeName: typeName, PriorState: d.encode(d.state), PlannedState: d.encode(again.planned),
		Config: d.encode(p.config), PlannedPrivate: again.private,
	})
	if err != nil || !failed(resp.Diagnostics) {
		t.Fatalf("applied: %v", err)
	}
	if live := d.gitlab.ActiveTokens(d.project); len(live) != 0 {
		t.Errorf("%d tokens live on", len(live))
	}
}

// TestSafety_onlyTheTokensOwn404MeansLost: the list misses the token, and the
// question for it alone is answered by anything but that.
func TestSafety_onlyTheTokensOwn404MeansLost(t *testing.T) {
	const getToken = "GET /projects/:id/deploy_tokens/:token_id"
	for _, fault := range []gitlabtest.Fault{
		{Status: 401}, {Status: 403}, {Status: 500}, {Status: 404, Body: "<html>"}, {Status: 404, Body: `{"message":"404 Project Not Found"}`}, {},
	} {
		d := newDriverIn(t)
		d.mustApply(nil)
		before := d.state
		d.gitlab.Inject(gitlabtest.Fault{Match: listTokens, Status: 200, Body: "[]", Times: gitlabtest.Always})
		fault.Match, fault.Times = getToken, gitlabtest.Always
		d.gitlab.Inject(fault)
		if d.refresh() || !d.state.Equal(before) {
			t.Errorf("%s passed", fault.String())
		}
	}
}

// TestSafety_destroyBelievesNoAnonymousAnswer: a proxy strips the token, so every project looks gone.
func TestSafety_destroyBelievesNoAnonymousAnswer(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	d.gitlab.Inject(gitlabtest.Fault{Match: deleteToken, Times: gitlabtest.Always, Status: 404, Body: `{"message":"404 Project Not Found"}`})
	d.gitlab.Inject(gitlabtest.Fault{Match: "GET /user", Times: gitlabtest.Always, Status: 401, Body: `{"message":"401 Unauthorized"}`})
	if d.destroy() || d.state.IsNull() {
		t.Error("destroyed, and the token lives")
	}
}

// TestSafety_destroyEndsOnlyWhatTheStateHolds: a copy of the state may have published
// what an interrupted apply has left. Plan and destroy name it and leave it alone.
func TestSafety_destroyEndsOnlyWhatTheStateHolds(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	orphan := d.gitlab.CreateDeployToken(d.project, access.DefaultName, d.text("username"), time.Time{}, "read_registry")
	if !d.refresh() {
		t.Fatal(describe(d.last))
	}
	_, planned := d.planDestroy()
	if !d.destroy() {
		t.Fatal(describe(d.last))
	}
	if live := d.gitlab.ActiveTokens(d.project); len(live) != 1 || live[0].ID != orphan.ID {
		t.Errorf("%d tokens live on, want the orphan", len(live))
	}
	for what, diagnostics := range map[string][]*tfprotov6.Diagnostic{"plan": planned.Diagnostics, "destroy": d.last} {
		if got := fmt.Sprint(describe(diagnostics)); !containsAll(got, "Tokens of an interrupted apply live on in acme/shop: "+itoa(orphan.ID)) {
			t.Errorf("the %s says %s", what, got)
		}
	}
}

// TestSafety_endIsRefusedWhileTheRegistryIsMissing: between plan and apply.
func TestSafety_endIsRefusedWhileTheRegistryIsMissing(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
	d.mustApply(nil)
	d.gitlab.Clock.AdvanceDays(7)
	if !d.refresh() {
		t.Fatal(describe(d.last))
	}
	p := d.planChange(nil)
	d.gitlab.SetRegistryEnabled(false)
	if d.apply(p) || len(d.gitlab.ActiveTokens(d.project)) != 1 {
		t.Error("the end went ahead although nobody knows whether it is one")
	}
}

// TestSafety_failedRevocationsSpareWhatTheSecretHolds: without an overlap, the
// replaced token outlives an apply that fails.
func TestSafety_failedRevocationsSpareWhatTheSecretHolds(t *testing.T) {
	d := newDriver(t)
	round := func(n string, overlap int) arguments {
		return arguments{"rotate_when_changed": map[string]string{"round": n}, "rotation": arguments{"overlap_days": overlap}}
	}
	d.mustApply(round("1", 1))
	d.mustApply(round("2", 1))
	d.gitlab.Clock.AdvanceDays(2)
	replaced := d.text("token")
	d.gitlab.Inject(gitlabtest.Fault{Match: deleteToken, Status: 403})
	d.mustApply(round("3", 0))
	if got := summaries(d.last); len(got) != 1 || got[0] != "Tokens of acme/shop are still valid: 4, 5" {
		t.Errorf("says %v", got)
	}
	if n := d.gitlab.CountRequests(deleteToken); n != 1 {
		t.Errorf("%d DELETEs, and after the first has failed there should be none", n)
	}
	if !d.secretPulls() || !d.gitlab.CanPull(d.project, d.text("username"), replaced) {
		t.Error("the Secret does not hold the new token, or the replaced one is dead")
	}
	d.mustApply(round("3", 0))
	d.mustBeSettled(round("3", 0))
	if live := d.gitlab.ActiveTokens(d.project); len(live) != 1 || !d.secretPulls() {
		t.Errorf("%d tokens live", len(live))
	}
}

// TestSafety_interruptedTakeOver: the username of a take-over marks its tokens from
// the import on.
func TestSafety_interruptedTakeOver(t *testing.T) {
	d := newDriver(t)
	d.gitlab.SaveAutoDevOps(d.project, gitlabtest.True)
	if !d.importState("acme/shop") {
		t.Fatal(describe(d.last))
	}
	state, private := d.state, d.private
	d.mustApply(nil) // everything of this apply is lost
	d.state, d.private, d.secret = state, private, nil
	d.mustApply(nil)
	tokens := d.gitlab.ActiveTokens(d.project)
	if got := d.attributes(d.state)["retired_tokens"].String(); len(tokens) != 3 || !containsAll(got, itoa(tokens[0].ID), itoa(tokens[1].ID)) {
		t.Errorf("the imported and the lost token are not both retired: %s", got)
	}
	d.gitlab.Clock.AdvanceDays(8)
	d.mustApply(nil)
	if live := d.gitlab.ActiveTokens(d.project); len(live) != 2 || live[0].ID != tokens[1].ID {
		t.Errorf("%d tokens live, want the lost one until its end, and the current one", len(live))
	}

	d = newDriverIn(t)
	d.gitlab.SaveAutoDevOps(d.project, gitlabtest.True)
	if !d.importState("acme/shop") {
		t.Fatal(describe(d.last))
	}
	d.gitlab.Inject(gitlabtest.Fault{Match: postToken, Status: 502, When: gitlabtest.After})
	d.gitlab.Inject(gitlabtest.Fault{Match: listTokens, Skip: 2, Times: 1, Status: 403})
	if d.runApply(nil) {
		t.Fatal("applied")
	}
	d.gitlab.ClearFaults()
	d.accounted()
}

// TestSafety_chosenUsernames: a token of an uncertain rename stays named.
func TestSafety_chosenUsernames(t *testing.T) {
	d := newDriver(t)
	d.mustApply(arguments{"username": "puller"})
	d.gitlab.Inject(gitlabtest.Fault{Match: postToken, Status: 502, When: gitlabtest.After})
	if d.runApply(arguments{"username": "puller", "name": "new"}) {
		t.Fatal("applied")
	}
	lost := d.gitlab.ActiveTokens(d.project)[1]
	for range 2 {
		if !strings.Contains(d.attributes(d.state)["unmanaged_token_ids"].String(), itoa(lost.ID)) {
			t.Errorf("token %d is named nowhere", lost.ID)
		}
		if !d.refresh() {
			t.Fatal(describe(d.last))
		}
	}
}

func TestSafety_refreshAfterACreationChangesNothing(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	before := string(d.private)
	if !d.refresh() || string(d.private) != before {
		t.Errorf("private data changed: %s", d.private)
	}
}

// newDriverIn is a driver inside a test that is already parallel.
func newDriverIn(tb testing.TB) *driver {
	tb.Helper()
	s := &fixture{TB: tb, gitlab: gitlabtest.New(tb)}
	s.populate()
	d := &driver{fixture: s}
	d.load()
	return d
}

// TestSafety_anotherRunMintsMeanwhile: what another run of the same access has
// published survives an uncertain POST of this one, whatever the overlap is.
func TestSafety_anotherRunMintsMeanwhile(t *testing.T) {
	for name, args := range map[string]arguments{
		"usual overlap": nil, "no overlap": {"rotation": arguments{"overlap_days": 0}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t)
			d.mustApply(args)
			d.gitlab.Clock.AdvanceDays(340)
			d.gitlab.Inject(gitlabtest.Fault{Match: postToken, Status: 502})
			var published gitlabtest.Token
			d.gitlab.OnRequest(func(r gitlabtest.Request) {
				if r.String() == postToken && published.ID == 0 {
					published = d.gitlab.CreateDeployToken(d.project, access.DefaultName, d.text("username"), d.gitlab.Clock.Now().AddDate(1, 0, 0), "read_registry")
				}
			})
			d.mustApply(args)
			d.mustApply(args)
			if !d.gitlab.CanPull(d.project, published.Username, published.Secret) {
				t.Error("the other run's token was revoked")
			}
			if retired := d.attributes(d.state)["retired_tokens"].String(); !strings.Contains(retired, itoa(published.ID)) {
				t.Errorf("the other run's token is not retired: %s", retired)
			}
			d.gitlab.Clock.AdvanceDays(8)
			d.mustApply(args)
			if live := d.gitlab.ActiveTokens(d.project); len(live) != 2 || !d.secretPulls() || !d.gitlab.CanPull(d.project, published.Username, published.Secret) {
				t.Errorf("%d tokens live after the overlap, want the current one and what the other run published", len(live))
			}
			d.gitlab.Clock.Set(published.ExpiresAt.AddDate(0, 0, 1))
			d.mustApply(args)
			for _, token := range d.gitlab.Tokens(d.project) {
				if token.ID == published.ID {
					t.Error("the other run's token is not deleted after its own end")
				}
			}
		})
	}
}

// TestSafety_nothingIsLeftBehindUnsaid: a rotation failed after GitLab had made its
// tokens. The state names them, and so does a destroy that has not refreshed.
func TestSafety_nothingIsLeftBehindUnsaid(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	d.gitlab.Clock.AdvanceDays(340)
	d.gitlab.Inject(gitlabtest.Fault{Match: postToken, Status: 502, When: gitlabtest.After, Times: gitlabtest.Always})
	if d.runApply(nil) {
		t.Fatal("applied")
	}
	d.gitlab.ClearFaults()
	d.accounted()
	if !d.destroy() {
		t.Fatal(describe(d.last))
	}
	for _, token := range d.gitlab.ActiveTokens(d.project) {
		if said := strings.Join(describe(d.last), "\n"); !strings.Contains(said, itoa(token.ID)) {
			t.Errorf("nobody says that token %d lives on: %s", token.ID, said)
		}
	}
}

// TestSafety_spread: plan, apply and every later read agree on the day, which the
// project's id gives; and the token is replaced on it.
func TestSafety_spread(t *testing.T) {
	d := newDriver(t)
	args := arguments{"rotation": arguments{"spread_days": 90}}
	d.mustApply(args)
	d.mustBeSettled(args)
	want := time.Date(2027, 1, 15, 0, 0, 0, 0, time.UTC).AddDate(0, 0, -30-int(d.project.ID%91))
	if got := d.text("rotate_at"); got != want.Format(time.RFC3339) {
		t.Fatalf("rotate_at %s, want %s", got, want)
	}
	d.gitlab.Clock.Set(want.Add(-time.Second))
	d.mustBeSettled(args)
	d.gitlab.Clock.Set(want)
	d.mustApply(args)
	if tokens := d.gitlab.ActiveTokens(d.project); len(tokens) != 2 {
		t.Errorf("%d tokens on the day of the rotation", len(tokens))
	}

	// Without the spread the window opens later again, for the token as it is.
	d.mustApply(nil)
	d.mustBeSettled(nil)
	if len(d.gitlab.ActiveTokens(d.project)) != 2 {
		t.Error("a changed spread has made a token")
	}
}

// TestSafety_stateWithoutRevision: a state of an older version gets the number in an
// update of its own, which asks no clock: a plan that is applied days later does what
// it has shown.
func TestSafety_stateWithoutRevision(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	older := d.attributes(d.state)
	older["docker_config_revision"] = tftypes.NewValue(tftypes.Number, nil)
	d.state = tftypes.NewValue(d.resource.ValueType(), older)
	d.gitlab.Clock.AdvanceDays(334) // the day before the window opens
	if !d.refresh() {
		t.Fatal(describe(d.last))
	}
	p := d.planChange(nil)
	d.gitlab.Clock.AdvanceDays(3)
	if !d.apply(p) {
		t.Fatal(describe(d.last))
	}
	if n := len(d.gitlab.Tokens(d.project)); n != 1 {
		t.Errorf("%d tokens after a plan that showed no rotation", n)
	}
	d.mustApply(nil)
	if n := len(d.gitlab.Tokens(d.project)); n != 2 {
		t.Errorf("%d tokens after the next plan", n)
	}
}
