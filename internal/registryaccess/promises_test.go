package registryaccess_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

func round(n string) arguments {
	return arguments{"rotate_when_changed": map[string]string{"round": n}}
}

// TestPublish_failedCleanUp (S1): a token is due, another is published, a third is minted.
// The DELETE of the first fails. The apply succeeds all the same, so that the Secret gets
// the third; and it does for ever where no DELETE gets through.
func TestPublish_failedCleanUp(t *testing.T) {
	d := newDriver(t)
	d.mustApply(round("1"))
	d.mustApply(round("2"))
	d.gitlab.Clock.AdvanceDays(7)
	d.gitlab.Inject(gitlabtest.Fault{Match: deleteToken, Status: http.StatusServiceUnavailable, Times: gitlabtest.Always})
	for n := range 5 {
		before := d.text("token")
		d.mustApply(round(fmt.Sprint("3", n)))
		if d.text("token") == before || !d.secretPulls() {
			t.Fatalf("round %d: the Secret was not updated, or does not pull", n)
		}
		d.accounted()
		d.gitlab.Clock.AdvanceDays(8)
	}
	d.gitlab.ClearFaults()
	d.converge(round("34"))
}

// TestPublish_onlyRevoking (S1): an apply that only revokes still fails if that fails, and
// touches no Secret.
func TestPublish_onlyRevoking(t *testing.T) {
	d := newDriver(t)
	d.mustApply(round("1"))
	d.mustApply(round("2"))
	d.gitlab.Clock.AdvanceDays(7)
	d.gitlab.Inject(gitlabtest.Fault{Match: deleteToken, Status: http.StatusForbidden, Body: `{"message":"403 Forbidden"}`})
	if d.runApply(round("2")) || !d.secretPulls() {
		t.Error("a failed revocation passed, or the Secret does not pull")
	}
	d.mustApply(round("2"))
	d.mustBeSettled(round("2"))
}

// TestPublish_endOfSeveral (S1, S3): where a wind-down and an overlap are over at once, the
// plan says what remains, and a failed revocation fails the apply.
func TestPublish_endOfSeveral(t *testing.T) {
	d := newDriver(t)
	d.mustApply(round("1"))
	d.mustApply(round("2"))
	never := arguments{"mode": "never", "rotate_when_changed": map[string]string{"round": "2"}}
	d.mustApply(never)
	d.gitlab.Clock.AdvanceDays(7)
	if !d.refresh() {
		t.Fatal(describe(d.last))
	}
	p := d.planChange(never)
	if got := d.textOf(p.planned, "last_action"); got != "end" {
		t.Fatalf("plans %q", got)
	}
	var remaining []tftypes.Value
	if planned := d.attributes(p.planned)["retired_tokens"]; !planned.IsFullyKnown() || planned.As(&remaining) != nil || len(remaining) != 0 {
		t.Errorf("plans to keep %s", planned)
	}
	d.gitlab.Inject(gitlabtest.Fault{Match: deleteToken, Status: http.StatusForbidden, Body: `{"message":"403 Forbidden"}`})
	if d.apply(p) || len(d.gitlab.ActiveTokens(d.project)) != 2 || !d.secretPulls() {
		t.Error("a failed revocation passed, or something was revoked after it")
	}
	d.mustApply(never)
	d.mustBeSettled(never)
	if live := d.gitlab.ActiveTokens(d.project); len(live) != 0 {
		t.Errorf("%d tokens live", len(live))
	}
}

// TestPublish_registryMoved (S1): new credentials reach the Secret although a retired
// token could not be revoked in the same apply.
func TestPublish_registryMoved(t *testing.T) {
	d := newDriver(t)
	d.mustApply(round("1"))
	d.mustApply(round("2"))
	d.gitlab.Clock.AdvanceDays(7)
	d.gitlab.SetRegistryHost("registry.example.org:5050")
	d.gitlab.Inject(gitlabtest.Fault{Match: deleteToken, Status: http.StatusServiceUnavailable, Times: gitlabtest.Always})
	d.mustApply(round("2"))
	var config string
	if err := d.secret["docker_config_json"].As(&config); err != nil || !strings.Contains(config, "registry.example.org:5050") {
		t.Errorf("the Secret is for another registry: %v", err)
	}
	d.gitlab.ClearFaults()
	d.mustApply(round("2"))
	d.mustBeSettled(round("2"))
}

