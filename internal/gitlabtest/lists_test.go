package gitlabtest_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// paths lists the paths of projects or groups.
func (s *ciStage) paths(query string) (list []string) {
	s.Helper()
	got := s.askAPI("GET", query, "")
	if got.status != 200 {
		s.Fatalf("%s: %d %s", query, got.status, got.body)
	}
	for _, row := range rowsOf(s.T, got) {
		path := row["path_with_namespace"]
		if path == nil {
			path = row["full_path"]
		}
		list = append(list, fmt.Sprint(path))
	}
	return list
}

func newListStage(t *testing.T) *ciStage {
	t.Helper()
	g := gitlabtest.New(t)
	top := g.CreateGroup("acme", gitlabtest.GroupOptions{})
	g.CreateGroup("acme/web", gitlabtest.GroupOptions{})
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	g.Clock.Advance(time.Hour)
	g.CreateProject("acme/api", gitlabtest.ProjectOptions{Visibility: "internal"})
	g.CreateProject("acme/web/site", gitlabtest.ProjectOptions{Visibility: "internal"})
	g.CreateGroup("zoo", gitlabtest.GroupOptions{Visibility: "public"})
	open := g.CreateProject("zoo/open", gitlabtest.ProjectOptions{Visibility: "public"})
	g.SetArchived(open, true)
	return &ciStage{T: t, g: g, p: p, token: g.CreateAccessToken(g.GroupMember(top, gitlabtest.Maintainer), "api")}
}

func TestLists_projects(t *testing.T) {
	t.Parallel()
	s := newListStage(t)
	for query, want := range map[string][]string{
		"/projects":                                     {"zoo/open", "acme/web/site", "acme/api", "acme/shop"},
		"/projects?sort=asc":                            {"acme/shop", "acme/api", "acme/web/site", "zoo/open"},
		"/projects?order_by=name&sort=asc":              {"acme/api", "zoo/open", "acme/shop", "acme/web/site"},
		"/projects?membership=yes":                      {"acme/web/site", "acme/api", "acme/shop"},
		"/projects?min_access_level=50":                 nil,
		"/projects?visibility=internal":                 {"acme/web/site", "acme/api"},
		"/projects?search=SIT":                          {"acme/web/site"},
		"/projects?search=ap":                           nil,
		"/projects?archived=1":                          {"zoo/open"},
		"/projects?archived=false&membership=true":      {"acme/web/site", "acme/api", "acme/shop"},
		"/groups/acme/projects":                         {"acme/api", "acme/shop"},
		"/groups/acme/projects?include_subgroups=on":    {"acme/web/site", "acme/api", "acme/shop"},
		"/groups/acme/projects?order_by=path&sort=desc": {"acme/shop", "acme/api"},
		"/groups/acme/projects?search=sho":              {"acme/shop"},
		"/groups/acme/projects?visibility=private":      {"acme/shop"},
		"/groups/acme/projects?min_access_level=40":     {"acme/api", "acme/shop"},
		"/groups":           {"acme", "acme/web", "zoo"},
		"/groups?sort=desc": {"zoo", "acme/web", "acme"},
		"/groups?min_access_level=40&top_level_only=yes": {"acme"},
		"/groups?search=web":                             {"acme/web"},
	} {
		if got := s.paths(query); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	for query, problem := range map[string]string{
		"/projects?simple=maybe":                     "simple is invalid",
		"/projects?order_by=age":                     "order_by does not have a valid value",
		"/projects?min_access_level=7":               "min_access_level does not have a valid value",
		"/groups/acme/projects?include_subgroups=2":  "include_subgroups is invalid",
		"/groups/acme/projects?visibility=open":      "visibility does not have a valid value",
		"/groups/acme/projects?archived=x&sort=down": "archived is invalid, sort does not have a valid value",
		"/groups?per_page=x":                         "per_page is invalid",
	} {
		s.want(query, s.askAPI("GET", query, ""), 400, `{"error":"`+problem+`"}`)
	}
	nobody := *s
	nobody.token = ""
	if got := nobody.paths("/projects"); !slices.Equal(got, []string{"zoo/open"}) {
		t.Errorf("anonymous: %v", got)
	}
}

func TestLists_booleansAreTheParameterLayers(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	expired := s.g.CreateDeployToken(s.p, "expired", "", s.g.Clock.Now().Add(-time.Hour), "read_registry")
	for value, listed := range map[string]bool{"true": false, "1": false, "yes": false, "T": false, "false": true, "0": true, "off": true, "": true} {
		got := s.ask("GET", "/deploy_tokens?active="+value, "")
		if strings.Contains(got.body, fmt.Sprint(expired.ID)) != listed {
			t.Errorf("active=%s: %s", value, got.body)
		}
	}
	s.want("active=2", s.ask("GET", "/deploy_tokens?active=2", ""), 400, "active is invalid")
	for body, want := range map[string]string{
		`{"auto_devops_enabled":"on"}`:         `"auto_devops_enabled":true`,
		`{"auto_devops_enabled":0}`:            `"auto_devops_enabled":false`,
		`{"builds_access_level":"disabled"}`:   `"builds_access_level":"disabled"`,
		`{"visibility":"internal"}`:            `"visibility":"internal"`,
		`{"undeclared":{"anything":["goes"]}}`: `"visibility"`,
	} {
		s.want(body, s.ask("PUT", "", body), 200, want)
	}
	s.want("two problems", s.ask("PUT", "", `{"visibility":"open","auto_devops_enabled":"x"}`), 400,
		`{"error":"visibility does not have a valid value, auto_devops_enabled is invalid"}`)
}

func TestEntities_whatClientsUse(t *testing.T) {
	t.Parallel()
	s := newListStage(t)
	project := fieldsOf(t, s.ask("GET", "", ""))
	namespace, _ := project["namespace"].(map[string]any)
	if project["name_with_namespace"] != "acme / shop" || namespace["full_path"] != "acme" || namespace["kind"] != "group" ||
		project["http_url_to_repo"] != "https://gitlab.example.com/acme/shop.git" || project["ssh_url_to_repo"] != "git@gitlab.example.com:acme/shop.git" {
		t.Errorf("project %v", project)
	}
	permissions, _ := project["permissions"].(map[string]any)
	group, _ := permissions["group_access"].(map[string]any)
	if permissions["project_access"] != nil || group["access_level"] != 40.0 {
		t.Errorf("permissions %v", permissions)
	}
	s.want("group", s.askAPI("GET", "/groups/acme%2Fweb", ""), 200, `"full_name":"acme / web"`)
	if own := fieldsOf(t, s.askAPI("GET", "/groups/acme", "")); len(own["projects"].([]any)) != 2 {
		t.Errorf("projects of the group: %v", own["projects"])
	}
	if without := fieldsOf(t, s.askAPI("GET", "/groups/acme?with_projects=false", "")); without["projects"] != nil {
		t.Error("projects although they are not wanted")
	}
	s.want("metadata", s.askAPI("GET", "/metadata", ""), 200, `"version":"19.5.0"`)
	s.want("own token", s.askAPI("GET", "/personal_access_tokens/self", ""), 200, `"scopes":["api"]`)
	s.token = s.g.CreateAccessToken(s.g.CreateUser("reader"), "read_user")
	s.want("own token without the api scopes", s.askAPI("GET", "/personal_access_tokens/self", ""), 200, `"scopes":["read_user"]`)
	s.want("metadata without the api scopes", s.askAPI("GET", "/metadata", ""), 403, "insufficient_scope")
}

func TestHEAD(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	s.g.CreateDeployToken(s.p, "pull", "", time.Time{}, "read_registry")
	got := s.ask("HEAD", "/deploy_tokens", "")
	if got.status != 200 || got.body != "" || got.header.Get("X-Total") != "1" {
		t.Errorf("HEAD: %d, %q, %v", got.status, got.body, got.header)
	}
	s.token = s.g.CreateAccessToken(s.g.Maintainer(s.p), "read_api")
	if reading := s.ask("HEAD", "/deploy_tokens", ""); reading.status != 200 {
		t.Errorf("read_api: %d", reading.status)
	}
}

// TestMoved_locationIsOfTheRequest: not of the host that GitLab believes it has.
func TestMoved_locationIsOfTheRequest(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t, gitlabtest.WithRelativeURL("/gitlab"))
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	token := g.CreateAccessToken(g.Maintainer(p), "api")
	g.RenameProject(p, "acme/store")
	got := get(t, g.URL+"/api/v4/projects/acme%2Fshop/deploy_tokens?per_page=5", token)
	want := fmt.Sprintf("%s/api/v4/projects/%d/deploy_tokens?per_page=5", g.URL, p.ID)
	if got.status != http.StatusMovedPermanently || got.header.Get("Location") != want {
		t.Errorf("%d to %s, want %s", got.status, got.header.Get("Location"), want)
	}
}

