package registryaccess_test

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

const (
	userKey        = "CI_DEPLOY_USER"
	passwordKey    = "CI_DEPLOY_PASSWORD"
	postVariable   = "POST /projects/:id/variables"
	putVariable    = "PUT /projects/:id/variables/:key"
	deleteVariable = "DELETE /projects/:id/variables/:key"
	listVariables  = "GET /projects/:id/variables"
)

// variables is the two-line configuration, with more arguments if there are any.
func variables(more ...arguments) arguments {
	args := arguments{"ci_variables": arguments{}}
	for _, m := range more {
		maps.Copy(args, m)
	}
	return args
}

// variable returns a CI/CD variable of the project.
func (d *driver) variable(key, scope string) (gitlabtest.Variable, bool) {
	all := d.gitlab.Variables(d.project)
	i := slices.IndexFunc(all, func(v gitlabtest.Variable) bool { return v.Key == key && v.Scope == scope })
	if i < 0 {
		return gitlabtest.Variable{}, false
	}
	return all[i], true
}

// mustBePublished wants the current credentials in both variables of the scope.
func (d *driver) mustBePublished(scope string) {
	d.Helper()
	user, _ := d.variable(userKey, scope)
	password, _ := d.variable(passwordKey, scope)
	if user.Value != d.text("username") || password.Value != d.text("token") || password.Value == "" {
		d.Errorf("scope %s: the variables do not hold the current credentials (user %q)", scope, user.Value)
	}
	if !password.Masked || password.Protected || !password.Raw || password.Type != "env_var" {
		d.Errorf("the password's flags: masked %v, protected %v, raw %v, type %s", password.Masked, password.Protected, password.Raw, password.Type)
	}
	if !d.gitlab.CanPull(d.project, user.Value, password.Value) {
		d.Error("what is published does not pull")
	}
	if status := d.text("ci_status"); status != "published" {
		d.Errorf("ci_status is %q", status)
	}
	if d.text("published_at") == "" {
		d.Error("published_at is null")
	}
}

// writes lists the requests that could have changed something.
func (d *driver) writes() []string {
	var writes []string
	for _, r := range d.gitlab.Requests() {
		if r.Method != http.MethodGet {
			writes = append(writes, r.String())
		}
	}
	return writes
}

func (d *driver) mustSay(summary string) {
	d.Helper()
	if !slices.ContainsFunc(d.last, func(x *tfprotov6.Diagnostic) bool { return strings.Contains(x.Summary, summary) }) {
		d.Errorf("nothing says %q: %v", summary, describe(d.last))
	}
}

