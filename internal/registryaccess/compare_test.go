package registryaccess_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// TestRevoke_comparesTokens (S3): an id in the state means the token that the state knows by
// name and username. What else has the id, under the same address, is left alone, with a
// warning. Without private state nothing tells that it is the same GitLab: an error.
func TestRevoke_comparesTokens(t *testing.T) {
	const getToken = "GET /projects/:id/deploy_tokens/:token_id"
	for name, c := range map[string]struct {
		key, value string
		// tainted: Terraform keeps no private state.
		tainted bool
		// unlisted: only the question for the token alone finds it.
		unlisted bool
	}{
		"another name":                                   {key: "name", value: "somebody's"},
		"another username":                               {key: "username", value: "somebody"},
		"another username, no private state":             {key: "username", value: "somebody", tainted: true},
		"another username, in no list":                   {key: "username", value: "somebody", unlisted: true},
		"another username, in no list, no private state": {key: "username", value: "somebody", tainted: true, unlisted: true},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t)
			d.mustApply(nil)
			if !d.refresh() {
				t.Fatal(describe(d.last))
			}
			token := d.gitlab.ActiveTokens(d.project)[0]
			d.gitlab.OverrideToken(token.ID, c.key, c.value)
			if c.tainted {
				d.private = nil
			}
			if c.unlisted {
				d.gitlab.Inject(gitlabtest.Fault{Match: listTokens, Status: http.StatusOK, Body: "[]", Times: gitlabtest.Always})
			}
			d.gitlab.ForgetRequests()
			if destroyed := d.destroy(); destroyed == c.tainted || d.state.IsNull() == c.tainted || len(d.last) == 0 {
				t.Errorf("destroyed: %t, says %v", destroyed, describe(d.last))
			}
			if d.gitlab.CountRequests(deleteToken) != 0 {
				t.Error("somebody else's token was deleted")
			}
			if c.unlisted && d.gitlab.CountRequests(getToken) == 0 {
				t.Error("nobody asked what the id means")
			}
		})
	}
	t.Run("a row that cannot be read", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(nil)
		d.gitlab.OverrideToken(d.gitlab.ActiveTokens(d.project)[0].ID, "scopes", map[string]any{"odd": true})
		if !d.destroy() || len(d.gitlab.ActiveTokens(d.project)) != 0 {
			t.Errorf("its name and username tell that it is ours: %v", describe(d.last))
		}
	})
	t.Run("404 that says nothing of the token", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(round("1"))
		d.mustApply(round("2"))
		retired := d.gitlab.ActiveTokens(d.project)[0]
		d.gitlab.Clock.AdvanceDays(7)
		if !d.refresh() {
			t.Fatal(describe(d.last))
		}
		p := d.planChange(round("2"))
		d.gitlab.Inject(gitlabtest.Fault{Match: listTokens, Status: http.StatusOK, Body: "[]", Times: gitlabtest.Always})
		d.gitlab.Inject(gitlabtest.Fault{Match: getToken, Status: http.StatusNotFound, Body: `{"message":"404 Not Found"}`, Times: gitlabtest.Always})
		if d.apply(p) || !strings.Contains(d.attributes(d.state)["retired_tokens"].String(), itoa(retired.ID)) {
			t.Error("a token left the state that may live")
		}
	})
}

// TestDestroy_defaultUsernames (S3): GitLab's own usernames are the same in every GitLab, so
// they do not show that base_url leads to the right one.
func TestDestroy_defaultUsernames(t *testing.T) {
	d := newDriver(t)
	d.gitlab.SaveAutoDevOps(d.project, gitlabtest.True)
	if !d.importState("acme/shop") {
		t.Fatal(describe(d.last))
	}
	there := &fixture{TB: t, gitlab: gitlabtest.New(t)}
	there.populate()
	there.gitlab.SaveAutoDevOps(there.project, gitlabtest.True)
	if a, b := d.gitlab.ActiveTokens(d.project)[0], there.gitlab.ActiveTokens(there.project)[0]; a.ID != b.ID || a.Username != b.Username {
		t.Fatalf("the tokens differ: %d %s, %d %s", a.ID, a.Username, b.ID, b.Username)
	}
	d.fixture = there
	if d.destroy() || d.state.IsNull() || len(there.gitlab.ActiveTokens(there.project)) != 1 {
		t.Errorf("a token of another GitLab was deleted: %v", describe(d.last))
	}
	there.gitlab.DeleteProject(there.project)
	if d.destroy() || d.state.IsNull() {
		t.Error("a project that is missing in another GitLab passed for gone")
	}
}

// TestCreate_uncertainWithChosenUsername (S4): a username that a user chose proves nothing,
// so no state claims the token that may have been made, and no destroy ends it.
func TestCreate_uncertainWithChosenUsername(t *testing.T) {
	d := newDriver(t)
	d.gitlab.Inject(gitlabtest.Fault{Match: postToken, Status: http.StatusBadGateway, When: gitlabtest.After})
	if d.runApply(arguments{"username": "puller"}) || !d.state.IsNull() {
		t.Errorf("a state claims what may be somebody else's: %s", d.stateText())
	}
	made := d.gitlab.ActiveTokens(d.project)
	if len(made) != 1 || !strings.Contains(fmt.Sprint(describe(d.last)), itoa(made[0].ID)) {
		t.Errorf("%d tokens live: %v", len(made), describe(d.last))
	}
}

// TestClock_apply (S5): an apply that mints nothing counts from GitLab's clock as well, and
// decides nothing while the clocks are too far apart.
func TestClock_apply(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
	if !d.refresh() {
		t.Fatal(describe(d.last))
	}
	before, p := d.state, d.planChange(nil)
	d.ahead = 25 * time.Hour
	if d.apply(p) || !d.state.Equal(before) {
		t.Error("a wind-down began by a clock that is wrong")
	}
	d.ahead = 20 * time.Hour
	if !d.apply(p) {
		t.Fatal(describe(d.last))
	}
	if want := d.gitlab.Clock.Now().AddDate(0, 0, 7).UTC().Format(time.RFC3339); d.text("ends_at") != want {
		t.Errorf("ends at %s, want %s by GitLab's clock", d.text("ends_at"), want)
	}
}

// TestWithdraw_privateAgain: planned because anybody could pull, and the project is private
// by the time of the apply. Pods still need what they hold, although nothing is required.
func TestWithdraw_privateAgain(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	d.gitlab.SetVisibility(d.project, "public")
	if !d.refresh() {
		t.Fatal(describe(d.last))
	}
	p := d.planChange(nil)
	if got := d.textOf(p.planned, "last_action"); got != "withdraw" {
		t.Fatalf("plans %q", got)
	}
	d.gitlab.SetVisibility(d.project, "private")
	d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
	if d.apply(p) || d.text("token") == "" {
		t.Error("the credentials were withdrawn")
	}
}
