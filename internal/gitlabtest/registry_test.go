package gitlabtest_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// registryToken asks /jwt/auth and returns what is granted.
func registryToken(t *testing.T, g *gitlabtest.Server, scope, username, password string) (status int, granted []string) {
	t.Helper()
	target := g.URL + "/jwt/auth?service=container_registry&scope=" + url.QueryEscape(scope)
	got := get(t, target, "", func(r *http.Request) {
		if username != "" {
			r.SetBasicAuth(username, password)
		}
	})
	var envelope struct{ Token string }
	if json.Unmarshal([]byte(got.body), &envelope) != nil || envelope.Token == "" {
		return got.status, nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(envelope.Token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ Access []gitlabtest.Grant }
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	for _, grant := range claims.Access {
		granted = append(granted, grant.Name+":"+strings.Join(grant.Actions, ","))
	}
	return got.status, granted
}

func TestRegistryAuthentication(t *testing.T) {
	t.Parallel()
	const pull = "repository:acme/shop:pull"
	setup := func(t *testing.T, visibility, level string) (*gitlabtest.Server, *gitlabtest.Project, gitlabtest.Token) {
		t.Helper()
		g := gitlabtest.New(t)
		p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{Visibility: visibility, RegistryAccessLevel: level})
		return g, p, g.CreateDeployToken(p, "pull", "user", time.Time{}, "read_registry")
	}
	t.Run("who may pull", func(t *testing.T) {
		t.Parallel()
		for _, c := range []struct {
			visibility, level string
			anonymous, token  bool
		}{
			{"public", "enabled", true, true},
			{"public", "private", false, true},
			{"public", "disabled", false, false},
			{"internal", "enabled", false, true},
			{"internal", "private", false, true},
			{"private", "enabled", false, true},
			{"private", "disabled", false, false},
		} {
			g, p, deploy := setup(t, c.visibility, c.level)
			if got := g.CanPull(p, "", ""); got != c.anonymous {
				t.Errorf("%s %s: anonymous %v", c.visibility, c.level, got)
			}
			if got := g.CanPull(p, "user", deploy.Secret); got != c.token {
				t.Errorf("%s %s: deploy token %v", c.visibility, c.level, got)
			}
		}
	})
	t.Run("dead credentials are refused even for a public project", func(t *testing.T) {
		t.Parallel()
		g, _, deploy := setup(t, "public", "enabled")
		if status, _ := registryToken(t, g, pull, "", ""); status != http.StatusOK {
			t.Errorf("anonymous: %d", status)
		}
		g.RevokeInSettings(deploy.ID)
		if status, _ := registryToken(t, g, pull, "user", deploy.Secret); status != http.StatusUnauthorized {
			t.Errorf("revoked: %d", status)
		}
	})
	t.Run("the username counts, to the letter", func(t *testing.T) {
		t.Parallel()
		g, _, deploy := setup(t, "private", "enabled")
		if status, _ := registryToken(t, g, pull, "User", deploy.Secret); status != http.StatusUnauthorized {
			t.Errorf("got %d", status)
		}
	})
	t.Run("a valid token without permission is granted nothing", func(t *testing.T) {
		t.Parallel()
		g, _, deploy := setup(t, "private", "enabled")
		g.CreateProject("acme/other", gitlabtest.ProjectOptions{})
		if status, granted := registryToken(t, g, "repository:acme/other:pull", "user", deploy.Secret); status != http.StatusOK || granted != nil {
			t.Errorf("got %d, %v", status, granted)
		}
		if _, granted := registryToken(t, g, "repository:acme/shop:pull,push", "user", deploy.Secret); len(granted) != 1 || granted[0] != "acme/shop:pull" {
			t.Errorf("granted %v", granted)
		}
	})
	t.Run("a token of another project pulls what everybody can pull", func(t *testing.T) {
		t.Parallel()
		g, _, deploy := setup(t, "private", "enabled")
		open := g.CreateProject("acme/open", gitlabtest.ProjectOptions{Visibility: "public"})
		members := g.CreateProject("acme/members", gitlabtest.ProjectOptions{Visibility: "public", RegistryAccessLevel: "private"})
		if !g.CanPull(open, "user", deploy.Secret) || g.CanPull(members, "user", deploy.Secret) {
			t.Error("not the public one alone")
		}
	})
	t.Run("a login that has nothing to do with registries is denied", func(t *testing.T) {
		t.Parallel()
		g, p, _ := setup(t, "public", "enabled")
		code := g.CreateDeployToken(p, "clone", "cloner", time.Time{}, "read_repository")
		person := g.CreateAccessToken(g.Maintainer(p), "read_user")
		for username, secret := range map[string]string{"cloner": code.Secret, "somebody": person} {
			if status, _ := registryToken(t, g, pull, username, secret); status != http.StatusForbidden {
				t.Errorf("%s: %d", username, status)
			}
		}
		if g.FailedLogins() != 0 {
			t.Error("a login without abilities counts as failed")
		}
	})
	t.Run("the shapes of the answers", func(t *testing.T) {
		t.Parallel()
		g, _, deploy := setup(t, "private", "enabled")
		ask := func(username, secret string) map[string]any {
			return fieldsOf(t, get(t, g.URL+"/jwt/auth?service=container_registry&scope="+pull, "", func(r *http.Request) {
				if username != "" {
					r.SetBasicAuth(username, secret)
				}
			}))
		}
		if fields := ask("user", deploy.Secret); len(fields) != 1 || fields["token"] == nil {
			t.Error("more than the token")
		}
		if fields := ask("user", "wrong"); fields["errors"] == nil || fields["http_status"] != nil {
			t.Errorf("wrong: %v", fields)
		}
		if fields := ask("", ""); fields["errors"] == nil || fields["http_status"] != 403.0 {
			t.Errorf("anonymous: %v", fields)
		}
	})
	t.Run("the job's token dies with the job", func(t *testing.T) {
		t.Parallel()
		g, p, _ := setup(t, "private", "enabled")
		job := g.StartJob(p)
		if status, granted := registryToken(t, g, "repository:acme/shop:pull,push", "gitlab-ci-token", job.Token); status != http.StatusOK || len(granted) != 1 {
			t.Errorf("running: %d, %v", status, granted)
		}
		g.EndJob(job)
		if status, _ := registryToken(t, g, pull, "gitlab-ci-token", job.Token); status != http.StatusUnauthorized {
			t.Errorf("ended: %d", status)
		}
	})
	t.Run("off for the instance", func(t *testing.T) {
		t.Parallel()
		g, p, deploy := setup(t, "private", "enabled")
		g.SetRegistryEnabled(false)
		if status, _ := registryToken(t, g, pull, "user", deploy.Secret); status != http.StatusNotFound {
			t.Errorf("got %d", status)
		}
		if fields := entity(t, g, p, g.CreateAccessToken(g.Maintainer(p), "api")); fields["container_registry_image_prefix"] != nil {
			t.Error("the image prefix is still there")
		}
	})
	t.Run("thirty failures ban the address", func(t *testing.T) {
		t.Parallel()
		g, _, deploy := setup(t, "private", "enabled")
		for range 29 {
			registryToken(t, g, pull, "user", "wrong")
		}
		if status, _ := registryToken(t, g, pull, "user", deploy.Secret); status != http.StatusOK || g.FailedLogins() != 0 {
			t.Errorf("a success does not reset the counter: %d", status)
		}
		for range 30 {
			registryToken(t, g, pull, "user", "wrong")
		}
		if status, _ := registryToken(t, g, pull, "user", deploy.Secret); status != http.StatusForbidden {
			t.Errorf("not banned: %d", status)
		}
		g.Clock.Advance(time.Hour)
		if status, _ := registryToken(t, g, pull, "user", deploy.Secret); status != http.StatusOK {
			t.Errorf("banned for longer than an hour: %d", status)
		}
	})
	t.Run("only GET, only the registry", func(t *testing.T) {
		t.Parallel()
		g, _, _ := setup(t, "public", "enabled")
		if got := get(t, g.URL+"/jwt/auth?service=other", ""); got.status != http.StatusNotFound {
			t.Errorf("other service: %d", got.status)
		}
		if got, err := send(t, http.MethodPost, g.URL+"/jwt/auth?service=container_registry", ""); err != nil || got.status != http.StatusNotFound {
			t.Errorf("POST: %d, %v", got.status, err)
		}
	})
}

// TestRegistry_namesOfRepositories: a project's path need not be the name of a repository.
func TestRegistry_namesOfRepositories(t *testing.T) {
	t.Parallel()
	for path, valid := range map[string]bool{
		"acme/shop": true, "acme/my--shop": true, "acme/my__shop": true, "acme/my.shop": true,
		"acme/my._shop": false, "acme/my___shop": false, "acme/shop_": false, "_acme/shop": false,
	} {
		g := gitlabtest.New(t)
		p := g.CreateProject(path, gitlabtest.ProjectOptions{})
		token := g.CreateDeployToken(p, "pull", "user", time.Time{}, "read_registry")
		status, granted := registryToken(t, g, "repository:"+path+":pull", "user", token.Secret)
		if status != http.StatusOK || (len(granted) == 1) != valid {
			t.Errorf("%s: %d, granted %v", path, status, granted)
		}
	}
}