func TestPublish_life(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.mustBePublished("*")
	password, _ := d.variable(passwordKey, "*")
	want := regexp.MustCompile(fmt.Sprintf(`^autodevops: token %d, published 2026-01-15T`, d.gitlab.Tokens(d.project)[0].ID))
	if !want.MatchString(password.Description) {
		t.Errorf("description %q", password.Description)
	}
	if writes := d.writes(); !slices.Equal(writes, []string{postToken, postVariable, postVariable}) {
		t.Errorf("the creation writes %v", writes)
	}
	d.mustBeSettled(variables())

	// Three minutes later a job deploys; it ends, and the pods can still pull.
	d.gitlab.Clock.Advance(3 * time.Minute)
	d.gitlab.Deploy(d.project, "production")
	if !d.gitlab.ClusterPulls(d.project, "production") {
		t.Error("the deployed pods cannot pull")
	}
	d.mustBeSettled(variables())

	// Half of the lifetime later the token rotates with one PUT.
	first := d.gitlab.Tokens(d.project)[0]
	d.gitlab.Clock.AdvanceDays(183)
	d.gitlab.ForgetRequests()
	d.mustApply(variables())
	d.mustBePublished("*")
	if writes := d.writes(); !slices.Equal(writes, []string{postToken, putVariable}) {
		t.Errorf("the rotation writes %v", writes)
	}
	if !d.gitlab.ClusterPulls(d.project, "production") {
		t.Error("the rotation has cut the pods off")
	}
	retired := d.retired()
	if len(retired) != 1 || !retired[0].revokeAt.Equal(first.ExpiresAt) {
		t.Errorf("retired %v, want one until %s", retired, first.ExpiresAt)
	}

	// The environment is behind until it is deployed again.
	d.mustBeSettled(variables())
	if got := d.behind(); got != "production retired" {
		t.Errorf("behind: %q", got)
	}
	d.gitlab.Clock.AdvanceDays(160)
	d.refresh()
	d.mustSay("production of acme/shop pulls until 2027-01-15")
	d.gitlab.Deploy(d.project, "production")
	d.mustBeSettled(variables())
	if got := d.behind(); got != "none" {
		t.Errorf("behind after the deployment: %q", got)
	}
	d.gitlab.ForgetRequests()
	d.mustBeSettled(variables())
	if n := len(d.gitlab.Requests()); n != 3 {
		t.Errorf("a steady plan makes %d requests: %v", n, d.gitlab.Requests())
	}

	// The old token ends with its expiry, and the new one goes on.
	d.gitlab.Clock.AdvanceDays(30)
	d.mustApply(variables())
	d.mustBePublished("*")
	if !d.gitlab.ClusterPulls(d.project, "production") {
		t.Error("the end of the old token has cut the pods off")
	}
	if !d.destroy() {
		t.Fatal(describe(d.last))
	}
	if left := d.gitlab.Variables(d.project); len(left) != 0 {
		t.Errorf("variables after the destroy: %d", len(left))
	}
	if left := d.gitlab.ActiveTokens(d.project); len(left) != 0 {
		t.Errorf("tokens after the destroy: %d", len(left))
	}
}

func TestPublish_livingResource(t *testing.T) {
	d := newDriver(t)
	d.mustApply(nil)
	rotateAt := d.text("rotate_at")
	token := d.text("token")
	d.gitlab.ForgetRequests()
	d.mustApply(variables())
	d.mustBePublished("*")
	if d.text("token") != token || d.text("rotate_at") != rotateAt {
		t.Errorf("ci_variables has rotated the token, or moved rotate_at to %s", d.text("rotate_at"))
	}
	if d.text("last_action") != "publish" {
		t.Errorf("last_action %s", d.text("last_action"))
	}
	d.mustBeSettled(variables())

	d.mustApply(nil)
	if left := d.gitlab.Variables(d.project); len(left) != 0 {
		t.Errorf("ci_variables is gone, and %d variables are not", len(left))
	}
	if d.text("last_action") != "unpublish" || d.text("ci_status") != "" || d.text("token") != token {
		t.Errorf("last_action %s, ci_status %q", d.text("last_action"), d.text("ci_status"))
	}
	d.mustBeSettled(nil)
	// A token that was in variables lives until its expiry.
	expires := d.text("expires_at")
	d.mustApply(round("2"))
	if retired := d.retired(); len(retired) != 1 || retired[0].revokeAt.Format(time.RFC3339) != expires {
		t.Errorf("retired %v, want until %s", retired, expires)
	}
	d.mustApply(round("3"))
	if retired := d.retired(); len(retired) != 2 || retired[1].revokeAt.After(d.gitlab.Clock.Now().AddDate(0, 0, 8)) {
		t.Errorf("retired %v: the second was never in variables", retired)
	}
}

