package gitlabtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	gogitlab "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// answer is what came back, read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

// send makes one request without following redirects.
func send(t *testing.T, method, target, token string, edit ...func(*http.Request)) (answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, target, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Private-Token", token)
	}
	for _, e := range edit {
		e(req)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: string(body)}, err
}

func get(t *testing.T, target, token string, edit ...func(*http.Request)) answer {
	t.Helper()
	got, err := send(t, http.MethodGet, target, token, edit...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func entity(t *testing.T, g *gitlabtest.Server, p *gitlabtest.Project, token string) map[string]any {
	t.Helper()
	got := get(t, fmt.Sprintf("%s/api/v4/projects/%d", g.URL, p.ID), token)
	var fields map[string]any
	if err := json.Unmarshal([]byte(got.body), &fields); err != nil {
		t.Fatal(err)
	}
	return fields
}

// TestOfficialClient uses GitLab's Go client as anybody would.
func TestOfficialClient(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t)
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{AutoDevOps: gitlabtest.True})
	client, err := gogitlab.NewClient(g.CreateAccessToken(g.Maintainer(p), "api"), gogitlab.WithBaseURL(g.URL), gogitlab.WithCustomRetryMax(0))
	if err != nil {
		t.Fatal(err)
	}

	project, _, err := client.Projects.GetProject("acme/shop", nil)
	if err != nil || project.ID != p.ID || !project.AutoDevopsEnabled || project.ContainerRegistryAccessLevel != gogitlab.EnabledAccessControl {
		t.Fatalf("project: %+v, %v", project, err)
	}
	expiry := g.Clock.Now().AddDate(0, 1, 0)
	token, _, err := client.DeployTokens.CreateProjectDeployToken(project.ID, &gogitlab.CreateProjectDeployTokenOptions{
		Name: new("pull"), Scopes: &[]string{"read_registry"}, ExpiresAt: &expiry,
	})
	if err != nil || token.Token == "" || !token.ExpiresAt.Equal(expiry) {
		t.Fatalf("created: %v", err)
	}
	list, resp, err := client.DeployTokens.ListProjectDeployTokens(project.ID, nil)
	if err != nil || len(list) != 2 || resp.TotalItems != 2 || list[0].Name != "gitlab-deploy-token" {
		t.Fatalf("%d listed, %v", len(list), err)
	}
	if _, err = client.DeployTokens.DeleteProjectDeployToken(project.ID, token.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err = client.DeployTokens.GetProjectDeployToken(project.ID, token.ID); !errors.Is(err, gogitlab.ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	g.CreateProject("acme/secret", gitlabtest.ProjectOptions{})
	own, _, err := client.Groups.ListGroupProjects("acme", &gogitlab.ListGroupProjectsOptions{IncludeSubGroups: new(true)})
	if err != nil || len(own) != 1 || own[0].ID != p.ID {
		t.Errorf("a member of one project sees the private group, and that project in it: %v, %v", own, err)
	}
}

func TestAutoDevOps_inheritsFromTheNearestGroupThatSpeaks(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t)
	top := g.CreateGroup("top", gitlabtest.GroupOptions{})
	g.CreateGroup("top/sub", gitlabtest.GroupOptions{})
	p := g.CreateProject("top/sub/app", gitlabtest.ProjectOptions{})
	token := g.CreateAccessToken(g.Maintainer(p), "api")
	want := func(enabled bool, when string) {
		t.Helper()
		if got := entity(t, g, p, token)["auto_devops_enabled"]; got != enabled {
			t.Errorf("%s: %v", when, got)
		}
	}
	want(false, "nobody says anything")
	g.SetInstanceAutoDevOps(true)
	want(true, "the instance")
	g.SetGroupAutoDevOps(top, gitlabtest.False)
	want(false, "the group beats the instance")
	g.SetGroupAutoDevOps(top, gitlabtest.True)
	g.FailFirstAutoDevOpsPipeline(p)
	want(false, "GitLab wrote an explicit off after a failed pipeline")
}

func TestAutoDevOps_hiddenBelowMaintainer(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t)
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{AutoDevOps: gitlabtest.True})
	for name, u := range map[string]*gitlabtest.User{"developer": g.Member(p, gitlabtest.Developer), "custom role": g.TokenManager(p)} {
		fields := entity(t, g, p, g.CreateAccessToken(u, "api"))
		if _, present := fields["auto_devops_enabled"]; present {
			t.Errorf("%s sees the flag", name)
		}
		if fields["container_registry_access_level"] != "enabled" {
			t.Errorf("%s does not see the registry level", name)
		}
	}
	g.SetVisibility(p, "public")
	if fields := entity(t, g, p, ""); fields["container_registry_access_level"] != nil || fields["container_registry_image_prefix"] != nil {
		t.Errorf("nobody gets more than the basic entity: %v", fields)
	}
}

