package gitlab_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

const (
	listVariables  = "GET /projects/:id/variables"
	getVariable    = "GET /projects/:id/variables/:key"
	postVariable   = "POST /projects/:id/variables"
	putVariable    = "PUT /projects/:id/variables/:key"
	deleteVariable = "DELETE /projects/:id/variables/:key"
)

func ownCredentials(id int64) access.Credentials {
	return access.Credentials{TokenID: id, Username: "autodevops-2-abcdefgh", Secret: access.Secret(fmt.Sprintf("gldt-secret-number-%d", id))}
}

// publish lists and publishes, as an apply does.
func (b *bench) publish(id int64) (time.Time, error) {
	b.Helper()
	existing, err := b.client.Variables(b.Context(), b.project.ID)
	if err != nil {
		b.Fatal(err)
	}
	return b.client.PublishVariables(b.Context(), gitlab.PublishRequest{
		ProjectID: b.project.ID, Scope: "*", Credentials: ownCredentials(id), Existing: existing,
	})
}

// holds reports which credentials the variables hold: the token's number, or what is wrong.
func (b *bench) holds() string {
	b.Helper()
	var user, password string
	for _, v := range b.gitlab.Variables(b.project) {
		switch {
		case v.Key == access.UserVariable && v.Scope == "*":
			user = v.Value
		case v.Key == access.PasswordVariable && v.Scope == "*":
			password = strings.TrimPrefix(v.Value, "gldt-secret-number-")
		}
	}
	return user + "/" + password
}

func TestPublishVariables_afterTroubles(t *testing.T) {
	t.Parallel()
	const own = "autodevops-2-abcdefgh"
	refusal := gitlabtest.Fault{Match: putVariable, Status: http.StatusBadRequest, Body: `{"message":{"value":["is invalid"]}}`}
	tests := map[string]struct {
		faults []gitlabtest.Fault
		holds  string
		kind   gitlab.Kind
		fails  bool
	}{
		"undisturbed":                   {nil, own + "/2", 0, false},
		"carried out, and 502":          {[]gitlabtest.Fault{{Match: putVariable, Status: 502, When: gitlabtest.After}}, own + "/2", 0, false},
		"carried out, and cut":          {[]gitlabtest.Fault{{Match: putVariable, When: gitlabtest.After}}, own + "/2", 0, false},
		"not carried out, and 500":      {[]gitlabtest.Fault{{Match: putVariable, Status: 500}}, own + "/2", 0, false},
		"a page of a proxy with 200":    {[]gitlabtest.Fault{{Match: putVariable, Status: 200, Body: "<html>"}}, own + "/2", 0, false},
		"a 4xx of a proxy, carried out": {[]gitlabtest.Fault{{Match: putVariable, Status: 403, Body: "<html>", When: gitlabtest.After}}, own + "/2", 0, false},
		"for ever":                      {[]gitlabtest.Fault{{Match: putVariable, Status: 502, Times: gitlabtest.Always}}, own + "/1", gitlab.KindUncertain, true},
		"and cannot be looked into": {[]gitlabtest.Fault{
			{Match: putVariable, Status: 502, When: gitlabtest.After}, {Match: getVariable, Status: 403, Body: `{"message":"403 Forbidden"}`, Times: gitlabtest.Always},
		}, own + "/2", gitlab.KindUncertain, true},
		"refused": {[]gitlabtest.Fault{refusal}, own + "/1", gitlab.KindOther, true},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			if _, err := b.publish(1); err != nil {
				t.Fatal(err)
			}
			for _, fault := range c.faults {
				b.gitlab.Inject(fault)
			}
			_, err := b.publish(2)
			b.gitlab.ClearFaults()
			if (err != nil) != c.fails || err != nil && !gitlab.IsKind(err, c.kind) {
				t.Errorf("error %v", err)
			}
			if got := b.holds(); got != c.holds {
				t.Errorf("the variables hold %s, want %s", got, c.holds)
			}
			if err != nil && strings.Contains(err.Error(), "secret-number") {
				t.Error("the error shows the secret")
			}
		})
	}
}

// TestPublishVariables_time: the moment is the Date of GitLab's answer, rounded up.
func TestPublishVariables_time(t *testing.T) {
	b := newBench(t)
	at, err := b.publish(1)
	if want := b.gitlab.Clock.Now().Add(time.Second); err != nil || !at.Equal(want) {
		t.Errorf("published at %s, want %s (%v)", at, want, err)
	}
	b.gitlab.Clock.Advance(time.Hour)
	b.gitlab.ForgetRequests()
	if _, err := b.publish(1); err != nil {
		t.Fatal(err)
	}
	if n := b.gitlab.Writes(); n != 0 {
		t.Errorf("%d writes of what is there already", n)
	}
}