// TestPublish_doubtfulDeath (S2, S5): what replaces a published token that only seems
// dead never revokes it, and the token lives on for the overlap.
func TestPublish_doubtfulDeath(t *testing.T) {
	t.Run("a replica lags", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(nil)
		old, username := d.text("token"), d.text("username")
		d.gitlab.Inject(gitlabtest.Fault{Match: listTokens, Status: http.StatusOK, Body: "[]"})
		d.gitlab.Inject(gitlabtest.Fault{Match: "GET /projects/:id/deploy_tokens/:token_id", Status: http.StatusNotFound, Body: `{"message":"404 Not found"}`})
		d.mustApply(nil)
		if d.text("token") == old || !d.gitlab.CanPull(d.project, username, old) || d.gitlab.CountRequests(deleteToken) != 0 {
			t.Error("the token that only seemed deleted was not replaced, or was revoked")
		}
		d.mustBeSettled(nil)
		d.gitlab.Clock.AdvanceDays(7)
		d.mustApply(nil)
		if live := d.gitlab.ActiveTokens(d.project); len(live) != 1 || !d.secretPulls() {
			t.Errorf("%d tokens live after the overlap", len(live))
		}
	})
	t.Run("this machine's clock is ahead", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(nil)
		d.gitlab.Clock.Set(time.Date(2027, 1, 14, 10, 0, 0, 0, time.UTC)) // 14 hours before the expiry
		d.ahead = 20 * time.Hour
		if !d.refresh() || d.text("token_status") != "active" {
			t.Fatalf("status %q: %v", d.text("token_status"), describe(d.last))
		}
		d.mustApply(nil)
		if want := d.gitlab.Clock.Now().Format(time.RFC3339); d.text("created_at") != want {
			t.Errorf("created at %s, want GitLab's time %s", d.text("created_at"), want)
		}
	})
	t.Run("without a refresh, this machine's clock only rotates", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(nil)
		old, username := d.text("token"), d.text("username")
		d.gitlab.Clock.Set(time.Date(2026, 12, 15, 14, 0, 0, 0, time.UTC)) // ten hours before the window
		d.ahead = 20 * time.Hour
		p := d.planChange(nil)
		if got := d.textOf(p.planned, "last_action"); got != "rotate" {
			t.Fatalf("plans %q", got)
		}
		if !d.apply(p) || !d.gitlab.CanPull(d.project, username, old) || d.gitlab.CountRequests(deleteToken) != 0 {
			t.Errorf("the old token was revoked because a clock said so: %v", describe(d.last))
		}
		d.gitlab.Clock.AdvanceDays(6)
		d.ahead = 2 * 24 * time.Hour // the overlap looks over
		if p = d.planChange(nil); !p.empty() {
			t.Errorf("this machine's clock ends a token: %s", d.difference(p))
		}
		d.ahead = 800 * 24 * time.Hour // everything looks expired
		p = d.planChange(nil)
		if got := d.textOf(p.planned, "last_action"); got != "rotate" {
			t.Errorf("plans %q", got)
		}
		if d.apply(p) || !d.secretPulls() || !d.gitlab.CanPull(d.project, username, old) {
			t.Error("applied with a clock that is wrong by years, or a token was ended")
		}
	})
}