func TestAutomaticToken(t *testing.T) {
	t.Parallel()
	count := func(g *gitlabtest.Server, p *gitlabtest.Project) (n int) {
		for _, token := range g.Tokens(p) {
			if token.Name == "gitlab-deploy-token" {
				n++
			}
		}
		return n
	}
	t.Run("made when the settings are saved, never for inherited ones", func(t *testing.T) {
		t.Parallel()
		g := gitlabtest.New(t)
		g.SetInstanceAutoDevOps(true)
		p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
		if count(g, p) != 0 {
			t.Error("made although nobody saved anything")
		}
		g.SaveAutoDevOps(p, nil)
		if count(g, p) != 1 || !g.Tokens(p)[0].ExpiresAt.IsZero() {
			t.Error("not made, or with an expiry")
		}
	})
	t.Run("not for public projects, and stays when one turns public", func(t *testing.T) {
		t.Parallel()
		g := gitlabtest.New(t)
		p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{Visibility: "public", AutoDevOps: gitlabtest.True})
		if count(g, p) != 0 {
			t.Error("made for a public project")
		}
		g.SetVisibility(p, "internal")
		g.SaveAutoDevOps(p, gitlabtest.True)
		g.SetVisibility(p, "public")
		g.SaveAutoDevOps(p, gitlabtest.False)
		if count(g, p) != 1 {
			t.Error("did not stay")
		}
	})
	t.Run("again after a delete, not after a revoke", func(t *testing.T) {
		t.Parallel()
		g := gitlabtest.New(t)
		p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{AutoDevOps: gitlabtest.True})
		g.RevokeInSettings(g.Tokens(p)[0].ID)
		g.SaveAutoDevOps(p, gitlabtest.True)
		if count(g, p) != 1 {
			t.Error("made again although the revoked row has the name")
		}
		g.DeleteDeployToken(g.Tokens(p)[0].ID)
		g.SaveAutoDevOps(p, gitlabtest.True)
		if len(g.ActiveTokens(p)) != 1 {
			t.Error("not made again after the row was deleted")
		}
	})
}

func TestJobs_getOneOfTheTokensOfTheName(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t)
	group := g.CreateGroup("acme", gitlabtest.GroupOptions{})
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	if v := g.StartJob(p).Variables["CI_DEPLOY_PASSWORD"]; v != "" {
		t.Error("a job has a deploy password although no token has the name")
	}
	ofGroup := g.CreateGroupDeployToken(group, "gitlab-deploy-token", "", time.Time{}, "read_registry")
	if g.StartJob(p).Variables["CI_DEPLOY_PASSWORD"] != ofGroup.Secret {
		t.Error("the group's token is not used")
	}
	first := g.CreateDeployToken(p, "gitlab-deploy-token", "", time.Time{}, "read_registry")
	g.CreateDeployToken(p, "gitlab-deploy-token", "", time.Time{}, "read_registry")
	if g.StartJob(p).Variables["CI_DEPLOY_PASSWORD"] != first.Secret {
		t.Error("the project's token does not come first")
	}
	job := g.StartJob(p)
	if username, _ := g.DeploySecret(job); username != first.Username {
		t.Errorf("the deployment writes %q", username)
	}
}

func TestExpiry_twoClocks(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t)
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	token := g.CreateAccessToken(g.Maintainer(p), "api")
	at := time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)
	deploy := g.CreateDeployToken(p, "pull", "user", at, "read_registry")
	expired := func() string {
		got := get(t, fmt.Sprintf("%s/api/v4/projects/%d/deploy_tokens/%d", g.URL, p.ID, deploy.ID), token)
		return got.body
	}

	g.Clock.Set(at)
	if !g.CanPull(p, "user", deploy.Secret) {
		t.Error("dead at the instant of its expiry, GitLab's clause is >=")
	}
	g.Clock.Advance(time.Second)
	if g.CanPull(p, "user", deploy.Secret) || !strings.Contains(expired(), `"expired":false`) {
		t.Error("just after its expiry the token must be dead and the flag false")
	}
	g.Clock.Set(at.AddDate(0, 0, 1).Truncate(24 * time.Hour))
	if !strings.Contains(expired(), `"expired":true`) {
		t.Error("the flag did not turn at midnight")
	}
}

func TestPagination_linksCarryAnotherHost(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t)
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	token := g.CreateAccessToken(g.Maintainer(p), "api")
	for range 205 {
		g.CreateDeployToken(p, "t", "", time.Time{}, "read_registry")
	}
	list := fmt.Sprintf("%s/api/v4/projects/%d/deploy_tokens", g.URL, p.ID)
	first := get(t, list+"?per_page=500", token)
	if first.header.Get("X-Per-Page") != "100" || first.header.Get("X-Next-Page") != "2" || first.header.Get("X-Total") != "205" {
		t.Errorf("headers: %v", first.header)
	}
	if link := first.header.Get("Link"); !strings.Contains(link, "https://gitlab.example.com/api/v4/") || !strings.Contains(link, `rel="next"`) {
		t.Errorf("Link: %s", link)
	}
	if last := get(t, list+"?per_page=100&page=3", token); last.header.Get("X-Next-Page") != "" || strings.Count(last.body, `"id"`) != 5 {
		t.Errorf("last page: %v", last.header)
	}
	if normal := get(t, list, token); strings.Count(normal.body, `"id"`) != 20 {
		t.Error("the default page has not 20 rows")
	}
}

