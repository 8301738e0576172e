package gitlabtest_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// TestEnvironments_access covers who may read environments and deployments.
func TestEnvironments_access(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	s.g.Deploy(s.p, "production")
	stranger, guest, reporter := s.as(s.g.CreateUser("stranger")), s.as(s.g.Member(s.p, gitlabtest.Guest)), s.as(s.g.Member(s.p, gitlabtest.Reporter))
	nobody := *s
	nobody.token = ""
	for _, path := range []string{"/environments", "/deployments"} {
		for visibility, want := range map[string][4]int{
			"private":  {401, 404, 403, 200},
			"internal": {401, 200, 200, 200},
			"public":   {401, 200, 200, 200},
		} {
			s.g.SetVisibility(s.p, visibility)
			for i, caller := range []*ciStage{&nobody, stranger, guest, reporter} {
				if got := caller.ask("GET", path, ""); got.status != want[i] {
					t.Errorf("%s, caller %d, %s: %d, want %d", visibility, i, path, got.status, want[i])
				}
			}
		}
		s.g.SetVisibility(s.p, "private")
		s.g.SetArchived(s.p, true)
		s.want("archived", s.ask("GET", path, ""), 200, "production")
		s.g.SetArchived(s.p, false)
		for what, off := range map[string]func(bool){
			"CI":           func(on bool) { s.g.SetCIEnabled(s.p, on) },
			"repository":   func(on bool) { s.g.SetRepositoryEnabled(s.p, on) },
			"environments": func(on bool) { s.g.SetEnvironmentsEnabled(s.p, on) },
		} {
			off(false)
			s.want(what+" off", s.ask("GET", path, ""), 403, `{"message":"403 Forbidden"}`)
			s.want(what+" off, stranger", stranger.ask("GET", path, ""), 404, "")
			off(true)
		}
	}
	s.g.SetArchived(s.p, true)
	id := s.g.Environments(s.p)[0].ID
	s.want("stop in an archived project", s.ask("POST", fmt.Sprintf("/environments/%d/stop", id), ""), 403, "")
}

func TestEnvironments_jobTokens(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	other := s.g.CreateProject("acme/other", gitlabtest.ProjectOptions{})
	j := s.g.StartJob(s.p)
	with := func(path string) answer {
		return get(t, s.g.URL+"/api/v4"+path, "", jobToken(j.Token))
	}
	own := fmt.Sprintf("/projects/%d", s.p.ID)
	s.want("environments", with(own+"/environments"), 200, "[]")
	s.want("deployments", with(own+"/deployments"), 200, "[]")
	s.want("variables", with(own+"/variables"), 401, "")
	if got := with(fmt.Sprintf("/projects/%d/environments", other.ID)); got.status == 200 {
		t.Error("a job reads another private project")
	}
	s.g.SetVersion("16.1.0")
	s.want("before 16.2", with(own+"/environments"), 401, "")
	s.g.SetVersion("16.2.0")
	s.g.EndJob(j)
	s.want("ended", with(own+"/environments"), 401, "")
}