// TestClock_farApart (S5): nothing that depends on time is decided.
func TestClock_farApart(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	before := d.state
	d.ahead = 25 * time.Hour
	if d.refresh() || !d.state.Equal(before) {
		t.Error("a refresh passed")
	}
	if got := fmt.Sprint(describe(d.last)); !containsAll(got, "GitLab's clock says 2026-01-15T10:00:00Z", "this machine's clock says 2026-01-16T11:00:00Z") {
		t.Errorf("says %s", got)
	}
	d.gitlab.ForgetRequests()
	if d.apply(d.planChange(round("1"))) || d.gitlab.CountRequests(postToken) != 0 {
		t.Error("a token was minted")
	}
	d.ahead = 23 * time.Hour
	d.mustBeSettled(nil)
}

// TestClock_endDates (S5): an end date and an overlap count from GitLab's time, and from
// none while the clocks are far apart.
func TestClock_endDates(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	never := arguments{"mode": "never"}
	p := d.planChange(never)
	if got := d.textOf(p.planned, "last_action"); got != "start_wind_down" {
		t.Fatalf("plans %q", got)
	}
	d.ahead = 25 * time.Hour
	if d.apply(p) || d.text("ends_at") != "" {
		t.Errorf("an end date was set: %s", d.text("ends_at"))
	}
	d.ahead = 20 * time.Hour
	d.mustApply(never)
	if want := d.gitlab.Clock.Now().AddDate(0, 0, 7).Format(time.RFC3339); d.text("ends_at") != want {
		t.Errorf("ends at %s, want %s", d.text("ends_at"), want)
	}
}

// TestCreate_answerAboutAnotherProject (S6): asked for one project, answered with another.
func TestCreate_answerAboutAnotherProject(t *testing.T) {
	d := newDriver(t)
	other := d.gitlab.CreateProject("acme/other", gitlabtest.ProjectOptions{})
	d.gitlab.SetRole(other, d.maintainer, gitlabtest.Maintainer)
	body, _ := json.Marshal(map[string]any{
		"id": other.ID, "path_with_namespace": "acme/other", "visibility": "private", "auto_devops_enabled": true,
		"container_registry_access_level": "enabled", "container_registry_image_prefix": "registry.gitlab.example.com/acme/other",
	})
	for _, project := range []string{"acme/shop", itoa(d.project.ID)} {
		args := arguments{"project": project}
		p := d.planChange(args)
		d.gitlab.Inject(gitlabtest.Fault{Match: getProject, Status: http.StatusOK, Body: string(body), Times: gitlabtest.Always})
		if d.apply(p) || !failed(d.planChange(args).diagnostics) || len(d.gitlab.Tokens(other)) != 0 {
			t.Errorf("%s: the answer about another project was believed", project)
		}
		d.gitlab.ClearFaults()
	}
}

// TestDestroy_anotherGitLab (S3): base_url has moved, and the ids in the state are
// somebody else's there. Without a refresh, nothing has shown that.
func TestDestroy_anotherGitLab(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	d.mustApply(round("1"))
	elsewhere := gitlabtest.New(t)
	there := &fixture{TB: t, gitlab: elsewhere}
	there.populate()
	for range 2 {
		elsewhere.CreateDeployToken(there.project, access.DefaultName, access.NewUsername(there.project.ID), time.Time{}, "read_registry")
	}
	here := d.fixture
	d.fixture = there
	if d.destroy() || d.state.IsNull() || len(elsewhere.ActiveTokens(there.project)) != 2 {
		t.Errorf("tokens of another GitLab were deleted, or the destroy succeeded: %v", describe(d.last))
	}
	if d.apply(d.planChange(round("2"))) || elsewhere.CountRequests(postToken) != 0 {
		t.Error("a token was minted in another GitLab")
	}
	d.fixture = here
	if !d.destroy() || len(d.gitlab.ActiveTokens(d.project)) != 0 {
		t.Errorf("the right GitLab: %v", describe(d.last))
	}
}