func TestMaintenance_redirectsWritesWithoutJSON(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t)
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	token := g.CreateAccessToken(g.Maintainer(p), "api")
	deploy := g.CreateDeployToken(p, "pull", "", time.Time{}, "read_registry")
	g.SetMaintenance(true)
	target := fmt.Sprintf("%s/api/v4/projects/%d/deploy_tokens/%d", g.URL, p.ID, deploy.ID)

	plain, err := send(t, http.MethodDelete, target, token)
	if err != nil || plain.status != http.StatusMovedPermanently {
		t.Errorf("plain: %d, %v", plain.status, err)
	}
	asJSON, err := send(t, http.MethodDelete, target, token, func(r *http.Request) { r.Header.Set("Content-Type", "application/json") })
	if err != nil || asJSON.status != http.StatusServiceUnavailable {
		t.Errorf("JSON: %d, %v", asJSON.status, err)
	}
	if get(t, target, token).status != http.StatusOK {
		t.Error("reading stopped")
	}
}

func TestDeletionRenamesTheProject(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t)
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	token := g.CreateAccessToken(g.Maintainer(p), "api")
	g.ScheduleDeletion(p)
	if fields := entity(t, g, p, token); fields["marked_for_deletion_at"] == nil || !strings.Contains(fmt.Sprint(fields["path_with_namespace"]), "-deletion_scheduled-") {
		t.Errorf("got %v", fields)
	}
	g.RestoreProject(p)
	if fields := entity(t, g, p, token); fields["path_with_namespace"] != "acme/shop" || fields["marked_for_deletion_at"] != nil {
		t.Errorf("restored: %v", fields)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	setup := func(t *testing.T) (*gitlabtest.Server, *gitlabtest.Project, string, string) {
		t.Helper()
		g := gitlabtest.New(t)
		p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
		token := g.CreateAccessToken(g.Maintainer(p), "api")
		deploy := g.CreateDeployToken(p, "pull", "", time.Time{}, "read_registry")
		return g, p, token, fmt.Sprintf("%s/api/v4/projects/%d/deploy_tokens/%d", g.URL, p.ID, deploy.ID)
	}
	const remove = "DELETE /projects/:id/deploy_tokens/:token_id"
	for _, c := range []struct {
		fault   gitlabtest.Fault
		status  int
		deleted bool
	}{
		{gitlabtest.Fault{Match: remove, Status: 500}, 500, false},
		{gitlabtest.Fault{Match: remove, Status: 502, When: gitlabtest.After}, 502, true},
		{gitlabtest.Fault{Match: remove}, 0, false},
		{gitlabtest.Fault{Match: remove, When: gitlabtest.After}, 0, true},
		{gitlabtest.Fault{Match: remove, Skip: 1, Status: 500}, 204, true},
		{gitlabtest.EndpointLimited(remove, time.Minute), 429, false},
	} {
		t.Run(c.fault.String(), func(t *testing.T) {
			t.Parallel()
			g, p, token, target := setup(t)
			g.Inject(c.fault)
			got, err := send(t, http.MethodDelete, target, token)
			if (err == nil) != (c.status != 0) || got.status != c.status {
				t.Errorf("status %d, %v", got.status, err)
			}
			if deleted := len(g.Tokens(p)) == 0; deleted != c.deleted {
				t.Errorf("deleted: %v", deleted)
			}
		})
	}
	t.Run("an answer breaks off in the middle", func(t *testing.T) {
		t.Parallel()
		g, _, token, target := setup(t)
		g.Inject(gitlabtest.Fault{When: gitlabtest.During})
		if got, err := send(t, http.MethodGet, target, token); err == nil {
			t.Errorf("got %d whole bytes", len(got.body))
		}
		if log := g.Requests(); len(log) != 1 || !log[0].Cut {
			t.Errorf("log: %+v", log)
		}
	})
}

func TestJobTokensCannotManageDeployTokens(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t)
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	job := g.StartJob(p)
	if got := get(t, fmt.Sprintf("%s/api/v4/projects/%d/deploy_tokens", g.URL, p.ID), job.Token); got.status != http.StatusNotFound {
		t.Errorf("got %d", got.status)
	}
}

func TestListensOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	if s, err := gitlabtest.Start(gitlabtest.WithAddress("0.0.0.0:0")); err == nil {
		s.Close()
		t.Error("listens on all addresses")
	}
}