func TestPublish_conflicts(t *testing.T) {
	theirs := gitlabtest.Variable{Key: passwordKey, Value: "their-own-password", Scope: "*", Masked: true, Description: "theirs"}
	tests := map[string]struct {
		prepare func(d *driver)
		args    arguments
		says    string
	}{
		"taken": {func(d *driver) { d.gitlab.SetVariable(d.project, theirs) }, variables(), "are taken"},
		"only the user": {func(d *driver) {
			d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: userKey, Value: "their-user"})
		}, variables(), "are taken"},
		"overwrite": {func(d *driver) { d.gitlab.SetVariable(d.project, theirs) }, arguments{"ci_variables": arguments{"overwrite": true}}, ""},
		"hidden": {func(d *driver) {
			d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: passwordKey, Value: "their-own-password", Hidden: true, Masked: true})
		}, arguments{"ci_variables": arguments{"overwrite": true}}, "hidden"},
		"more exact": {func(d *driver) {
			d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: userKey, Value: "their-user", Scope: "production"})
		}, arguments{"ci_variables": arguments{"overwrite": true}}, "shadowed"},
		"a pattern": {func(d *driver) {
			d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: userKey, Value: "their-user", Scope: "rev*"})
		}, arguments{"ci_variables": arguments{"environment_scope": "review/*"}}, "shadowed"},
		"loses":       {func(d *driver) { d.gitlab.SetVariable(d.project, theirs) }, arguments{"ci_variables": arguments{"environment_scope": "production"}}, ""},
		"another key": {func(d *driver) { d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: "CI_OTHER", Value: "x"}) }, variables(), ""},
		"another pattern": {func(d *driver) {
			d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: userKey, Value: "their-user", Scope: "qa/*"})
		}, arguments{"ci_variables": arguments{"environment_scope": "review/*"}}, ""},
		"CI is off":         {func(d *driver) { d.gitlab.SetCIEnabled(d.project, false) }, variables(), "Cannot plan the publication"},
		"the group's loses": {func(d *driver) { d.gitlab.SetGroupVariable(d.group, theirs) }, variables(), ""},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t)
			c.prepare(d)
			before := d.gitlab.Variables(d.project)
			ok := d.runApply(c.args)
			if c.says == "" {
				if !ok {
					t.Fatalf("fails: %v", describe(d.last))
				}
				scope, _ := c.args["ci_variables"].(arguments)["environment_scope"].(string)
				if scope == "" {
					scope = "*"
				}
				d.mustBePublished(scope)
				d.mustBeSettled(c.args)
				return
			}
			if ok {
				t.Fatal("no error")
			}
			if text := strings.Join(describe(d.last), "\n"); !strings.Contains(text, c.says) {
				t.Errorf("says %s", text)
			}
			if !slices.Equal(d.gitlab.Variables(d.project), before) || len(d.gitlab.Tokens(d.project)) != 0 {
				t.Error("something was changed")
			}
			// On a living resource, the same is an error of the plan that begins, and nothing else.
			d.mustApply(nil)
			if d.runApply(c.args) {
				t.Error("a living resource begins to publish without an error")
			}
			d.mustBeSettled(nil)
		})
	}
}