// TestDestroy_nothingInAnotherGitLab: a GitLab without the tokens, or without the project,
// does not prove that they are gone, if it is not the one of the state.
func TestDestroy_nothingInAnotherGitLab(t *testing.T) {
	for name, prepare := range map[string]func(s *fixture){
		"no such tokens":  func(s *fixture) { s.populate() },
		"no such project": func(s *fixture) { s.populate(); s.gitlab.DeleteProject(s.project) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t)
			d.mustApply(nil)
			there := &fixture{TB: t, gitlab: gitlabtest.New(t)}
			prepare(there)
			here := d.fixture
			d.fixture = there
			if d.destroy() || d.state.IsNull() {
				t.Fatalf("the destroy succeeded: %v", describe(d.last))
			}
			d.fixture = here
			if !d.destroy() || len(d.gitlab.ActiveTokens(d.project)) != 0 {
				t.Errorf("the right GitLab: %v", describe(d.last))
			}
		})
	}
}

// TestDestroy_anotherTokenByTheID (S3): the ids of a state can mean other tokens in a
// GitLab that was restored from a backup. What is not certainly ours is left alone, whether
// a list shows it or not.
func TestDestroy_anotherTokenByTheID(t *testing.T) {
	for name, hidden := range map[string]bool{"listed": false, "not listed": true} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t)
			d.mustApply(round("1"))
			token := d.gitlab.ActiveTokens(d.project)[0]
			for key, own := range map[string]string{"name": token.Name, "username": token.Username} {
				d.gitlab.OverrideToken(token.ID, key, "somebody-elses")
				if hidden {
					d.gitlab.Inject(gitlabtest.Fault{Match: listTokens, Status: http.StatusOK, Body: "[]"})
				}
				state, private := d.state, d.private
				if !d.destroy() || d.gitlab.CountRequests(deleteToken) != 0 {
					t.Errorf("somebody else's by its %s: deleted, or the destroy failed: %v", key, describe(d.last))
				}
				if got := fmt.Sprint(describe(d.last)); !containsAll(got, "mean other tokens now: "+itoa(token.ID)) {
					t.Errorf("somebody else's by its %s: says %s", key, got)
				}
				d.state, d.private = state, private
				d.gitlab.OverrideToken(token.ID, key, own)
			}
			if !d.destroy() || len(d.gitlab.ActiveTokens(d.project)) != 0 {
				t.Errorf("its own: %v", describe(d.last))
			}
		})
	}
}

// TestRead_anotherGitLab: the state is about a project by number, and base_url leads to
// another GitLab on which that number is another project, or none.
func TestRead_anotherGitLab(t *testing.T) {
	for name, prepare := range map[string]func(s *fixture){
		"another project":  func(s *fixture) { s.populate(); s.gitlab.RenameProject(s.project, "acme/elsewhere") },
		"the same by name": func(s *fixture) { s.populate() },
		"no such project":  func(s *fixture) { s.populate(); s.gitlab.DeleteProject(s.project) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t)
			args := arguments{"project": itoa(d.project.ID)}
			d.mustApply(args)
			before := d.state
			there := &fixture{TB: t, gitlab: gitlabtest.New(t)}
			prepare(there)
			here := d.fixture
			d.fixture = there
			if d.refresh() || !d.state.Equal(before) {
				t.Fatalf("another GitLab was believed: %v", describe(d.last))
			}
			if got := fmt.Sprint(describe(d.last)); !containsAll(got, here.gitlab.URL, there.gitlab.URL) {
				t.Errorf("says %s", got)
			}
			d.fixture = here
			d.mustBeSettled(args)
		})
	}
	t.Run("the same GitLab under another name", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(nil)
		d.gitlab.URL = strings.Replace(d.gitlab.URL, "127.0.0.1", "localhost", 1)
		d.mustBeSettled(nil)
	})
}