func TestKeyset(t *testing.T) {
	t.Parallel()
	s := newListStage(t)
	s.g.SetExternalURL(s.g.URL)
	// pages follows the links to the next page until there is none.
	pages := func(query string) (sizes []int) {
		for target := s.g.URL + "/api/v4" + query; target != ""; {
			got := get(t, target, s.token)
			if got.status != http.StatusOK || got.header.Get("X-Page") != "" || !strings.HasPrefix(got.body, "[") {
				t.Fatalf("%s: %d %v", target, got.status, got.header)
			}
			sizes = append(sizes, len(rowsOf(t, got)))
			_, target, _ = strings.Cut(got.header.Get("Link"), "<")
			target, _, _ = strings.Cut(target, ">")
		}
		return sizes
	}
	// The last page of projects has a link as well, to an empty one.
	for query, want := range map[string][]int{
		"/projects?pagination=keyset&order_by=id&per_page=3":          {3, 1, 0},
		"/projects?pagination=keyset&order_by=id&sort=asc&per_page=4": {4, 0},
		"/groups?pagination=keyset&order_by=name&sort=asc&per_page=2": {2, 1},
		"/groups?pagination=keyset&per_page=3":                        {3},
	} {
		if got := pages(query); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	const unavailable = `{"error":"Keyset pagination is not yet available for this type of request"}`
	s.want("no order", s.askAPI("GET", "/projects?pagination=keyset", ""), 405, unavailable)
	s.want("another order", s.askAPI("GET", "/groups?pagination=keyset&order_by=path", ""), 405, unavailable)
	s.want("too far out", s.askAPI("GET", "/projects?page=501&per_page=100", ""), 405, "Remaining records can be retrieved using keyset pagination.")
	s.want("as far as it goes", s.askAPI("GET", "/projects?page=500&per_page=100", ""), 200, "[]")
	without := s.askAPI("GET", "/groups/acme/projects?pagination=keyset&per_page=1", "")
	if without.header.Get("X-Total") != "2" || !strings.Contains(without.header.Get("Link"), "?id=acme&") {
		t.Errorf("a list without keys: %v", without.header)
	}
}