// TestPublishVariables_race: what changes between the list and the write.
func TestPublishVariables_race(t *testing.T) {
	t.Run("removed", func(t *testing.T) {
		b := newBench(t)
		if _, err := b.publish(1); err != nil {
			t.Fatal(err)
		}
		existing, _ := b.client.Variables(t.Context(), b.project.ID)
		b.gitlab.DeleteVariable(b.project, access.PasswordVariable, "*")
		_, err := b.client.PublishVariables(t.Context(), gitlab.PublishRequest{ProjectID: b.project.ID, Scope: "*", Credentials: ownCredentials(2), Existing: existing})
		if err != nil || b.holds() != "autodevops-2-abcdefgh/2" {
			t.Errorf("%v, the variables hold %s", err, b.holds())
		}
	})
	t.Run("created by somebody else", func(t *testing.T) {
		b := newBench(t)
		b.gitlab.SetVariable(b.project, gitlabtest.Variable{Key: access.PasswordVariable, Value: "their-password"})
		before := b.gitlab.Variables(b.project)
		_, err := b.client.PublishVariables(t.Context(), gitlab.PublishRequest{ProjectID: b.project.ID, Scope: "*", Credentials: ownCredentials(1)})
		if !gitlab.IsKind(err, gitlab.KindConflict) {
			t.Errorf("error %v", err)
		}
		if !slices.Equal(before, b.gitlab.Variables(b.project)) {
			t.Error("their variable was changed, or ours was left behind")
		}
	})
}

// TestPublishVariables_unsupported: a server drops what it does not know and answers with success.
func TestPublishVariables_unsupported(t *testing.T) {
	answer := func(change string) string {
		return `{"variable_type":"env_var","key":"CI_DEPLOY_PASSWORD","value":"gldt-secret-number-2","protected":false,"masked":true,"raw":true,"environment_scope":"*"` + change + `}`
	}
	for name, change := range map[string]string{"not masked": `,"masked":false`, "a file": `,"variable_type":"file"`, "protected": `,"protected":true`} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			if _, err := b.publish(1); err != nil {
				t.Fatal(err)
			}
			b.gitlab.Inject(gitlabtest.Fault{
				Match: putVariable, Status: http.StatusOK, Body: answer(change), When: gitlabtest.After, Header: map[string]string{"Content-Type": "application/json"},
			})
			_, err := b.publish(2)
			if !gitlab.IsKind(err, gitlab.KindUnsupported) {
				t.Errorf("error %v", err)
			}
			if got := b.holds(); got != "autodevops-2-abcdefgh/1" {
				t.Errorf("the variables hold %s", got)
			}
		})
	}
}

// TestVariables_pages: the list is read to its end, and nothing but the two keys is looked at.
func TestVariables_pages(t *testing.T) {
	b := newBench(t)
	for i := range 230 {
		b.gitlab.SetVariable(b.project, gitlabtest.Variable{Key: fmt.Sprintf("A_%03d", i), Value: "their-value"})
	}
	b.gitlab.SetVariable(b.project, gitlabtest.Variable{Key: access.UserVariable, Value: "their-user", Scope: "z/*"})
	got, err := b.client.Variables(t.Context(), b.project.ID)
	if err != nil || len(got) != 1 || got[0].Scope != "z/*" {
		t.Errorf("got %v, %v", got, err)
	}
	if n := b.gitlab.CountRequests(listVariables); n != 3 {
		t.Errorf("%d requests", n)
	}
	// A part of the list is no list.
	b.gitlab.Inject(gitlabtest.Fault{Match: listVariables, Skip: 1, Status: 500, Times: gitlabtest.Always})
	if got, err := b.client.Variables(t.Context(), b.project.ID); err == nil {
		t.Errorf("half a list passes for a whole one: %v", got)
	}
}

