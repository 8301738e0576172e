package gitlabtest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

const password = "CI_DEPLOY_PASSWORD"

func wantVariable(t *testing.T, what string, j *gitlabtest.Job, name, want string) {
	t.Helper()
	if got := j.Variables[name]; got != want {
		t.Errorf("%s: %s is %q, want %q", what, name, got, want)
	}
}

// TestJobs_precedence adds one source after the other, each stronger than all before.
func TestJobs_precedence(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t)
	root := g.CreateGroup("acme", gitlabtest.GroupOptions{})
	sub := g.CreateGroup("acme/web", gitlabtest.GroupOptions{})
	p := g.CreateProject("acme/web/shop", gitlabtest.ProjectOptions{})
	o := gitlabtest.JobOptions{Name: "production", Environment: "production"}
	of := func(value string) map[string]string { return map[string]string{password: value} }
	variable := func(value, scope string) gitlabtest.Variable {
		return gitlabtest.Variable{Key: password, Value: value, Scope: scope}
	}
	named := g.CreateDeployToken(p, "gitlab-deploy-token", "", time.Time{}, "read_registry")
	for _, step := range []struct {
		want string
		add  func()
	}{
		{named.Secret, func() {}},
		{"yaml", func() { o.YAML = of("yaml") }},
		{"dotenv", func() { o.Dotenv = of("dotenv") }},
		{"instance", func() { g.SetInstanceVariable(variable("instance", "")) }},
		{"parent", func() { g.SetGroupVariable(root, variable("parent", "production")) }},
		{"group", func() { g.SetGroupVariable(sub, variable("group", "*")) }},
		{"project", func() { g.SetVariable(p, variable("project", "*")) }},
		{"pipeline", func() { o.Pipeline = of("pipeline") }},
		{"schedule", func() { o.Schedule = of("schedule") }},
		{"manual", func() { o.Manual = of("manual") }},
		{"policy", func() { o.Policy = of("policy") }},
	} {
		step.add()
		j := g.QueueJob(p, o)
		g.PickUp(j)
		wantVariable(t, step.want, j, password, step.want)
	}
}

func TestJobs_scopes(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t)
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	for _, scope := range []string{"review/feature-1", "*", "review/*", "prod*"} {
		g.SetVariable(p, gitlabtest.Variable{Key: password, Value: "of " + scope, Scope: scope})
	}
	g.SetVariable(p, gitlabtest.Variable{Key: "NARROW", Value: "x", Scope: "production"})
	g.SetVariable(p, gitlabtest.Variable{Key: "PROTECTED", Value: "x", Protected: true})
	g.SetVariable(p, gitlabtest.Variable{Key: "PATTERN", Value: "x", Scope: "**"})
	for environment, want := range map[string]string{
		"":                 "of *",
		"staging":          "of *",
		"review/feature-1": "of review/feature-1",
		"review/other/eu":  "of review/*",
		"review":           "of *",
		"production":       "of prod*",
		"production/eu":    "of prod*",
	} {
		j := g.QueueJob(p, gitlabtest.JobOptions{Environment: environment})
		g.PickUp(j)
		wantVariable(t, environment, j, password, want)
		wantVariable(t, environment, j, "PROTECTED", "")
		// Without an environment, only the scope "*" itself fits.
		if pattern := j.Variables["PATTERN"]; (pattern == "x") != (environment != "") {
			t.Errorf("%q: the scope ** gives %q", environment, pattern)
		}
		narrow := ""
		if environment == "production" {
			narrow = "x"
		}
		wantVariable(t, environment, j, "NARROW", narrow)
	}
	// Every action gets the scoped variables, and only start makes a deployment.
	for _, action := range []string{"prepare", "verify", "access", "stop"} {
		j := g.QueueJob(p, gitlabtest.JobOptions{Environment: "production", Action: action, Protected: true})
		g.PickUp(j)
		wantVariable(t, action, j, "NARROW", "x")
		wantVariable(t, action, j, "PROTECTED", "x")
	}
}

// TestJobs_equalScopes: which one of two patterns wins is undefined, so both must be met.
func TestJobs_equalScopes(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t)
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	g.SetVariable(p, gitlabtest.Variable{Key: password, Value: "first", Scope: "review/*"})
	g.SetVariable(p, gitlabtest.Variable{Key: password, Value: "second", Scope: "rev*"})
	for newest, want := range map[bool]string{false: "first", true: "second"} {
		g.SetJobsGetNewest(newest)
		wantVariable(t, want, g.Deploy(p, "review/x"), password, want)
	}
}

