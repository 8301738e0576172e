package registryaccess_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

const getToken = "GET /projects/:id/deploy_tokens/:token_id"

// TestMint_replayedAnswer (S2, S6): a cache answers a POST with an earlier POST's answer.
// The published token is not taken for a new one.
func TestMint_replayedAnswer(t *testing.T) {
	for name, days := range map[string]int{"on the same day": 0, "on another day": 2} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t)
			d.mustApply(nil)
			mine := d.gitlab.Tokens(d.project)[0]
			body, _ := json.Marshal(map[string]any{
				"id": mine.ID, "name": mine.Name, "username": mine.Username, "revoked": false,
				"scopes": []string{"read_registry"}, "expires_at": mine.ExpiresAt, "token": d.text("token"),
			})
			d.gitlab.Clock.AdvanceDays(days)
			d.gitlab.Inject(gitlabtest.Fault{Match: postToken, Status: http.StatusCreated, Body: string(body)})
			d.mustApply(round("1"))
			if !d.secretPulls() || d.text("token") == mine.Secret || d.gitlab.CountRequests(deleteToken) != 0 {
				t.Error("the earlier token was published again, or revoked")
			}
			d.gitlab.Clock.AdvanceDays(8)
			d.mustApply(round("1"))
			if live := d.gitlab.ActiveTokens(d.project); len(live) != 1 || !d.secretPulls() {
				t.Errorf("%d tokens live after the overlap", len(live))
			}
		})
	}
}

// TestMint_incompleteAnswerWithChosenUsername (S4): a username that the user chose does not
// prove whose token an answer names.
func TestMint_incompleteAnswerWithChosenUsername(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	next := d.gitlab.Tokens(d.project)[0].ID + 1
	d.gitlab.OnRequest(func(r gitlabtest.Request) {
		if r.String() == postToken && len(d.gitlab.Tokens(d.project)) == 1 {
			d.gitlab.CreateDeployToken(d.project, access.DefaultName, "puller", time.Time{}, "read_registry")
		}
	})
	d.gitlab.Inject(gitlabtest.Fault{Match: postToken, Status: http.StatusCreated, Body: fmt.Sprintf(`{"id":%d,"name":%q,"username":"puller"}`, next, access.DefaultName)})
	if d.runApply(arguments{"username": "puller"}) || d.gitlab.CountRequests(deleteToken) != 0 {
		t.Errorf("%d DELETEs", d.gitlab.CountRequests(deleteToken))
	}
	if got := d.attributes(d.state)["unmanaged_token_ids"].String(); !strings.Contains(got, itoa(next)) {
		t.Errorf("the state does not name token %d: %s", next, got)
	}
}

// TestRead_idOfAnotherToken (S3, S10): a restored GitLab has given an id again. The token
// with it is somebody else's, is never revoked, and does not pass for the current one.
func TestRead_idOfAnotherToken(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	mine := d.gitlab.Tokens(d.project)[0]
	d.gitlab.OverrideToken(mine.ID, "name", "prod-pull")
	d.gitlab.OverrideToken(mine.ID, "username", "prod")
	if !d.refresh() || d.text("token_status") != "deleted" {
		t.Fatalf("status %q: %v", d.text("token_status"), describe(d.last))
	}
	d.mustApply(nil)
	d.gitlab.Clock.AdvanceDays(8)
	d.mustApply(nil)
	d.mustBeSettled(nil)
	if n := d.gitlab.CountRequests(deleteToken); n != 0 || !d.secretPulls() {
		t.Errorf("%d DELETEs", n)
	}
}

// TestApply_anotherGitLabWithoutTokenChange (S6): an apply without a refresh, which changes
// no token, does not make another GitLab the state's own.
func TestApply_anotherGitLabWithoutTokenChange(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	here := d.fixture
	there := &fixture{TB: t, gitlab: gitlabtest.New(t)}
	there.populate()
	d.fixture = there
	args := arguments{"verify": false}
	if d.apply(d.planChange(args)) || d.refresh() {
		t.Error("another GitLab was believed")
	}
	d.fixture = here
	d.mustApply(args)
	d.mustBeSettled(args)
}

// TestDestroy_oneToken404 (3.4): after the project's tokens were listed, a 404 for one of
// them does not mean that the project is gone.
func TestDestroy_oneToken404(t *testing.T) {
	for _, match := range []string{getToken, deleteToken} {
		d := newDriverIn(t)
		d.mustApply(nil)
		d.mustApply(round("1"))
		d.gitlab.DeleteDeployToken(d.gitlab.Tokens(d.project)[0].ID)
		d.gitlab.Inject(gitlabtest.Fault{Match: match, Times: gitlabtest.Always, Status: http.StatusNotFound, Body: `{"message":"404 Not Found"}`})
		if d.destroy() || d.state.IsNull() || len(d.gitlab.ActiveTokens(d.project)) != 1 {
			t.Errorf("%s: destroyed, and the current token lives: %v", match, describe(d.last))
		}
		d.gitlab.ClearFaults()
		if !d.destroy() || len(d.gitlab.ActiveTokens(d.project)) != 0 {
			t.Errorf("%s: %v", match, describe(d.last))
		}
	}
}

