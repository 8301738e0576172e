package registryaccess_test

import (
	"maps"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// holdings are the environments of a project in the coverage, by name.
func (d *driver) holdings(got map[string]any, project string) map[string]string {
	d.Helper()
	row, _ := got["coverage"].(map[string]any)[project].(map[string]any)
	holds := map[string]string{}
	list, _ := row["deployed_environments"].([]any)
	for _, element := range list {
		e, _ := element.(map[string]any)
		holds[e["name"].(string)], _ = e["holds"].(string)
	}
	return holds
}

// TestCoverage_environments answers the founding question: which environments are broken now?
func TestCoverage_environments(t *testing.T) {
	d := newDriver(t)
	asked := arguments{"group": "acme", "environments": true}
	owner := d.gitlab.GroupMember(d.group, gitlabtest.Owner)
	d.token = d.gitlab.CreateAccessToken(owner, "api")
	own := d.gitlab.CreateProject("acme/own", gitlabtest.ProjectOptions{AutoDevOps: gitlabtest.True}) // GitLab makes a token
	open := d.gitlab.CreateProject("acme/open", gitlabtest.ProjectOptions{Visibility: "public"})
	d.gitlab.Deploy(own, "production")
	d.gitlab.Deploy(open, "production")
	for _, environment := range []string{"production", "staging", "review/x"} {
		d.gitlab.Deploy(d.project, environment)
	}
	d.gitlab.CreateEnvironment(d.project, "never-deployed")
	d.gitlab.StopEnvironment(d.project, "review/x")
	d.gitlab.Deploy(d.project, "custom") // a job that is not of Auto DevOps

	got, diags := d.coverage(asked)
	if len(diags) > 0 {
		t.Fatal(describe(diags))
	}
	if holds, want := d.holdings(got, "acme/shop"), (map[string]string{"production": "job_token", "staging": "job_token", "custom": "unknown"}); !maps.Equal(holds, want) {
		t.Errorf("acme/shop: %v, want %v", holds, want)
	}
	if holds := d.holdings(got, "acme/own"); holds["production"] != "gitlab_token" {
		t.Errorf("acme/own: %v", holds)
	}
	if holds := d.holdings(got, "acme/open"); holds["production"] != "none" {
		t.Errorf("acme/open: %v", holds)
	}
	totals := got["totals"].(map[string]any)
	if totals["environments_without_access"] != "2" || totals["environments_behind"] != "0" {
		t.Errorf("totals %v", totals)
	}

	// Published, the environments are behind until they are deployed again.
	d.gitlab.Clock.Advance(time.Hour)
	d.mustApply(variables())
	d.gitlab.Clock.Advance(2 * time.Minute)
	d.gitlab.Deploy(d.project, "production")
	got, _ = d.coverage(asked)
	if holds, want := d.holdings(got, "acme/shop"), (map[string]string{"production": "current", "staging": "unknown", "custom": "unknown"}); !maps.Equal(holds, want) {
		t.Errorf("acme/shop: %v, want %v", holds, want)
	}
	if totals := got["totals"].(map[string]any); totals["environments_without_access"] != "0" || totals["environments_behind"] != "2" {
		t.Errorf("totals %v", totals)
	}

	// What GitLab does not show is not known, and not asked for, it costs nothing.
	d.gitlab.SetEnvironmentsEnabled(d.project, false)
	got, diags = d.coverage(asked)
	row := got["coverage"].(map[string]any)["acme/shop"].(map[string]any)
	if len(diags) > 0 || row["deployed_environments"] != nil {
		t.Errorf("%v, %v", row["deployed_environments"], describe(diags))
	}
	d.gitlab.ForgetRequests()
	got, _ = d.coverage(arguments{"group": "acme"})
	if got["totals"].(map[string]any)["environments_behind"] != nil || d.gitlab.CountRequests(listVariables) != 0 {
		t.Error("asked without environments = true")
	}
}