func TestJobs_valuesInJobs(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t)
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	g.SetVariable(p, gitlabtest.Variable{Key: "FILE", Value: "content", Type: "file"})
	g.SetVariable(p, gitlabtest.Variable{Key: "COOKED", Value: "a$CI_JOB_NAME-${NONE}"})
	g.SetVariable(p, gitlabtest.Variable{Key: "RAW", Value: "a$CI_JOB_NAME", Raw: true})
	j := g.StartJob(p)
	if path := j.Variables["FILE"]; path == "content" || !strings.HasPrefix(path, "/") {
		t.Errorf("a file variable hands over %q instead of a path", path)
	}
	wantVariable(t, "expanded", j, "COOKED", "abuild-")
	wantVariable(t, "raw", j, "RAW", "a$CI_JOB_NAME")
}

// TestJobs_variablesAreThoseOfThePickUp: not those of the pipeline's creation.
func TestJobs_variablesAreThoseOfThePickUp(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t)
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	set := func(value string) { g.SetVariable(p, gitlabtest.Variable{Key: password, Value: value}) }
	set("old")
	j := g.QueueJob(p, gitlabtest.JobOptions{Environment: "production", YAML: map[string]string{"FROZEN": "old"}})
	if len(j.Variables) != 0 {
		t.Errorf("a pending job has variables: %v", j.Variables)
	}
	set("new")
	g.PickUp(j)
	wantVariable(t, "picked up after the change", j, password, "new")
	set("newer")
	wantVariable(t, "changed while it runs", j, password, "new")
	g.FinishJob(j, "failed")
	retried := g.RetryJob(j)
	g.PickUp(retried)
	wantVariable(t, "retried", retried, password, "newer")
	wantVariable(t, "retried", retried, "FROZEN", "old")
	if retried.Token == j.Token || retried.ID == j.ID {
		t.Error("a retry is not a job of its own")
	}
}

func TestJobs_twoPhases(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t)
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	g.SetVariable(p, gitlabtest.Variable{Key: password, Value: "old"})
	j := g.QueueJob(p, gitlabtest.JobOptions{Environment: "production"})
	g.PickUpInTwoPhases(j)
	if status := g.JobStatus(j); status != "pending" {
		t.Errorf("the job is %s before its runner said anything", status)
	}
	g.SetVariable(p, gitlabtest.Variable{Key: password, Value: "new"})
	g.StartRunning(j)
	wantVariable(t, "started later", j, password, "old")
	if status := g.JobStatus(j); status != "running" {
		t.Errorf("the job is %s", status)
	}
}

// TestJobs_tokenWorksWhileTheJobRuns covers the founding bug: the Secret dies with the job.
func TestJobs_tokenWorksWhileTheJobRuns(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t)
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	j := g.QueueJob(p, gitlabtest.JobOptions{Name: "production", Environment: "production"})
	if g.CanPull(p, "gitlab-ci-token", j.Token) {
		t.Error("the token works before the job runs")
	}
	g.PickUp(j)
	g.CreateSecret(j, "shop")
	if !g.ClusterPulls(p, "shop") {
		t.Error("the running job's Secret does not pull")
	}
	g.FinishJob(j, "success")
	if g.ClusterPulls(p, "shop") {
		t.Error("the Secret outlives the job")
	}
}

func TestJobs_forwardDeployments(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t)
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	o := gitlabtest.JobOptions{Name: "production", Environment: "production"}
	running, waiting := g.QueueJob(p, o), g.QueueJob(p, o)
	g.PickUp(running)
	g.Deploy(p, "production")
	g.FinishJob(running, "success")
	if status := g.JobStatus(running); status != "success" {
		t.Errorf("a job that ran already was stopped: %s", status)
	}
	g.PickUp(waiting)
	if status := g.JobStatus(waiting); status != "failed" || len(waiting.Variables) != 0 {
		t.Errorf("an older deployment started after a newer success: %s", status)
	}
	rollback := g.Rollback(running)
	g.PickUp(rollback)
	if status := g.JobStatus(rollback); status != "running" {
		t.Errorf("a rollback is %s", status)
	}
	sameCommit := o
	sameCommit.SHA = strings.Repeat("a", 40)
	older := g.QueueJob(p, sameCommit)
	again := g.QueueJob(p, sameCommit)
	g.PickUp(again)
	g.FinishJob(again, "success")
	g.PickUp(older)
	if status := g.JobStatus(older); status != "running" {
		t.Errorf("the same commit again is %s", status)
	}
	g.SetForwardDeployment(p, false)
	late := g.QueueJob(p, o)
	g.Deploy(p, "production")
	g.PickUp(late)
	if status := g.JobStatus(late); status != "running" {
		t.Errorf("switched off, an older deployment is %s", status)
	}
}