// TestCreate_carriedOutAndRefused (S4): GitLab has made the token, and something on the
// way says otherwise. Nothing lives on that no state names.
func TestCreate_carriedOutAndRefused(t *testing.T) {
	for name, fault := range map[string]gitlabtest.Fault{
		"403 of a firewall":          {Status: http.StatusForbidden, Body: "<html>Blocked</html>"},
		"302 to a login":             {Status: http.StatusFound, Header: map[string]string{"Location": "https://login.example.com/"}},
		"407 of a proxy":             {Status: http.StatusProxyAuthRequired},
		"413 of a proxy":             {Status: http.StatusRequestEntityTooLarge, Body: "<html>413</html>"},
		"429 that is not a throttle": {Status: http.StatusTooManyRequests, Body: "<html>slow down</html>", Header: map[string]string{"Retry-After": "1"}},
	} {
		fault.Match, fault.When, fault.Times = postToken, gitlabtest.After, gitlabtest.Always
		t.Run(name, func(t *testing.T) {
			d := newDriver(t)
			d.gitlab.Inject(fault)
			if d.runApply(nil) || len(d.gitlab.ActiveTokens(d.project)) != 0 {
				t.Errorf("%d tokens live after the creation", len(d.gitlab.ActiveTokens(d.project)))
			}
			d.gitlab.ClearFaults()
			d.mustApply(nil)
		})
		t.Run(name+", and no clean-up", func(t *testing.T) {
			d := newDriver(t)
			d.gitlab.Inject(fault)
			d.gitlab.Inject(gitlabtest.Fault{Match: deleteToken, Times: gitlabtest.Always, Status: http.StatusForbidden, Body: "<html>Blocked</html>"})
			if d.runApply(nil) || d.state.IsNull() {
				t.Fatal("no state names what may live")
			}
			live := d.gitlab.ActiveTokens(d.project)
			if len(live) != 1 || live[0].Username != d.text("username") || !strings.Contains(d.stateText(), itoa(live[0].ID)) {
				t.Fatalf("%d tokens live, the state knows %s", len(live), d.stateText())
			}
			d.gitlab.ClearFaults()
			// One that GitLab makes later is the object's own as well, and its plan names it.
			late := d.gitlab.CreateDeployToken(d.project, access.DefaultName, d.text("username"), time.Time{}, "read_registry")
			foreign := d.gitlab.CreateDeployToken(d.project, access.DefaultName, access.NewUsername(d.project.ID), time.Time{}, "read_registry")
			if !d.refresh() || !strings.Contains(d.attributes(d.state)["retired_tokens"].String(), itoa(late.ID)) {
				t.Errorf("the refreshed object does not name token %d", late.ID)
			}
			if !d.destroy() {
				t.Fatal(describe(d.last))
			}
			if live := d.gitlab.ActiveTokens(d.project); len(live) != 1 || live[0].ID != foreign.ID {
				t.Errorf("%d tokens live after the destroy of the tainted object", len(live))
			}
		})
	}
}

// TestCreate_outOfSight (S4): GitLab has made the token, and its list cannot be read. The
// tainted object keeps the username and ends the token.
func TestCreate_outOfSight(t *testing.T) {
	d := newDriver(t)
	d.gitlab.Inject(gitlabtest.Fault{Match: postToken, When: gitlabtest.After})
	d.gitlab.Inject(gitlabtest.Fault{Match: listTokens, Skip: 4, Times: gitlabtest.Always, Status: http.StatusForbidden, Body: `{"message":"403 Forbidden"}`})
	if d.runApply(nil) || d.state.IsNull() || len(d.gitlab.ActiveTokens(d.project)) != 1 {
		t.Fatalf("no tainted state: %v", describe(d.last))
	}
	d.gitlab.ClearFaults()
	d.accounted()
	if !d.destroy() || len(d.gitlab.ActiveTokens(d.project)) != 0 {
		t.Errorf("the destroy left the token: %v", describe(d.last))
	}
	d.state = tftypes.NewValue(d.resource.ValueType(), nil)
	d.mustApply(nil)
}