func TestPublish_drift(t *testing.T) {
	tests := map[string]struct {
		change func(d *driver)
		status string
		repair bool
	}{
		"password removed": {func(d *driver) { d.gitlab.DeleteVariable(d.project, passwordKey, "*") }, "missing", true},
		"user removed":     {func(d *driver) { d.gitlab.DeleteVariable(d.project, userKey, "*") }, "missing", true},
		"value changed":    {func(d *driver) { d.edit(passwordKey, func(v *gitlabtest.Variable) { v.Value = "another-value" }) }, "changed", true},
		"protected":        {func(d *driver) { d.edit(passwordKey, func(v *gitlabtest.Variable) { v.Protected = true }) }, "changed", true},
		"not masked":       {func(d *driver) { d.edit(passwordKey, func(v *gitlabtest.Variable) { v.Masked = false }) }, "changed", true},
		"a file":           {func(d *driver) { d.edit(userKey, func(v *gitlabtest.Variable) { v.Type = "file" }) }, "changed", true},
		"description":      {func(d *driver) { d.edit(passwordKey, func(v *gitlabtest.Variable) { v.Description = "mine" }) }, "published", false},
		"hidden": {func(d *driver) {
			d.gitlab.DeleteVariable(d.project, passwordKey, "*")
			d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: passwordKey, Value: "hidden-value", Hidden: true, Masked: true})
		}, "unverifiable", true},
		"shadowed": {func(d *driver) {
			d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: userKey, Value: "their-user", Scope: "production"})
		}, "shadowed", false},
		"CI off": {func(d *driver) { d.gitlab.SetCIEnabled(d.project, false) }, "unreachable", false},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t)
			d.mustApply(variables())
			token, at := d.text("token"), d.text("published_at")
			d.gitlab.Clock.AdvanceDays(2)
			c.change(d)
			if !d.refresh() {
				t.Fatal(describe(d.last))
			}
			if got := d.text("ci_status"); got != c.status {
				t.Fatalf("ci_status %q, want %q", got, c.status)
			}
			if c.repair == d.planChange(variables()).empty() {
				t.Errorf("the plan is empty: %v", !c.repair)
			}
			d.mustApply(variables())
			if c.repair {
				d.mustBePublished("*")
				if d.text("last_action") != "publish" {
					t.Errorf("last_action %s", d.text("last_action"))
				}
			}
			if d.text("token") != token || d.text("published_at") != at {
				t.Error("the repair has rotated the token, or moved published_at")
			}
			d.mustBeSettled(variables())
			// The token rotates whatever the variables are.
			d.gitlab.Clock.AdvanceDays(200)
			d.mustApply(variables())
			if d.text("token") == token {
				t.Error("the token was not rotated")
			}
			d.mustBeSettled(variables())
			d.gitlab.SetCIEnabled(d.project, true)
			d.gitlab.DeleteVariable(d.project, userKey, "production")
			d.mustApply(variables())
			d.mustBeSettled(variables())
			d.mustBePublished("*")
		})
	}
}

// edit changes a variable as somebody would in the settings page.
func (d *driver) edit(key string, change func(*gitlabtest.Variable)) {
	v, _ := d.variable(key, "*")
	change(&v)
	d.gitlab.SetVariable(d.project, v)
}

func TestPublish_notRequired(t *testing.T) {
	t.Run("public", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(variables())
		d.gitlab.Clock.Advance(2 * time.Minute)
		d.gitlab.Deploy(d.project, "production")
		expires := d.text("expires_at")
		d.gitlab.SetVisibility(d.project, "public")
		d.mustApply(variables())
		if left := d.gitlab.Variables(d.project); len(left) != 0 {
			t.Errorf("%d variables left", len(left))
		}
		if retired := d.retired(); len(retired) != 1 || retired[0].revokeAt.Format(time.RFC3339) != expires {
			t.Errorf("retired %v", retired)
		}
		if !d.gitlab.ClusterPulls(d.project, "production") {
			t.Error("pods with the old Secret cannot pull")
		}
		d.mustBeSettled(variables())
		if got := d.behind(); got != "production retired" {
			t.Errorf("behind %q", got)
		}
		// And back.
		d.gitlab.SetVisibility(d.project, "private")
		d.mustApply(variables())
		d.mustBePublished("*")
		d.mustBeSettled(variables())
	})
	t.Run("Auto DevOps off", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(variables())
		expires := d.text("expires_at")
		d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
		d.mustApply(variables())
		if d.text("ends_at") != expires {
			t.Errorf("ends_at %s, want %s", d.text("ends_at"), expires)
		}
		d.mustBePublished("*")
		d.gitlab.Clock.AdvanceDays(364)
		d.mustBeSettled(variables())
		d.gitlab.Clock.AdvanceDays(2)
		d.mustApply(variables())
		if left := d.gitlab.Variables(d.project); len(left) != 0 {
			t.Errorf("%d variables left", len(left))
		}
		d.mustBeSettled(variables())
	})
}