// TestEnvironments_life covers states, deletion, and what they do not prove.
func TestEnvironments_life(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	s.g.SetVariable(s.p, gitlabtest.Variable{Key: password, Value: "published"})
	s.g.Deploy(s.p, "production")
	one := func() map[string]any {
		t.Helper()
		return fieldsOf(t, s.ask("GET", fmt.Sprintf("/environments/%d", s.g.Environments(s.p)[0].ID), ""))
	}
	id := s.g.Environments(s.p)[0].ID
	s.want("not stopped", s.ask("DELETE", fmt.Sprintf("/environments/%d", id), ""), 403, "")
	s.want("stop", s.ask("POST", fmt.Sprintf("/environments/%d/stop", id), `{"force":true}`), 200, `"state":"stopped"`)
	if _, secret, _ := s.g.ClusterSecret(s.p, "production"); secret != "published" {
		t.Error("Stop took the Secret away")
	}
	if last := one()["last_deployment"]; last == nil {
		t.Error("a stopped environment has no last deployment")
	}
	s.g.Deploy(s.p, "production")
	if state := one()["state"]; state != "available" {
		t.Errorf("after a deployment: %v", state)
	}
	s.g.StopEnvironment(s.p, "production")
	s.want("delete", s.ask("DELETE", fmt.Sprintf("/environments/%d", id), ""), 204, "")
	if rows := s.deployments(""); len(rows) != 0 {
		t.Errorf("deployments are left: %v", rows)
	}
	if _, _, ok := s.g.ClusterSecret(s.p, "production"); !ok {
		t.Error("the deletion took the Secret away")
	}
	s.g.Deploy(s.p, "production")
	if e := s.g.Environments(s.p)[0]; e.ID == id || len(s.deployments("")) != 1 {
		t.Error("the name brought the old environment back")
	}
}

// TestEnvironments_lastDeployment: the last success by the time of its end, not by id.
func TestEnvironments_lastDeployment(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	slow := s.g.QueueJob(s.p, production)
	s.g.PickUp(slow)
	s.g.Deploy(s.p, "production")
	s.g.Clock.Advance(time.Hour)
	s.g.FinishJob(slow, "success")
	s.g.Clock.Advance(time.Hour)
	failed := s.g.QueueJob(s.p, production)
	s.g.PickUp(failed)
	s.g.FinishJob(failed, "failed")
	last := fieldsOf(t, s.ask("GET", fmt.Sprintf("/environments/%d", s.g.Environments(s.p)[0].ID), ""))["last_deployment"].(map[string]any)
	if id := last["deployable"].(map[string]any)["id"]; id != float64(slow.ID) {
		t.Errorf("last deployment is of job %v, want %d", id, slow.ID)
	}
}

func TestEnvironments_slugAndTier(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	for name, tier := range map[string]string{
		"production": "production", "staging": "staging", "review/Feature_1": "development", "qa-eu": "testing", "dast-default": "other",
		"review/a-very-long-branch-name": "development", "9to5": "other",
	} {
		e := s.g.CreateEnvironment(s.p, name)
		if len(e.Slug) > 24 || strings.ToLower(e.Slug) != e.Slug || e.Slug[0] < 'a' || (e.Slug == name) != (name == "production" || name == "staging" || name == "qa-eu" || name == "dast-default") {
			t.Errorf("%s: slug %s", name, e.Slug)
		}
		s.want(name, s.ask("GET", "/environments?name="+url.QueryEscape(name), ""), 200, `"tier":"`+tier+`"`)
	}
	s.want("search", s.ask("GET", "/environments?search=REVIEW", ""), 200, "review/Feature_1")
}

// TestEnvironments_rename: impossible since 16.0, and the same id before.
func TestEnvironments_rename(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	e := s.g.CreateEnvironment(s.p, "qa")
	path := fmt.Sprintf("/environments/%d", e.ID)
	s.want("now", s.ask("PUT", path, `{"name":"other"}`), 200, `"name":"qa"`)
	s.g.SetVersion("15.11.0")
	s.want("before", s.ask("PUT", path, `{"name":"other"}`), 200, `"name":"other"`)
}

func TestEnvironments_namespaceIsForThoseWhoReadTheAgent(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	s.g.SetEnvironmentNamespace(s.p, "production", "shop")
	path := fmt.Sprintf("/environments/%d", s.g.Environments(s.p)[0].ID)
	s.want("maintainer", s.ask("GET", path, ""), 200, `"kubernetes_namespace":"shop"`)
	reporter := s.as(s.g.Member(s.p, gitlabtest.Reporter)).ask("GET", path, "")
	if _, present := fieldsOf(t, reporter)["kubernetes_namespace"]; present {
		t.Error("a Reporter sees the namespace")
	}
}