// TestDeploy_jobNames are those of Auto DevOps' templates.
func TestDeploy_jobNames(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t)
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	for environment, want := range map[string]string{
		"production": "production", "staging": "staging", "review/feature-1": "review", "dast-default": "dast_environment_deploy", "qa": "deploy",
	} {
		if j := g.Deploy(p, environment); j.Name != want || g.JobStatus(j) != "success" {
			t.Errorf("%s: job %s is %s", environment, j.Name, g.JobStatus(j))
		}
	}
}

func TestCluster_createSecret(t *testing.T) {
	t.Parallel()
	const user = "CI_DEPLOY_USER"
	setup := func(t *testing.T, visibility string) (*gitlabtest.Server, *gitlabtest.Project) {
		t.Helper()
		g := gitlabtest.New(t)
		return g, g.CreateProject("acme/Shop_1", gitlabtest.ProjectOptions{Visibility: visibility})
	}
	want := func(t *testing.T, g *gitlabtest.Server, p *gitlabtest.Project, namespace, username, secret string) {
		t.Helper()
		gotUser, gotPassword, ok := g.ClusterSecret(p, namespace)
		if gotUser != username || gotPassword != secret || ok != (secret != "") {
			t.Errorf("in %s: %q and a password of %d characters, %v", namespace, gotUser, len(gotPassword), ok)
		}
	}
	t.Run("each variable falls back alone", func(t *testing.T) {
		t.Parallel()
		g, p := setup(t, "private")
		want(t, g, p, "production", "", "")
		j := g.Deploy(p, "production")
		want(t, g, p, "production", "gitlab-ci-token", j.Token)
		g.SetVariable(p, gitlabtest.Variable{Key: user, Value: "deployer"})
		j = g.Deploy(p, "production")
		want(t, g, p, "production", "deployer", j.Token)
		g.SetVariable(p, gitlabtest.Variable{Key: password, Value: "published"})
		j = g.Deploy(p, "production")
		want(t, g, p, "production", "deployer", "published")
		if username, secret := g.DeploySecret(j); username != "deployer" || secret != "published" {
			t.Errorf("DeploySecret says %q", username)
		}
		g.DeleteVariable(p, user, "")
		g.Deploy(p, "production")
		want(t, g, p, "production", "gitlab-ci-token", "published")
	})
	t.Run("a public project skips it without a password, and leaves the old one", func(t *testing.T) {
		t.Parallel()
		g, p := setup(t, "public")
		g.SetVariable(p, gitlabtest.Variable{Key: user, Value: "deployer"})
		g.Deploy(p, "production")
		want(t, g, p, "production", "", "")
		if !g.ClusterPulls(p, "production") {
			t.Error("a public project does not pull without a Secret")
		}
		g.SetVariable(p, gitlabtest.Variable{Key: password, Value: "published"})
		g.Deploy(p, "production")
		want(t, g, p, "production", "deployer", "published")
		g.DeleteVariable(p, password, "")
		g.Deploy(p, "production")
		want(t, g, p, "production", "deployer", "published")
		if g.ClusterPulls(p, "production") {
			t.Error("dead credentials pull from a public project")
		}
	})
	t.Run("environments of one namespace write one Secret", func(t *testing.T) {
		t.Parallel()
		g, p := setup(t, "private")
		g.SetVariable(p, gitlabtest.Variable{Key: user, Value: "deployer", Scope: "production"})
		g.SetVariable(p, gitlabtest.Variable{Key: password, Value: "published", Scope: "production"})
		for _, environment := range []string{"production", "review/x"} {
			j := g.QueueJob(p, gitlabtest.JobOptions{Environment: environment})
			g.PickUp(j)
			g.CreateSecret(j, "shared")
			if environment == "production" {
				want(t, g, p, "shared", "deployer", "published")
			} else {
				want(t, g, p, "shared", "gitlab-ci-token", j.Token)
			}
		}
	})
}

func TestJobs_noneWithoutCI(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t)
	refused := func(what string, p *gitlabtest.Project) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("%s: a pipeline was made", what)
			}
		}()
		g.QueueJob(p, gitlabtest.JobOptions{})
	}
	archived := g.CreateProject("acme/archived", gitlabtest.ProjectOptions{})
	g.SetArchived(archived, true)
	refused("archived", archived)
	off := g.CreateProject("acme/off", gitlabtest.ProjectOptions{})
	g.SetCIEnabled(off, false)
	refused("CI off", off)
	if got := get(t, g.URL+"/api/v4/version", ""); got.status != http.StatusUnauthorized {
		t.Errorf("the server is stuck: %d", got.status)
	}
}