// TestDestroy_unreadableLeftover (S4): the destroy of a failed creation also ends what it
// can only tell by its username.
func TestDestroy_unreadableLeftover(t *testing.T) {
	d := newDriver(t)
	d.gitlab.Inject(gitlabtest.Fault{Match: postToken, When: gitlabtest.After})
	d.gitlab.Inject(gitlabtest.Fault{Match: listTokens, Skip: 4, Times: gitlabtest.Always, Status: http.StatusForbidden, Body: `{"message":"403 Forbidden"}`})
	if d.runApply(nil) || d.state.IsNull() {
		t.Fatal(describe(d.last))
	}
	d.gitlab.ClearFaults()
	d.gitlab.OverrideToken(d.gitlab.Tokens(d.project)[0].ID, "revoked", "odd")
	if !d.destroy() || len(d.gitlab.Tokens(d.project)) != 0 {
		t.Errorf("%d tokens are left: %v", len(d.gitlab.Tokens(d.project)), describe(d.last))
	}
}

// TestDestroy_withoutPrivateState (S3): Terraform keeps none for a tainted object, so
// nothing says which GitLab it is about. What is not there is named.
func TestDestroy_withoutPrivateState(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	id := d.gitlab.Tokens(d.project)[0].ID
	there := &fixture{TB: t, gitlab: gitlabtest.New(t)}
	there.populate()
	d.fixture, d.private = there, nil
	if !d.destroy() || !strings.Contains(fmt.Sprint(describe(d.last)), fmt.Sprintf("Tokens of acme/shop are not in GitLab: %d", id)) {
		t.Errorf("says %v", describe(d.last))
	}

	// An imported token that no apply has taken over is known by its name alone.
	d = newDriverIn(t)
	d.mustApply(nil)
	id = d.gitlab.Tokens(d.project)[0].ID
	d.load()
	if !d.importState(fmt.Sprint("acme/shop:", id)) {
		t.Fatal(describe(d.last))
	}
	d.private = nil
	if !d.destroy() || len(d.gitlab.ActiveTokens(d.project)) != 0 {
		t.Errorf("the imported token lives: %v", describe(d.last))
	}
}

// TestCreate_projectChangesAfterThePlan (S1): what the plan knew is compared before a token
// is minted, not after.
func TestCreate_projectChangesAfterThePlan(t *testing.T) {
	for name, change := range map[string]func(d *driver){
		"archived":      func(d *driver) { d.gitlab.SetArchived(d.project, true) },
		"renamed":       func(d *driver) { d.gitlab.RenameProject(d.project, "acme/moved") },
		"registry host": func(d *driver) { d.gitlab.SetRegistryHost("registry2.example.com") },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t)
			server := d.configured()
			config := d.object(d.resource.ValueType(), arguments{"project": itoa(d.project.ID)})
			p := d.planFor(server, config)
			change(d)
			resp, err := server.ApplyResourceChange(d.Context(), &tfprotov6.ApplyResourceChangeRequest{
				TypeName: typeName, PriorState: d.encode(d.state), PlannedState: d.encode(p.planned), Config: d.encode(config), PlannedPrivate: p.private,
			})
			if err != nil || !failed(resp.Diagnostics) || len(d.gitlab.Tokens(d.project)) != 0 {
				t.Errorf("%d tokens were minted: %v", len(d.gitlab.Tokens(d.project)), describe(resp.Diagnostics))
			}
			if got := fmt.Sprint(describe(resp.Diagnostics)); !strings.Contains(got, "The project has changed since the plan") {
				t.Errorf("says %s", got)
			}
		})
	}
}

// TestPrivate_ofAnotherVersion: what a later version of the provider has stored counts as
// not observed, so that a downgrade can refresh and destroy.
func TestPrivate_ofAnotherVersion(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	var private map[string][]byte
	if err := json.Unmarshal(d.private, &private); err != nil {
		t.Fatal(err)
	}
	private["observed"] = []byte(`{"version":2,"lost":[41]}`)
	private["origin"] = []byte(`{"version":2,"tokens":"none"}`)
	d.private, _ = json.Marshal(private)
	d.mustBeSettled(nil)
	if !d.destroy() {
		t.Error(describe(d.last))
	}
}

// TestMessages_quotedWords (S8): a word that GitLab says and nobody knows is redacted too.
func TestMessages_quotedWords(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	d.gitlab.Override(d.project, "visibility", "x "+d.token+" y")
	if d.runApply(nil) || strings.Contains(fmt.Sprint(describe(d.last)), d.token[6:]) {
		t.Errorf("the provider's token is shown, or the word passed")
	}
}