// TestVariables_refused: only GitLab's own word says that CI/CD is off.
func TestVariables_refused(t *testing.T) {
	b := newBench(t)
	b.gitlab.SetCIEnabled(b.project, false)
	if _, err := b.client.Variables(t.Context(), b.project.ID); !gitlab.IsKind(err, gitlab.KindForbidden) {
		t.Errorf("error %v", err)
	}
	b.gitlab.SetCIEnabled(b.project, true)
	b.gitlab.Inject(gitlabtest.Fault{Match: listVariables, Status: http.StatusForbidden, Body: "Forbidden\n"})
	if _, err := b.client.Variables(t.Context(), b.project.ID); err == nil || gitlab.IsKind(err, gitlab.KindForbidden) {
		t.Errorf("a ban passes for CI/CD that is off: %v", err)
	}
}

// TestRemoveVariables: the password goes first, what is gone already counts, and a 404 of anything
// else does not.
func TestRemoveVariables(t *testing.T) {
	b := newBench(t)
	if _, err := b.publish(1); err != nil {
		t.Fatal(err)
	}
	existing, _ := b.client.Variables(t.Context(), b.project.ID)
	b.gitlab.Inject(gitlabtest.Fault{Match: deleteVariable, Skip: 1, Status: http.StatusNotFound, Body: `{"message":"404 Project Not Found"}`, Times: gitlabtest.Always})
	if _, err := b.client.RemoveVariables(t.Context(), b.project.ID, existing); err == nil {
		t.Error("a missing project passes for a missing variable")
	}
	if got := b.holds(); got != "autodevops-2-abcdefgh/" {
		t.Errorf("left: %s", got)
	}
	b.gitlab.ClearFaults()
	if _, err := b.client.RemoveVariables(t.Context(), b.project.ID, existing); err != nil || len(b.gitlab.Variables(b.project)) != 0 {
		t.Errorf("%v, %d left", err, len(b.gitlab.Variables(b.project)))
	}
}

// TestEnvironments: what is read of GitLab's rows, and how many requests it takes.
func TestEnvironments(t *testing.T) {
	b := newBench(t)
	b.gitlab.Deploy(b.project, "production")
	b.gitlab.Clock.Advance(time.Minute)
	job := b.gitlab.QueueJob(b.project, gitlabtest.JobOptions{Name: "staging", Environment: "staging"})
	queued := b.gitlab.Clock.Now()
	b.gitlab.Clock.Advance(90 * time.Second)
	b.gitlab.PickUp(job)
	b.gitlab.Clock.Advance(30 * time.Second)
	b.gitlab.FinishJob(job, "success")
	b.gitlab.StopEnvironment(b.project, "production")
	b.gitlab.ForgetRequests()

	environments, deployments, err := b.client.Environments(t.Context(), b.project.ID, queued)
	if err != nil || len(environments) != 2 || len(deployments) != 2 {
		t.Fatalf("%v %v %v", environments, deployments, err)
	}
	if !environments[0].Stopped || environments[0].Name != "production" || environments[1].Stopped {
		t.Errorf("environments %+v", environments)
	}
	last := deployments[slices.IndexFunc(deployments, func(d access.Deployment) bool { return d.EnvironmentID == environments[1].ID })]
	want := access.DeployJob{Name: "staging", QueuedAt: queued, StartedAt: queued.Add(90 * time.Second), FinishedAt: queued.Add(2 * time.Minute)}
	if last.Job == nil || *last.Job != want {
		t.Errorf("job %+v, want %+v", last.Job, want)
	}
	if n := len(b.gitlab.Requests()); n > 3 {
		t.Errorf("%d requests", n)
	}
	b.gitlab.DeletePipelines(b.project)
	_, deployments, err = b.client.Environments(t.Context(), b.project.ID, queued)
	if err != nil || deployments[0].Job != nil {
		t.Errorf("the job is gone, and there is %+v (%v)", deployments[0].Job, err)
	}
}

// TestPublishVariables_afterAThrottle: the description says when GitLab had the password, also if
// the request had to wait.
func TestPublishVariables_afterAThrottle(t *testing.T) {
	b := newBench(t)
	if _, err := b.publish(1); err != nil {
		t.Fatal(err)
	}
	waited := false
	b.gitlab.OnRequest(func(r gitlabtest.Request) {
		if r.String() == putVariable && !waited {
			waited = true
			b.gitlab.Clock.Advance(4 * time.Minute)
		}
	})
	at, err := b.publish(2)
	if err != nil {
		t.Fatal(err)
	}
	variables, _ := b.client.Variables(t.Context(), b.project.ID)
	password, _ := variables.Find(access.PasswordVariable, "*")
	if _, said, ok := password.Described(); !ok || !said.Equal(at) {
		t.Errorf("the description says %s, and it was %s", said, at)
	}
}