// TestImport_tokensOfAnotherState (S9): a living token of another resource is imported by
// its own id only, with a warning.
func TestImport_tokensOfAnotherState(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	own := d.gitlab.Tokens(d.project)[0]
	other := &driver{fixture: d.fixture}
	other.load()
	form := fmt.Sprintf("%s:%d", "acme/shop", own.ID)
	if other.importState("acme/shop") || !strings.Contains(fmt.Sprint(describe(other.last)), form) {
		t.Errorf("imported by project, or the refusal does not name %s: %v", form, describe(other.last))
	}
	resp, ok := other.importWithWarnings(form)
	if !ok || !containsAll(fmt.Sprint(describe(resp)), fmt.Sprintf("Token %d of acme/shop was minted by another registry access resource", own.ID), "terraform state rm") {
		t.Errorf("says %v", describe(resp))
	}
	// GitLab's own token is a candidate beside it.
	d.gitlab.SaveAutoDevOps(d.project, gitlabtest.True)
	third := &driver{fixture: d.fixture}
	third.load()
	if third.importState("acme/shop") {
		t.Error("a token of the first name hides behind GitLab's own")
	}
}

// TestReplace_ownTokens: the plan of a replacement cannot tell its own old object from
// others, and says so; the new object does not list what the same plan ends.
func TestReplace_ownTokens(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	fresh := &driver{fixture: d.fixture}
	fresh.load()
	p := fresh.planChange(nil)
	if got := fmt.Sprint(describe(p.diagnostics)); !containsAll(got, "the object that this plan replaces") || strings.Contains(got, "Revoke them") {
		t.Errorf("says %s", got)
	}
	if !fresh.apply(p) { // create before destroy
		t.Fatal(describe(fresh.last))
	}
	if got := fresh.attributes(fresh.state)["unmanaged_token_ids"].String(); strings.Contains(got, itoa(d.gitlab.Tokens(d.project)[0].ID)) {
		t.Errorf("the new object lists the old one's token: %s", got)
	}
	if !d.destroy() {
		t.Fatal(describe(d.last))
	}
	fresh.mustBeSettled(nil)
}

// TestDrift_isVisible (S10): a token that somebody ends shows in the refreshed state, with
// a warning, and a retired one as well.
func TestDrift_isVisible(t *testing.T) {
	for status, end := range map[string]func(d *driver, id int64){
		"revoked": func(d *driver, id int64) { d.gitlab.RevokeInSettings(id) },
		"deleted": func(d *driver, id int64) { d.gitlab.DeleteDeployToken(id) },
		"expired": func(d *driver, _ int64) { d.gitlab.Clock.Set(time.Date(2027, 1, 16, 0, 0, 0, 0, time.UTC)) },
	} {
		t.Run(status, func(t *testing.T) {
			d := newDriver(t)
			d.mustApply(round("1"))
			retired := d.gitlab.Tokens(d.project)[0].ID
			d.mustApply(round("2"))
			current := d.gitlab.Tokens(d.project)[1].ID
			if got := d.text("token_status"); got != "active" {
				t.Fatalf("status %q before", got)
			}
			before := d.state
			end(d, retired)
			end(d, current)
			if !d.refresh() {
				t.Fatal(describe(d.last))
			}
			if d.state.Equal(before) || d.text("token_status") != status {
				t.Errorf("status %q, want %q", d.text("token_status"), status)
			}
			if got := summaries(d.last); !slices.Contains(got, fmt.Sprintf("Token %d of acme/shop no longer works", current)) {
				t.Errorf("says %v", got)
			}
			if got := d.attributes(d.state)["retired_tokens"].String(); !strings.Contains(got, fmt.Sprintf("%q", status)) {
				t.Errorf("the retired token reads as valid: %s", got)
			}
			d.converge(round("2"))
		})
	}
}

