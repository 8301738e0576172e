package gitlabtest_test

import (
	"fmt"
	"testing"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// fineGrained is the stage with a Maintainer's fine-grained token.
func fineGrained(t *testing.T, permissions ...string) *ciStage {
	t.Helper()
	g := gitlabtest.New(t)
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	return &ciStage{T: t, g: g, p: p, token: g.CreateFineGrainedToken(g.Maintainer(p),
		gitlabtest.FineGrained{Project: p, Permissions: permissions}, gitlabtest.FineGrained{Permissions: []string{"User: Read"}})}
}

const granularError = `{"error":"insufficient_granular_scope","error_description":"Access denied: This operation requires ` +
	`a fine-grained personal access token with the following %s permissions: [%s]."}`

func TestFineGrained_permissions(t *testing.T) {
	t.Parallel()
	s := fineGrained(t, "Project: Read", "Deploy Token: Read", "Deploy Token: Create")
	denied := func(boundary, permission string) string { return fmt.Sprintf(granularError, boundary, permission) }
	s.want("project", s.ask("GET", "", ""), 200, `"path_with_namespace":"acme/shop"`)
	s.want("list", s.ask("GET", "/deploy_tokens", ""), 200, "[]")
	created := s.ask("POST", "/deploy_tokens", `{"name":"n","scopes":["read_registry"]}`)
	s.want("create", created, 201, "gldt-")
	id := fieldsOf(t, created)["id"]
	s.want("delete", s.ask("DELETE", fmt.Sprintf("/deploy_tokens/%.0f", id), ""), 403, denied("project", "Deploy Token: Delete"))
	s.want("variables", s.ask("GET", "/variables", ""), 403, denied("project", "Variable: Read"))
	s.want("user", s.askAPI("GET", "/user", ""), 200, "username")
	s.want("version", s.askAPI("GET", "/version", ""), 403, denied("instance", "Metadata: Read"))
	s.want("self", s.askAPI("GET", "/personal_access_tokens/self", ""), 403, denied("user", "Personal Access Token: Read"))
	s.want("an endpoint without a permission", s.askAPI("GET", "/projects", ""), 403, "This operation doesn't support fine-grained")
}

// TestFineGrained_notFound: what does not exist and what no grant is about look alike.
func TestFineGrained_notFound(t *testing.T) {
	t.Parallel()
	s := fineGrained(t, "Project: Read")
	const plain = `{"message":"404 Not Found"}`
	other := s.g.CreateProject("acme/other", gitlabtest.ProjectOptions{})
	s.want("unknown", s.askAPI("GET", "/projects/999999", ""), 404, plain)
	s.want("beyond the grants", s.askAPI("GET", fmt.Sprintf("/projects/%d", other.ID), ""), 404, plain)
	s.g.HideProject(s.p, true)
	s.want("a grant of a project that is being deleted", s.ask("GET", "", ""), 404, `{"message":"404 Project Not Found"}`)
}

// TestFineGrained_roles: a grant gives no more than its user's role.
func TestFineGrained_roles(t *testing.T) {
	t.Parallel()
	s := fineGrained(t)
	token := s.g.CreateFineGrainedToken(s.g.Member(s.p, gitlabtest.Developer), gitlabtest.FineGrained{Project: s.p, Permissions: []string{"Deploy Token: Read"}})
	s.token = token
	s.want("developer", s.ask("GET", "/deploy_tokens", ""), 403, `{"message":"403 Forbidden"}`)
}

func TestFineGrained_groups(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t)
	top := g.CreateGroup("acme", gitlabtest.GroupOptions{})
	g.CreateGroup("acme/web", gitlabtest.GroupOptions{})
	p := g.CreateProject("acme/web/shop", gitlabtest.ProjectOptions{})
	owner := g.GroupMember(top, gitlabtest.Owner)
	s := &ciStage{T: t, g: g, p: p, token: g.CreateAccessToken(owner, "api")}
	s.want("before", s.ask("GET", "", ""), 200, "")
	g.RequireFineGrained(top, true)
	s.want("an ordinary token", s.ask("GET", "", ""), 403, fmt.Sprintf(granularError, "project", "Project: Read"))
	s.want("its own user", s.askAPI("GET", "/user", ""), 200, "")
	s.want("the group", s.askAPI("GET", "/groups/acme/projects", ""), 403, fmt.Sprintf(granularError, "group", "Project: Read"))
	s.token = g.CreateFineGrainedToken(owner, gitlabtest.FineGrained{Group: top, Permissions: []string{"Project: Read"}})
	s.want("a grant of the group reaches its projects", s.ask("GET", "", ""), 200, "")
	s.want("the group's list", s.askAPI("GET", "/groups/acme/projects?include_subgroups=true", ""), 200, "acme/web/shop")
}
