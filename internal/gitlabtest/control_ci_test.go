package gitlabtest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// TestControl_story plays the founding bug and its cure without any call of Go.
func TestControl_story(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t, gitlabtest.WithControl())
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	s := &ciStage{T: t, g: g, p: p}
	control := func(method, name, body string) answer {
		t.Helper()
		got, err := send(t, method, g.URL+"/-/stand-in/"+name, "", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(body)) })
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	const where = `{"project":"acme/shop","environment":"production"}`
	s.want("deploy", control("POST", "deploy", where), 200, `"name":"production"`)
	s.want("the job's credentials are dead", control("POST", "pull", where), 200, `{"allowed":false}`)

	deploy := g.CreateDeployToken(p, "pull", "reader", g.Clock.Now().AddDate(1, 0, 0), "read_registry")
	for key, value := range map[string]string{"CI_DEPLOY_USER": "reader", "CI_DEPLOY_PASSWORD": deploy.Secret} {
		s.want(key, control("POST", "variables", `{"project":"acme/shop","key":"`+key+`","value":"`+value+`","masked":true,"description":"ours"}`), 204, "")
	}
	listed := control("GET", "variables?project=acme/shop", "")
	s.want("variables", listed, 200, `"key":"CI_DEPLOY_PASSWORD","environment_scope":"*","variable_type":"env_var","description":"ours","protected":false,"masked":true`)
	if strings.Contains(listed.body, deploy.Secret) || strings.Contains(listed.body, `"value"`) {
		t.Error("a value is told")
	}
	s.want("not deployed yet", control("POST", "pull", where), 200, `{"allowed":false}`)

	queued := fieldsOf(t, control("POST", "jobs", `{"project":"acme/shop","name":"production","environment":"production"}`))
	job := toText(queued["job"])
	s.want("pick up", control("POST", "jobs/pick-up", `{"job":`+job+`}`), 200, `"status":"running"`)
	s.want("secret", control("POST", "jobs/secret", `{"job":`+job+`}`), 200, "")
	s.want("finish", control("POST", "jobs/finish", `{"job":`+job+`,"status":"failed"}`), 200, `"status":"failed"`)
	s.want("deployed, although helm failed", control("POST", "pull", where), 200, `{"allowed":true}`)
	jobs := control("GET", "jobs?project=acme/shop", "")
	s.want("jobs", jobs, 200, `"status":"failed"`)
	for _, secret := range g.Secrets() {
		if strings.Contains(jobs.body, secret) {
			t.Error("a secret is told")
		}
	}

	s.want("retry", control("POST", "jobs/retry", `{"job":`+job+`}`), 200, `"status":"pending"`)
	s.want("clock", control("POST", "clock", `{"advance_days":366}`), 204, "")
	s.want("expired", control("POST", "pull", where), 200, `{"allowed":false}`)
	s.want("delete", control("DELETE", "variables?project=acme/shop&key=CI_DEPLOY_USER", ""), 204, "")
	if rows := g.Variables(p); len(rows) != 1 {
		t.Errorf("variables %+v", rows)
	}
	s.want("stop", control("POST", "environments/stop", where), 204, "")
	if e := g.Environments(p); e[0].State != "stopped" {
		t.Errorf("environments %+v", e)
	}
	s.want("remove", control("DELETE", "environments?project=acme/shop&environment=production", ""), 204, "")
	if e := g.Environments(p); len(e) != 0 {
		t.Errorf("environments %+v", e)
	}
}

func toText(id any) string { return fmt.Sprintf("%.0f", id) }

func TestControl_refusals(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t, gitlabtest.WithControl())
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	s := &ciStage{T: t, g: g, p: p}
	control := func(name, body string) answer {
		t.Helper()
		got, err := send(t, http.MethodPost, g.URL+"/-/stand-in/"+name, "", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(body)) })
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	s.want("project", control("deploy", `{"project":"acme/none","environment":"production"}`), 404, "no such project")
	s.want("job", control("jobs/finish", `{"job":99999}`), 404, "no such job")
	s.want("no environment", control("deploy", `{"project":"acme/shop"}`), 400, "environment is missing")
	s.want("no JSON", control("deploy", `x`), 400, "")
	s.want("off", control("ci", `{"project":"acme/shop","on":false}`), 204, "")
	s.want("deploy without CI/CD", control("deploy", `{"project":"acme/shop","environment":"production"}`), 409, "CI/CD is off")
	s.want("unknown endpoint", control("nothing", `{}`), 404, "")
	s.want("on", control("ci", `{"project":"acme/shop","on":true}`), 204, "")
	two := control("jobs", `{"project":"acme/shop","environment":"production"}`)
	job := toText(fieldsOf(t, two)["job"])
	s.want("two phases", control("jobs/pick-up", `{"job":`+job+`,"two_phases":true}`), 200, `"status":"pending"`)
	s.want("second phase", control("jobs/run", `{"job":`+job+`}`), 200, `"status":"running"`)
}