// TestPublish_takeOver: a state that was lost, and an object that replaces another, find the pair
// of before, and the old object removes nothing that it has not published.
func TestPublish_takeOver(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	old, oldPrivate := d.state, d.private

	d.load() // a new object, as with create_before_destroy
	d.mustApply(variables())
	d.mustBePublished("*")
	fresh, freshPrivate := d.state, d.private

	d.state, d.private = old, oldPrivate
	if !d.destroy() {
		t.Fatal(describe(d.last))
	}
	d.mustSay("are left alone")
	d.state, d.private = fresh, freshPrivate
	d.refresh()
	d.mustBePublished("*")
	d.mustBeSettled(variables())
}

func TestPublish_gitLabsOwnToken(t *testing.T) {
	d := newDriver(t)
	d.gitlab.SaveAutoDevOps(d.project, gitlabtest.True)
	own := d.gitlab.Tokens(d.project)[0]
	d.gitlab.Deploy(d.project, "production")
	d.importState(fmt.Sprint("acme/shop:", own.ID))
	d.mustApply(variables())
	d.mustBePublished("*")
	retired := d.retired()
	if want := d.gitlab.Clock.Now().AddDate(0, 0, 182); len(retired) != 1 || !retired[0].revokeAt.Equal(want) {
		t.Errorf("retired %v, want one until %s", retired, want)
	}
	d.mustBeSettled(variables())
	if got := d.behind(); got != "production gitlab_token" {
		t.Errorf("behind %q", got)
	}
}

// TestPublish_withoutOverlap: the apply publishes and then revokes, and its plan names the
// environments that it cuts off.
func TestPublish_withoutOverlap(t *testing.T) {
	args := variables(arguments{"rotation": arguments{"overlap_days": 0}})
	d := newDriver(t)
	d.mustApply(args)
	d.gitlab.Clock.Advance(2 * time.Minute)
	d.gitlab.Deploy(d.project, "production")
	d.mustBeSettled(args)
	d.gitlab.Clock.AdvanceDays(200)
	d.refresh()
	p := d.planChange(args)
	d.mustSay("Environments of acme/shop hold a token that is revoked: production")
	if !d.apply(p) {
		t.Fatal(describe(d.last))
	}
	d.mustBePublished("*")
	if live := d.gitlab.ActiveTokens(d.project); len(live) != 1 || len(d.retired()) != 0 {
		t.Errorf("%d tokens live, %d are retired", len(live), len(d.retired()))
	}
}

func TestPublish_changeToNoOverlap(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.Clock.AdvanceDays(200)
	d.mustApply(variables())
	args := variables(arguments{"rotation": arguments{"overlap_days": 0}})
	d.mustApply(args)
	if live := d.gitlab.ActiveTokens(d.project); len(live) != 1 || len(d.retired()) != 0 {
		t.Errorf("%d tokens live, %d are retired", len(live), len(d.retired()))
	}
	d.mustBePublished("*")
	d.mustBeSettled(args)
}

func TestPublish_scopeChanges(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	args := arguments{"ci_variables": arguments{"environment_scope": "production"}}
	token := d.text("token")
	d.mustApply(args)
	d.mustBePublished("production")
	if _, left := d.variable(passwordKey, "*"); left || d.text("token") != token {
		t.Error("the variables of the old scope are left, or the token was rotated")
	}
	d.mustBeSettled(args)
}

func TestPublish_usernameChanges(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.ForgetRequests()
	args := variables(arguments{"username": "deployer"})
	d.mustApply(args)
	d.mustBePublished("*")
	if writes := d.writes(); !slices.Equal(writes, []string{postToken, putVariable, putVariable}) {
		t.Errorf("writes %v", writes)
	}
	d.mustBeSettled(args)
}