// TestRead_pathTaken: the project was renamed, and its old path is another project's.
func TestRead_pathTaken(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	d.gitlab.RenameProject(d.project, "acme/shop-legacy")
	d.mustBeSettled(nil)
	if len(d.last) != 0 {
		t.Errorf("a rename alone says %v", describe(d.last))
	}
	taken := d.gitlab.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	d.gitlab.SetRole(taken, d.maintainer, gitlabtest.Maintainer)
	if !d.refresh() {
		t.Fatal(describe(d.last))
	}
	if got := fmt.Sprint(describe(d.last)); !containsAll(got, "Path acme/shop belongs to another project now", itoa(taken.ID), "acme/shop-legacy") {
		t.Errorf("says %s", got)
	}
	for _, project := range []string{"acme/shop", "Acme/SHOP", "acme/shop-LEGACY", itoa(d.project.ID)} {
		if p := d.planChange(arguments{"project": project}); p.replace || failed(p.diagnostics) {
			t.Errorf("%s replaces: %v", project, describe(p.diagnostics))
		}
	}
	d.mustApply(arguments{"project": "ACME/shop"})
	if live := d.gitlab.ActiveTokens(taken); len(live) != 0 {
		t.Error("the new project got a token")
	}
}

// TestUnreadableRows (S7): what concerns only others is reported; what may be ours is not passed over.
func TestUnreadableRows(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	foreign := d.gitlab.CreateDeployToken(d.project, "somebody's", "else", time.Time{}, "read_registry")
	for _, key := range []string{"expires_at", "revoked", "scopes"} {
		d.gitlab.OverrideToken(foreign.ID, key, map[string]any{"odd": true})
		if !d.refresh() {
			t.Fatalf("%s: %v", key, describe(d.last))
		}
		if got := summaries(d.last); !slices.Equal(got, []string{fmt.Sprintf("Unreadable deploy tokens in acme/shop: %d", foreign.ID)}) {
			t.Errorf("%s: says %v", key, got)
		}
	}
	d.mustApply(round("1"))
	for name, value := range map[string]any{"id": "odd", "name": access.DefaultName} {
		d.gitlab.OverrideToken(foreign.ID, name, value)
		if d.refresh() {
			t.Errorf("a row passed that may be ours by its %s", name)
		}
		d.gitlab.OverrideToken(foreign.ID, name, foreign.ID)
	}
}

// TestUnreadableRows_ours (S7): a row that cannot be read is ours by its id alone, and by
// its username alone.
func TestUnreadableRows_ours(t *testing.T) {
	d := newDriver(t)
	d.mustApply(round("1"))
	retired := d.gitlab.ActiveTokens(d.project)[0]
	d.mustApply(round("2"))
	d.gitlab.OverrideToken(retired.ID, "revoked", "odd")
	d.gitlab.OverrideToken(retired.ID, "name", "else")
	if d.refresh() {
		t.Error("passed by its username")
	}
	d.gitlab.OverrideToken(retired.ID, "username", "else")
	if d.refresh() {
		t.Error("passed by its id")
	}
	foreign := d.gitlab.CreateDeployToken(d.project, "else", d.text("username"), time.Time{}, "read_registry")
	d.gitlab.OverrideToken(retired.ID, "revoked", false)
	d.gitlab.OverrideToken(foreign.ID, "revoked", "odd")
	if d.refresh() {
		t.Error("a row of the resource's username passed")
	}
}

// TestOldGitLab: what is too old is refused before a token is minted, and what has been
// minted anyway is revoked.
func TestOldGitLab(t *testing.T) {
	t.Run("it says its version", func(t *testing.T) {
		d := newDriver(t)
		d.gitlab.SetVersion("13.11.4-ee")
		if d.runApply(nil) || d.gitlab.CountRequests(postToken) != 0 || !strings.Contains(fmt.Sprint(describe(d.last)), "14.9") {
			t.Errorf("says %v", describe(d.last))
		}
	})
	t.Run("its rows say it", func(t *testing.T) {
		d := newDriver(t)
		d.gitlab.SetVersion("")
		d.gitlab.LeaveOutOfTokens("revoked", "expired")
		d.gitlab.CreateDeployToken(d.project, "somebody's", "else", time.Time{}, "read_registry")
		if d.runApply(nil) || d.gitlab.CountRequests(postToken) != 0 || !strings.Contains(fmt.Sprint(describe(d.last)), "14.9") {
			t.Errorf("says %v", describe(d.last))
		}
	})
	t.Run("nothing says it before the POST", func(t *testing.T) {
		d := newDriver(t)
		d.gitlab.SetVersion("")
		d.gitlab.LeaveOutOfTokens("revoked", "expired")
		if d.runApply(nil) || len(d.gitlab.Tokens(d.project)) != 0 || !strings.Contains(fmt.Sprint(describe(d.last)), "14.9") {
			t.Errorf("%d tokens: %v", len(d.gitlab.Tokens(d.project)), describe(d.last))
		}
	})
}

