package gitlabtest_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

func TestGroupVariables(t *testing.T) {
	t.Parallel()
	setup := func(t *testing.T) (*ciStage, *gitlabtest.Group, string) {
		t.Helper()
		g := gitlabtest.New(t)
		group := g.CreateGroup("acme", gitlabtest.GroupOptions{})
		p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
		s := &ciStage{T: t, g: g, p: p, token: g.CreateAccessToken(g.GroupMember(group, gitlabtest.Owner), "api")}
		return s, group, fmt.Sprintf("/groups/%d/variables", group.ID)
	}
	t.Run("a change without filter changes the first row", func(t *testing.T) {
		t.Parallel()
		s, group, path := setup(t)
		for _, scope := range []string{"production", "*"} {
			s.g.SetGroupVariable(group, gitlabtest.Variable{Key: "K", Value: "old", Scope: scope})
		}
		s.want("without", s.askAPI("PUT", path+"/K", `{"value":"first"}`), 200, `"environment_scope":"production"`)
		s.want("with", s.askAPI("PUT", path+"/K"+filter+"*", `{"value":"second"}`), 200, `"environment_scope":"*"`)
		s.want("get", s.askAPI("GET", path+"/K", ""), 409, "multiple variables")
		s.want("delete", s.askAPI("DELETE", path+"/K", ""), 409, "multiple variables")
		if rows := s.g.GroupVariables(group); rows[0].Value != "first" || rows[1].Value != "second" {
			t.Errorf("rows %+v", rows)
		}
	})
	t.Run("Free drops the scope, and says 201", func(t *testing.T) {
		t.Parallel()
		s, _, path := setup(t)
		s.g.SetPremium(false)
		s.want("group", s.askAPI("POST", path, `{"key":"K","value":"x","environment_scope":"production"}`), 201, `"environment_scope":"*"`)
		project := s.as(s.g.Maintainer(s.p))
		project.want("project", project.ask("POST", "/variables", `{"key":"K","value":"x","environment_scope":"production"}`), 201, `"environment_scope":"production"`)
	})
	t.Run("a deletion can be conditional, in groups only", func(t *testing.T) {
		t.Parallel()
		s, group, path := setup(t)
		since := func(at time.Time) func(*http.Request) {
			return func(r *http.Request) { r.Header.Set("If-Unmodified-Since", at.Format(http.TimeFormat)) }
		}
		now := s.g.Clock.Now()
		s.g.SetGroupVariable(group, gitlabtest.Variable{Key: "K", Value: "x"})
		s.g.SetVariable(s.p, gitlabtest.Variable{Key: "K", Value: "x"})
		s.want("older", s.askAPI("DELETE", path+"/K", "", since(now.Add(-time.Hour))), 412, "412 Precondition Failed")
		s.want("as new", s.askAPI("DELETE", path+"/K", "", since(now)), 204, "")
		project := s.as(s.g.Maintainer(s.p))
		project.want("project", project.ask("DELETE", "/variables/K", "", since(now.Add(-time.Hour))), 204, "")
	})
	t.Run("only an Owner reads them", func(t *testing.T) {
		t.Parallel()
		s, group, path := setup(t)
		for role, status := range map[gitlabtest.Role]int{gitlabtest.Maintainer: 403, gitlabtest.Owner: 200} {
			member := s.as(s.g.GroupMember(group, role))
			member.want(fmt.Sprint(role), member.askAPI("GET", path, ""), status, "")
		}
		stranger := s.as(s.g.CreateUser("stranger"))
		stranger.want("stranger", stranger.askAPI("GET", path, ""), 404, "404 Group Not Found")
		s.want("unknown key", s.askAPI("GET", path+"/NONE", ""), 404, "404 GroupVariable Not Found")
	})
}