// TestPublish_oldGitLab: what a server does not know, it drops in silence.
func TestPublish_oldGitLab(t *testing.T) {
	for _, version := range []string{"15.0.0", "16.0.0", "17.0.0"} {
		t.Run(version, func(t *testing.T) {
			d := newDriver(t)
			d.gitlab.SetVersion(version)
			d.mustApply(variables())
			if status := d.text("ci_status"); status != "published" {
				t.Errorf("ci_status %s", status)
			}
			d.mustBeSettled(variables())
			d.gitlab.Clock.AdvanceDays(200)
			d.mustApply(variables())
			d.mustBeSettled(variables())
			if !d.destroy() || len(d.gitlab.Variables(d.project)) != 0 {
				t.Errorf("after the destroy: %d variables, %v", len(d.gitlab.Variables(d.project)), describe(d.last))
			}
		})
	}
}

// TestPublish_refused: a refused publication changes nothing.
func TestPublish_refused(t *testing.T) {
	refusal := `{"message":{"value":["is invalid"]}}`
	t.Run("creation", func(t *testing.T) {
		d := newDriver(t)
		d.gitlab.Inject(gitlabtest.Fault{Match: postVariable, Skip: 1, Status: 400, Body: refusal, Times: gitlabtest.Always})
		if d.runApply(variables()) {
			t.Fatal("no error")
		}
		if live := d.gitlab.ActiveTokens(d.project); len(live) != 0 || len(d.gitlab.Variables(d.project)) != 0 || !d.state.IsNull() {
			t.Errorf("%d tokens, %d variables, a state: %v", len(live), len(d.gitlab.Variables(d.project)), !d.state.IsNull())
		}
	})
	t.Run("rotation", func(t *testing.T) {
		d := newDriver(t)
		d.mustApply(variables())
		before, token := d.gitlab.Variables(d.project), d.text("token")
		d.gitlab.Clock.AdvanceDays(200)
		d.gitlab.Inject(gitlabtest.Fault{Match: putVariable, Status: 400, Body: refusal, Times: gitlabtest.Always})
		if d.runApply(variables()) {
			t.Fatal("no error")
		}
		if live := d.gitlab.ActiveTokens(d.project); len(live) != 1 || d.text("token") != token || !slices.Equal(before, d.gitlab.Variables(d.project)) {
			t.Errorf("%d tokens live, or the state or the variables have changed", len(live))
		}
		d.gitlab.ClearFaults()
		d.mustApply(variables())
		d.mustBePublished("*")
	})
	t.Run("overwriting", func(t *testing.T) {
		d := newDriver(t)
		d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: userKey, Value: "their-user", Description: "theirs"})
		before := d.gitlab.Variables(d.project)
		d.gitlab.Inject(gitlabtest.Fault{Match: postVariable, Status: 400, Body: refusal, Times: gitlabtest.Always})
		if d.runApply(arguments{"ci_variables": arguments{"overwrite": true}}) {
			t.Fatal("no error")
		}
		if !slices.Equal(before, d.gitlab.Variables(d.project)) {
			t.Error("the old value was not put back")
		}
	})
}

// TestPublish_lateJob: a job that took its variables before the publication and ends after a
// newer one has written the Secret last.
func TestPublish_lateJob(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.Clock.AdvanceDays(200)
	late := d.gitlab.QueueJob(d.project, gitlabtest.JobOptions{Name: "production", Environment: "production"})
	d.gitlab.PickUp(late)
	d.mustApply(variables())
	d.gitlab.Clock.Advance(2 * time.Minute)
	d.gitlab.Deploy(d.project, "production")
	d.mustBeSettled(variables())
	if got := d.behind(); got != "production unknown" {
		t.Errorf("while the late job runs: %q", got)
	}
	d.gitlab.Clock.Advance(time.Minute)
	d.gitlab.CreateSecret(late, "production")
	d.gitlab.FinishJob(late, "failed")
	d.mustBeSettled(variables())
	if got := d.behind(); got != "production unknown" {
		t.Errorf("after it: %q", got)
	}
	d.gitlab.Clock.Advance(time.Minute)
	d.gitlab.Deploy(d.project, "production")
	d.mustBeSettled(variables())
	if got := d.behind(); got != "none" {
		t.Errorf("after another deployment: %q", got)
	}
}