// TestFineGrainedTokens: their 404 says nothing of the project. A refresh fails closed
// with advice, and a destroy ends with a warning.
func TestFineGrainedTokens(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	before := d.state
	granular := `{"error":"insufficient_granular_scope","error_description":"Access denied: your fine-grained personal access token lacks the required permissions."}`
	for _, match := range []string{getProject, listTokens, deleteToken} {
		d.gitlab.Inject(gitlabtest.Fault{Match: match, Times: gitlabtest.Always, Status: http.StatusNotFound, Body: `{"message":"404 Not Found"}`})
	}
	d.gitlab.Inject(gitlabtest.Fault{Match: "GET /user", Times: gitlabtest.Always, Status: http.StatusForbidden, Body: granular})
	if d.refresh() || !d.state.Equal(before) || !strings.Contains(fmt.Sprint(describe(d.last)), "fine-grained") {
		t.Errorf("says %v", describe(d.last))
	}
	if !d.destroy() || !strings.Contains(fmt.Sprint(describe(d.last)), "is gone or hidden") {
		t.Errorf("destroy: %v", describe(d.last))
	}

	d = newDriverIn(t)
	d.mustApply(nil)
	d.gitlab.Inject(gitlabtest.Fault{Match: listTokens, Times: gitlabtest.Always, Status: http.StatusForbidden, Body: granular})
	if d.refresh() || !containsAll(fmt.Sprint(describe(d.last)), "fine-grained", "guide on permissions") {
		t.Errorf("says %v", describe(d.last))
	}
}

// TestCrowd: 25 resources of one project with 140 tokens of others are created side by
// side, and then read.
func TestCrowd(t *testing.T) {
	d := newDriver(t)
	for n := range 140 {
		d.gitlab.CreateDeployToken(d.project, fmt.Sprint("other-", n), "x", time.Time{}, "read_repository")
	}
	server := d.configured()
	var crowd [25]*driver
	for i := range crowd {
		crowd[i] = &driver{fixture: d.fixture, running: server}
		crowd[i].load()
	}
	for _, step := range []func(c *driver, args arguments) bool{
		func(c *driver, args arguments) bool { return c.apply(c.planChange(args)) },
		func(c *driver, args arguments) bool { return c.refresh() && c.planChange(args).empty() },
	} {
		var side sync.WaitGroup
		for i, c := range crowd {
			side.Go(func() {
				if !step(c, arguments{"name": fmt.Sprint("pull-", i)}) {
					t.Errorf("%d: %v", i, describe(c.last))
				}
			})
		}
		side.Wait()
	}
	if live := d.gitlab.ActiveTokens(d.project); len(live) != 165 {
		t.Errorf("%d tokens, want 165", len(live))
	}
}

// TestDestroy_tainted: Terraform keeps no private state of a tainted object, and its
// retired tokens have other usernames than its own.
func TestDestroy_tainted(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	imported := d.gitlab.Tokens(d.project)[0]
	d.state, d.secret = tftypes.NewValue(d.resource.ValueType(), nil), nil
	if !d.importState(fmt.Sprint("acme/shop:", imported.ID)) {
		t.Fatal(describe(d.last))
	}
	d.mustApply(arguments{"username": "puller"})
	d.mustApply(nil)
	if !d.refresh() {
		t.Fatal(describe(d.last))
	}
	d.private = nil
	if !d.destroy() || len(d.gitlab.ActiveTokens(d.project)) != 0 {
		t.Errorf("%d tokens live: %v", len(d.gitlab.ActiveTokens(d.project)), describe(d.last))
	}
}
