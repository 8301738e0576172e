package gitlab_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

const (
	getProject  = "GET /projects/:id"
	listTokens  = "GET /projects/:id/deploy_tokens"
	postToken   = "POST /projects/:id/deploy_tokens"
	deleteToken = "DELETE /projects/:id/deploy_tokens/:token_id"
	askRegistry = "GET /jwt/auth"
)

// bench is a stand-in with a project, and a client for it whose pauses are
// recorded instead of made.
type bench struct {
	*testing.T

	gitlab  *gitlabtest.Server
	project *gitlabtest.Project
	token   string
	client  *gitlab.Client

	mu     sync.Mutex
	pauses []time.Duration
}

func newBench(t *testing.T, edit ...func(*gitlab.Options)) *bench {
	t.Helper()
	t.Parallel()
	b := &bench{T: t, gitlab: gitlabtest.New(t)}
	b.project = b.gitlab.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	b.token = b.gitlab.CreateAccessToken(b.gitlab.Maintainer(b.project), "api")
	b.client = b.newClient(edit...)
	return b
}

func (b *bench) newClient(edit ...func(*gitlab.Options)) *gitlab.Client {
	b.Helper()
	o := gitlab.Options{
		BaseURL: b.gitlab.URL, Token: b.token, UserAgent: "terraform-provider-autodevops/test", Retries: gitlab.DefaultRetries,
		Pause: func(d time.Duration) time.Duration {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.pauses = append(b.pauses, d)
			return 0
		},
		Now: b.gitlab.Clock.Now,
	}
	for _, e := range edit {
		e(&o)
	}
	client, err := gitlab.New(o)
	if err != nil {
		b.Fatal(err)
	}
	return client
}

func (b *bench) request() gitlab.MintRequest {
	return gitlab.MintRequest{
		ProjectID: b.project.ID, Name: access.DefaultName, Username: access.NewUsername(b.project.ID), FreshUsername: true,
		Scopes: []string{access.ScopeReadRegistry}, Expiry: func(at time.Time) time.Time { return at.AddDate(1, 0, 0) },
	}
}

func (b *bench) deployToken(expiresAt time.Time) gitlabtest.Token {
	return b.gitlab.CreateDeployToken(b.project, "pull", "user", expiresAt, "read_registry")
}

func wantKind(t *testing.T, err error, kind gitlab.Kind) *gitlab.Error {
	t.Helper()
	var e *gitlab.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Fatalf("got %v, want kind %d", err, kind)
	}
	return e
}

func TestProject_hiddenAutoDevOpsIsNotFalse(t *testing.T) {
	b := newBench(t)
	b.gitlab.SaveAutoDevOps(b.project, gitlabtest.True)
	b.token = b.gitlab.CreateAccessToken(b.gitlab.TokenManager(b.project), "api")
	project, err := b.newClient().Project(t.Context(), "acme/shop")
	if err != nil || project.Facts.AutoDevOps != nil {
		t.Errorf("got %v, %v", project.Facts.AutoDevOps, err)
	}
	if project, err = b.client.Project(t.Context(), "acme/shop"); err != nil || project.Facts.AutoDevOps == nil || !*project.Facts.AutoDevOps {
		t.Errorf("as maintainer: %+v, %v", project.Facts, err)
	}
}

func TestProject_missingKeysStayMissing(t *testing.T) {
	b := newBench(t)
	for _, key := range []string{"visibility", "container_registry_access_level", "container_registry_enabled", "container_registry_image_prefix"} {
		b.gitlab.LeaveOut(b.project, key)
	}
	project, err := b.client.Project(t.Context(), "acme/shop")
	if f := project.Facts; err != nil || f.Visibility != "" || f.RegistryAccessLevel != "" || f.ImagePrefix != "" {
		t.Errorf("got %+v, %v", f, err)
	}
}

func TestProject_oldServersSayOnlyRegistryEnabled(t *testing.T) {
	b := newBench(t)
	b.gitlab.LeaveOut(b.project, "container_registry_access_level")
	if project, err := b.client.Project(t.Context(), "acme/shop"); err != nil || project.Facts.RegistryAccessLevel != access.RegistryEnabled {
		t.Errorf("got %+v, %v", project.Facts, err)
	}
	b.gitlab.Override(b.project, "container_registry_enabled", false)
	if project, err := b.client.Project(t.Context(), "acme/shop"); err != nil || project.Facts.RegistryAccessLevel != "" {
		t.Errorf("false speaks of the caller, not of the project: %+v, %v", project.Facts, err)
	}
}

func TestProject_archivedAndScheduledForDeletion(t *testing.T) {
	b := newBench(t)
	b.gitlab.SetArchived(b.project, true)
	b.gitlab.ScheduleDeletion(b.project)
	project, err := b.client.Project(t.Context(), fmt.Sprint(b.project.ID))
	if err != nil || !project.Facts.Archived || !project.Facts.DeletionScheduled {
		t.Errorf("got %+v, %v", project.Facts, err)
	}
}

func TestProject_oldPathLeadsToTheNumericID(t *testing.T) {
	b := newBench(t)
	b.gitlab.RenameProject(b.project, "acme/store")
	project, err := b.client.Project(t.Context(), "acme/shop")
	if err != nil || project.ID != b.project.ID || project.Path != "acme/store" {
		t.Fatalf("got %+v, %v", project, err)
	}
	// The redirect named a host that is not ours; nothing was sent there.
	if n := b.gitlab.CountRequests(getProject); n != 2 {
		t.Errorf("%d requests", n)
	}
}

func TestClient_followsNoRedirect(t *testing.T) {
	b := newBench(t)
	var leaked []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { leaked = append(leaked, r.URL.Path) }))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 307, 308} {
		b.gitlab.Inject(gitlabtest.Fault{Status: status, Header: map[string]string{"Location": elsewhere.URL + "/api/v4/elsewhere?private_token=x"}})
		_, err := b.client.DeployTokens(t.Context(), b.project.ID)
		e := wantKind(t, err, gitlab.KindOther)
		if !strings.Contains(e.Advice, "base_url") || strings.Contains(e.Error(), "private_token") {
			t.Errorf("%d: %v %s", status, e, e.Advice)
		}
	}
	if len(leaked) > 0 {
		t.Errorf("requests went elsewhere: %v", leaked)
	}
}

func TestDeployTokens_beyondTheFirstPage(t *testing.T) {
	b := newBench(t)
	for range 250 {
		b.deployToken(time.Time{})
	}
	list, err := b.client.DeployTokens(t.Context(), b.project.ID)
	tokens := list.Tokens
	if err != nil || len(tokens) != 250 {
		t.Errorf("%d tokens, %v", len(tokens), err)
	}
	if n := b.gitlab.CountRequests(listTokens); n != 3 {
		t.Errorf("%d requests for three pages", n)
	}
}

func TestDeployTokens_partialListIsAnError(t *testing.T) {
	b := newBench(t)
	for range 150 {
		b.deployToken(time.Time{})
	}
	b.gitlab.Inject(gitlabtest.Fault{Match: listTokens, Skip: 1, Times: gitlabtest.Always, Status: 403, Body: `{"message":"403 Forbidden"}`})
	if tokens, err := b.client.DeployTokens(t.Context(), b.project.ID); err == nil {
		t.Errorf("%d tokens of 150 passed for all", len(tokens.Tokens))
	}
}

func TestDeployToken_expiryIgnoresAPIFlag(t *testing.T) {
	b := newBench(t)
	at := time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC) // two hours ago; the flag stays false until midnight
	b.deployToken(at)
	list, err := b.client.DeployTokens(t.Context(), b.project.ID)
	tokens := list.Tokens
	if err != nil || len(tokens) != 1 || !tokens[0].ExpiresAt.Equal(at) || tokens[0].Active(b.gitlab.Clock.Now()) {
		t.Errorf("got %+v, %v", tokens, err)
	}
}

func TestDeployToken_year3000IsNoExpiry(t *testing.T) {
	b := newBench(t)
	b.deployToken(time.Time{})
	b.gitlab.Inject(gitlabtest.Fault{Match: listTokens, Status: 200, Body: `[{"id":1,"name":"a","username":"b","expires_at":"3000-01-01T00:00:00.000Z","scopes":[],"revoked":false,"expired":false}]`})
	for range 2 {
		list, err := b.client.DeployTokens(t.Context(), b.project.ID)
		tokens := list.Tokens
		if err != nil || len(tokens) != 1 || !tokens[0].ExpiresAt.IsZero() {
			t.Errorf("got %+v, %v", tokens, err)
		}
	}
}

func TestDeployToken_revokedInSettingsIsNotGone(t *testing.T) {
	b := newBench(t)
	token := b.deployToken(time.Time{})
	b.gitlab.RevokeInSettings(token.ID)
	got, err := b.client.DeployToken(t.Context(), b.project.ID, token.ID)
	if err != nil || !got.Revoked {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestErrors_wordingsOf404(t *testing.T) {
	b := newBench(t)
	_, err := b.client.DeployToken(t.Context(), b.project.ID, 999)
	wantKind(t, err, gitlab.KindTokenNotFound)
	_, err = b.client.DeployToken(t.Context(), 999, 999)
	wantKind(t, err, gitlab.KindProjectNotFound)
	_, err = b.client.Project(t.Context(), "no/where")
	wantKind(t, err, gitlab.KindProjectNotFound)

	// Neither wording: a proxy, a wrong base URL, an unknown route.
	for _, body := range []string{`{"error":"404 Not Found"}`, "<html>404</html>", "", `{"message":"404 Group Not Found"}`, "404 Not found\n", `{"error":"404 Not found"}`, "404 Project Not Found"} {
		b.gitlab.Inject(gitlabtest.Fault{Status: 404, Body: body})
		_, err = b.client.DeployToken(t.Context(), b.project.ID, 999)
		wantKind(t, err, gitlab.KindOther)
	}
	// A capital F: what a fine-grained token gets for whatever it may not see.
	b.gitlab.Inject(gitlabtest.Fault{Status: 404, Body: `{"message":"404 Not Found"}`})
	_, err = b.client.DeployToken(t.Context(), b.project.ID, 999)
	wantKind(t, err, gitlab.KindNotFound)
}

func TestRevoke_succeedsOnlyOn204OrTheTokens404(t *testing.T) {
	for name, c := range map[string]struct {
		fault gitlabtest.Fault
		ok    bool
	}{
		"204":                              {gitlabtest.Fault{Match: "none"}, true},
		"the token's 404":                  {gitlabtest.Fault{Status: 404, Body: `{"message":"404 Not found"}`}, true},
		"the project's 404":                {gitlabtest.Fault{Status: 404, Body: `{"message":"404 Project Not Found"}`}, false},
		"301 to a page":                    {gitlabtest.Fault{Status: 301, Header: map[string]string{"Location": "/dashboard"}}, false},
		"200 HTML":                         {gitlabtest.Fault{Status: 200, Body: "<html>Dashboard</html>"}, false},
		"202":                              {gitlabtest.Fault{Status: 202, Body: `{}`}, false},
		"403":                              {gitlabtest.Fault{Status: 403, Body: `{"message":"403 Forbidden"}`}, false},
		"405, the project was moved":       {gitlabtest.Fault{Status: 405, Body: `{"message":"Non GET methods are not allowed for moved projects"}`}, false},
		"500 once":                         {gitlabtest.Fault{Status: 500}, true},
		"500 for ever":                     {gitlabtest.Fault{Status: 500, Times: gitlabtest.Always}, false},
		"deleted, and the answer got lost": {gitlabtest.Fault{When: gitlabtest.After}, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			token := b.deployToken(time.Time{})
			if c.fault.Match == "" {
				c.fault.Match = deleteToken
			}
			b.gitlab.Inject(c.fault)
			if err := b.client.RevokeDeployToken(t.Context(), b.project.ID, token.ID); (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRevoke_inMaintenanceModeFails(t *testing.T) {
	b := newBench(t, func(o *gitlab.Options) { o.Retries = 1 })
	token := b.deployToken(time.Time{})
	b.gitlab.SetMaintenance(true)
	err := b.client.RevokeDeployToken(t.Context(), b.project.ID, token.ID)
	if e := wantKind(t, err, gitlab.KindOther); e.Status != http.StatusServiceUnavailable {
		t.Errorf("got %v: without a JSON content type GitLab redirects", e)
	}
	if len(b.gitlab.Tokens(b.project)) != 1 {
		t.Error("the token is gone")
	}
}

func TestRetry_429WithRetryAfterOnly(t *testing.T) {
	b := newBench(t)
	b.gitlab.Inject(gitlabtest.EndpointLimited(getProject, 60*time.Second))
	if _, err := b.client.Project(t.Context(), "acme/shop"); err != nil {
		t.Fatal(err)
	}
	if len(b.pauses) == 0 || b.pauses[0] < 60*time.Second || b.pauses[0] > 66*time.Second {
		t.Errorf("paused %v, GitLab asked for 60s", b.pauses)
	}
}

func TestRetry_429OfTheThrottleIsPlainText(t *testing.T) {
	b := newBench(t)
	fault := b.gitlab.Throttled(getProject, 20*time.Second)
	delete(fault.Header, "Retry-After") // an older server
	b.gitlab.Inject(fault)
	if _, err := b.client.Project(t.Context(), "acme/shop"); err != nil {
		t.Fatal(err)
	}
	if len(b.pauses) == 0 || b.pauses[0] < 18*time.Second || b.pauses[0] > 22*time.Second {
		t.Errorf("paused %v, RateLimit-Reset was 20s away", b.pauses)
	}
}

func TestRetry_hintBeyondTheOperationFailsAtOnce(t *testing.T) {
	b := newBench(t)
	b.gitlab.Inject(gitlabtest.EndpointLimited(getProject, 600*time.Second))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := b.client.Project(ctx, "acme/shop")
	e := wantKind(t, err, gitlab.KindTooLate)
	if !strings.Contains(e.Error(), "10m0s") || len(b.pauses) != 0 {
		t.Errorf("%v, paused %v", e, b.pauses)
	}
}

func TestRetry_withoutHintIsBounded(t *testing.T) {
	b := newBench(t, func(o *gitlab.Options) { o.Retries = 50 })
	b.gitlab.Inject(gitlabtest.Fault{Match: getProject, Status: 502, Body: "<html>Bad Gateway</html>", Times: gitlabtest.Always})
	_, err := b.client.Project(t.Context(), "acme/shop")
	if e := wantKind(t, err, gitlab.KindOther); e.Status != 502 || !strings.Contains(e.Error(), "an HTML page") {
		t.Errorf("got %v", e)
	}
	var sum time.Duration
	for _, pause := range b.pauses {
		sum += pause
	}
	if len(b.pauses) == 0 || sum > 30*time.Second {
		t.Errorf("%d pauses of %s in all", len(b.pauses), sum)
	}
}

func TestRetry_getsAreRepeated(t *testing.T) {
	for _, fault := range []gitlabtest.Fault{
		{Match: getProject, Status: 500},
		{Match: getProject, Status: 503},
		{Match: getProject},
		{Match: getProject, When: gitlabtest.During},
	} {
		t.Run(fault.String(), func(t *testing.T) {
			b := newBench(t)
			b.gitlab.Inject(fault)
			if _, err := b.client.Project(t.Context(), "acme/shop"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRetry_refusalsAreNotRepeated(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 501} {
		b := newBenchIn(t, fmt.Sprint(status))
		b.gitlab.Inject(gitlabtest.Fault{Match: getProject, Status: status, Times: gitlabtest.Always})
		if _, err := b.client.Project(b.Context(), "acme/shop"); err == nil {
			t.Errorf("%d passed", status)
		}
		if n := b.gitlab.CountRequests(getProject); n != 1 {
			t.Errorf("%d: %d requests", status, n)
		}
	}
}

// newBenchIn is a bench in a subtest that ends with its parent.
func newBenchIn(t *testing.T, name string) *bench {
	t.Helper()
	b := &bench{T: t, gitlab: gitlabtest.New(t)}
	b.project = b.gitlab.CreateProject("acme/"+name, gitlabtest.ProjectOptions{})
	b.token = b.gitlab.CreateAccessToken(b.gitlab.Maintainer(b.project), "api")
	b.client = b.newClient()
	return b
}

// TestMint_ambiguousPostIsReconciled: whatever becomes of the POST, at most one
// live token results, and it is the one whose secret is known.
func TestMint_ambiguousPostIsReconciled(t *testing.T) {
	for name, c := range map[string]struct {
		fault gitlabtest.Fault
		posts int
	}{
		"500 before the token was made":   {gitlabtest.Fault{Status: 500}, 2},
		"502 after the token was made":    {gitlabtest.Fault{Status: 502, When: gitlabtest.After}, 2},
		"cut before the POST":             {gitlabtest.Fault{}, 2},
		"cut after the POST":              {gitlabtest.Fault{When: gitlabtest.After}, 2},
		"cut in the middle of the answer": {gitlabtest.Fault{When: gitlabtest.During}, 2},
		"an answer that is not GitLab's":  {gitlabtest.Fault{Status: 200, Body: "<html>Sign in</html>", When: gitlabtest.After}, 2},
		"201 without the secret":          {gitlabtest.Fault{Status: 201, Body: `{"id":1,"revoked":false}`, When: gitlabtest.After}, 2},
		"a timeout after the POST":        {gitlabtest.Fault{Pause: 1500 * time.Millisecond, When: gitlabtest.After}, 2},
		"429 was not carried out":         {gitlabtest.EndpointLimited("", time.Second), 2},
		"500 twice":                       {gitlabtest.Fault{Status: 500, Times: 2, When: gitlabtest.After}, 3},
		"nothing goes wrong":              {gitlabtest.Fault{Skip: 1000}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, func(o *gitlab.Options) {
				if c.fault.Pause > 0 {
					o.AnswerTimeout = time.Second
				}
			})
			c.fault.Match = postToken
			b.gitlab.Inject(c.fault)
			minted, err := b.client.MintDeployToken(t.Context(), b.request())
			if err != nil {
				t.Fatal(err)
			}
			active := b.gitlab.ActiveTokens(b.project)
			if len(active) != 1 || active[0].ID != minted.ID || active[0].Secret != minted.Secret.Reveal() {
				t.Errorf("%d live tokens after one mint", len(active))
			}
			if n := b.gitlab.CountRequests(postToken); n != c.posts {
				t.Errorf("%d POSTs, want %d", n, c.posts)
			}
		})
	}
}

func TestMint_ambiguousPostWithChosenUsername(t *testing.T) {
	t.Run("a username that the user chose", func(t *testing.T) {
		b := newBench(t)
		b.gitlab.Inject(gitlabtest.Fault{Match: postToken, Status: 502, When: gitlabtest.After})
		request := b.request()
		request.Username = "puller"
		_, err := b.client.MintDeployToken(t.Context(), request)
		e := wantKind(t, err, gitlab.KindUncertain)
		made := b.gitlab.ActiveTokens(b.project)
		if len(made) != 1 || !slices.Equal(e.TokenIDs, []int64{made[0].ID}) || b.gitlab.CountRequests(deleteToken) != 0 {
			t.Errorf("%d live, named %v", len(made), e.TokenIDs)
		}
	})
	t.Run("several new tokens", func(t *testing.T) {
		b := newBench(t)
		b.gitlab.Inject(gitlabtest.Fault{Match: postToken, Status: 502, When: gitlabtest.After})
		request := b.request()
		b.gitlab.OnRequest(func(r gitlabtest.Request) {
			if r.String() == postToken {
				b.gitlab.CreateDeployToken(b.project, request.Name, request.Username, time.Time{}, "read_registry")
			}
		})
		_, err := b.client.MintDeployToken(t.Context(), request)
		if e := wantKind(t, err, gitlab.KindUncertain); len(e.TokenIDs) != 2 || len(b.gitlab.ActiveTokens(b.project)) != 2 {
			t.Errorf("named %v", e.TokenIDs)
		}
	})
	t.Run("somebody else's token appears", func(t *testing.T) {
		b := newBench(t)
		b.gitlab.Inject(gitlabtest.Fault{Match: postToken, Status: 502})
		b.gitlab.OnRequest(func(r gitlabtest.Request) {
			if r.String() == postToken && b.gitlab.CountRequests(postToken) == 1 {
				b.gitlab.CreateDeployToken(b.project, access.DefaultName, "somebody", time.Time{}, "read_registry")
			}
		})
		if _, err := b.client.MintDeployToken(t.Context(), b.request()); err != nil {
			t.Fatal(err)
		}
		if len(b.gitlab.ActiveTokens(b.project)) != 2 {
			t.Error("the other token was touched")
		}
	})
	t.Run("the list fails as well", func(t *testing.T) {
		b := newBench(t)
		b.gitlab.Inject(gitlabtest.Fault{Match: postToken, Status: 502, When: gitlabtest.After})
		b.gitlab.Inject(gitlabtest.Fault{Match: listTokens, Skip: 1, Times: gitlabtest.Always, Status: 403})
		_, err := b.client.MintDeployToken(t.Context(), b.request())
		if e := wantKind(t, err, gitlab.KindUncertain); !strings.Contains(e.Advice, "next plan names it") {
			t.Errorf("advice: %s", e.Advice)
		}
	})
	t.Run("an interrupted operation still cleans up", func(t *testing.T) {
		b := newBench(t)
		ctx, cancel := context.WithCancel(t.Context())
		b.gitlab.Inject(gitlabtest.Fault{Match: postToken, When: gitlabtest.After})
		b.gitlab.OnRequest(func(r gitlabtest.Request) {
			if r.String() == postToken {
				cancel()
			}
		})
		if _, err := b.client.MintDeployToken(ctx, b.request()); err == nil {
			t.Error("minted in a cancelled operation")
		}
		if live := b.gitlab.ActiveTokens(b.project); len(live) != 0 {
			t.Errorf("%d tokens live on", len(live))
		}
	})
}

// TestMint_sharedUsernameRevokesNothing: an access keeps its username, so another
// run of it may mint meanwhile: one whose lock was broken, or that an interrupted
// run left behind. Nothing that may be its token is revoked.
func TestMint_sharedUsernameRevokesNothing(t *testing.T) {
	start := func(t *testing.T) (*bench, gitlab.MintRequest) {
		t.Helper()
		b := newBench(t)
		request := b.request()
		request.FreshUsername = false
		return b, request
	}
	t.Run("another run publishes a token meanwhile", func(t *testing.T) {
		b, request := start(t)
		b.gitlab.Inject(gitlabtest.Fault{Match: postToken, Status: 502})
		var published gitlabtest.Token
		b.gitlab.OnRequest(func(r gitlabtest.Request) {
			if r.String() == postToken && b.gitlab.CountRequests(postToken) == 1 {
				published = b.gitlab.CreateDeployToken(b.project, request.Name, request.Username, request.Expiry(b.gitlab.Clock.Now()), "read_registry")
			}
		})
		minted, err := b.client.MintDeployToken(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		if !b.gitlab.CanPull(b.project, published.Username, published.Secret) || b.gitlab.CountRequests(deleteToken) != 0 {
			t.Error("the other run's token was revoked")
		}
		if want := []access.Orphan{{TokenID: published.ID, Username: published.Username, ExpiresAt: published.ExpiresAt}}; !slices.Equal(minted.Orphans, want) {
			t.Errorf("orphans %v, want %v", minted.Orphans, want)
		}
	})
	t.Run("an interrupted operation", func(t *testing.T) {
		b, request := start(t)
		ctx, cancel := context.WithCancel(t.Context())
		b.gitlab.Inject(gitlabtest.Fault{Match: postToken, When: gitlabtest.After})
		b.gitlab.OnAnswer(func(r gitlabtest.Request) {
			if r.String() == postToken {
				cancel()
			}
		})
		_, err := b.client.MintDeployToken(ctx, request)
		if e := wantKind(t, err, gitlab.KindUncertain); !strings.Contains(e.Advice, "the next apply tracks them") {
			t.Errorf("advice: %s", e.Advice)
		}
		if live := b.gitlab.ActiveTokens(b.project); len(live) != 1 || b.gitlab.CountRequests(deleteToken) != 0 {
			t.Errorf("%d tokens live", len(live))
		}
	})
	t.Run("every try fails", func(t *testing.T) {
		b, request := start(t)
		b.gitlab.Inject(gitlabtest.Fault{Match: postToken, Status: 502, When: gitlabtest.After, Times: gitlabtest.Always})
		_, err := b.client.MintDeployToken(t.Context(), request)
		if e := wantKind(t, err, gitlab.KindUncertain); !strings.Contains(e.Advice, "the next apply tracks them") {
			t.Errorf("advice: %s", e.Advice)
		}
		if b.gitlab.CountRequests(deleteToken) != 0 {
			t.Error("something was revoked")
		}
	})
}

// TestMint_oneAtATime: minting and revoking in a project wait for each other, so that no
// list shifts under its reader and no token of one minting is taken for another's.
func TestMint_oneAtATime(t *testing.T) {
	b := newBench(t)
	retired := b.deployToken(time.Time{})
	b.gitlab.SetLatency(20 * time.Millisecond)
	var calls sync.WaitGroup
	for range 3 {
		calls.Go(func() {
			if _, err := b.client.MintDeployToken(t.Context(), b.request()); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Go(func() {
		time.Sleep(30 * time.Millisecond) // into the first minting
		if err := b.client.RevokeDeployToken(t.Context(), b.project.ID, retired.ID); err != nil {
			t.Error(err)
		}
	})
	calls.Wait()
	open := false
	for _, r := range b.gitlab.Requests() {
		switch r.String() {
		case "GET /projects/:id/deploy_tokens":
			if open {
				t.Error("two mintings were under way at once")
			}
			open = true
		case postToken:
			open = false
		case deleteToken:
			if open {
				t.Error("a token was revoked during a minting")
			}
		}
	}
}

func TestMint_refused(t *testing.T) {
	b := newBench(t)
	b.token = b.gitlab.CreateAccessToken(b.gitlab.Member(b.project, gitlabtest.Developer), "api")
	b.gitlab.Inject(gitlabtest.Fault{Match: listTokens, Status: 200, Body: "[]"})
	_, err := b.newClient().MintDeployToken(t.Context(), b.request())
	e := wantKind(t, err, gitlab.KindForbidden)
	if e.Status != 403 || !strings.Contains(e.Advice, "Maintainer") || b.gitlab.CountRequests(postToken) != 1 {
		t.Errorf("%v; %s; %d POSTs", e, e.Advice, b.gitlab.CountRequests(postToken))
	}
}

func TestMint_sendsMillisecondsInUTC(t *testing.T) {
	b := newBench(t)
	request := b.request()
	request.Expiry = func(time.Time) time.Time {
		return time.Date(2027, 3, 1, 2, 3, 4, 567_891_234, time.FixedZone("east", 3600))
	}
	minted, err := b.client.MintDeployToken(t.Context(), request)
	if want := time.Date(2027, 3, 1, 1, 3, 4, 567_000_000, time.UTC); err != nil || !minted.ExpiresAt.Equal(want) {
		t.Errorf("got %s, %v", minted.ExpiresAt, err)
	}
	request.Expiry = func(time.Time) time.Time { return time.Time{} }
	if minted, err = b.client.MintDeployToken(t.Context(), request); err != nil || !minted.ExpiresAt.IsZero() {
		t.Errorf("permanent: %s, %v", minted.ExpiresAt, err)
	}
}

func TestMint_serverStillAtWork(t *testing.T) {
	b := newBench(t, func(o *gitlab.Options) {
		o.AnswerTimeout = time.Second
		o.Pause = func(time.Duration) time.Duration { return 700 * time.Millisecond }
	})
	b.gitlab.Inject(gitlabtest.Fault{Match: postToken, Pause: 1500 * time.Millisecond})
	minted, err := b.client.MintDeployToken(t.Context(), b.request())
	if err != nil {
		t.Fatal(err)
	}
	if active := b.gitlab.ActiveTokens(b.project); len(active) != 1 || active[0].ID != minted.ID {
		t.Errorf("%d live tokens", len(active))
	}
}

func TestMint_outOfTimeIsUncertain(t *testing.T) {
	b := newBench(t)
	b.gitlab.Inject(gitlabtest.Fault{Match: postToken, Pause: 1500 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := b.client.MintDeployToken(ctx, b.request())
	if e := wantKind(t, err, gitlab.KindUncertain); !strings.Contains(e.Advice, "next plan names it") {
		t.Errorf("advice: %s", e.Advice)
	}
}

func TestMint_knownTokenIsNoOrphan(t *testing.T) {
	b := newBench(t)
	request := b.request()
	request.FreshUsername = false
	current := b.gitlab.CreateDeployToken(b.project, request.Name, request.Username, time.Time{}, "read_registry")
	// The list before the POST misses it, the list after does not.
	b.gitlab.Inject(gitlabtest.Fault{Match: listTokens, Status: 200, Body: "[]"})
	b.gitlab.Inject(gitlabtest.Fault{Match: postToken, Status: 500})
	request.Known = []int64{current.ID}
	minted, err := b.client.MintDeployToken(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if active := b.gitlab.ActiveTokens(b.project); len(active) != 2 || active[0].ID != current.ID || len(minted.Orphans) != 0 {
		t.Errorf("the current token did not survive: %d live, %v are orphans", len(active), minted.Orphans)
	}
}

func TestMint_pausesBetweenTries(t *testing.T) {
	b := newBench(t)
	b.gitlab.Inject(gitlabtest.Fault{Match: postToken, Status: 500, Header: map[string]string{"Retry-After": "20"}})
	if _, err := b.client.MintDeployToken(t.Context(), b.request()); err != nil {
		t.Fatal(err)
	}
	if len(b.pauses) != 1 || b.pauses[0] < 20*time.Second {
		t.Errorf("paused %v, GitLab asked for 20s", b.pauses)
	}
}

func TestRetry_pastHintStillPauses(t *testing.T) {
	b := newBench(t)
	b.gitlab.Inject(gitlabtest.Fault{Match: getProject, Times: 3, Status: 429, Header: map[string]string{"Retry-After": "0"}})
	if _, err := b.client.Project(t.Context(), "acme/shop"); err != nil {
		t.Fatal(err)
	}
	for _, pause := range b.pauses {
		if pause < 250*time.Millisecond {
			t.Errorf("paused %v", b.pauses)
		}
	}
}

func TestRetry_hintsAreBoundedWithoutDeadline(t *testing.T) {
	b := newBench(t)
	b.gitlab.Inject(gitlabtest.EndpointLimited(getProject, 24*time.Hour))
	_, err := b.client.Project(t.Context(), "acme/shop")
	wantKind(t, err, gitlab.KindTooLate)
}

func TestErrors_hideEchoedCredentials(t *testing.T) {
	b := newBench(t, func(o *gitlab.Options) { o.Headers = map[string]string{"X-Gate": "gatekeeper-word"} })
	secret := b.deployToken(time.Time{}).Secret
	basic := base64.StdEncoding.EncodeToString([]byte("user:" + secret))
	b.gitlab.Inject(gitlabtest.Fault{Times: gitlabtest.Always, Status: 403, Body: "debug: " + b.token + " gatekeeper-word " + secret + " " + basic})
	var texts []string
	_, err := b.client.Project(t.Context(), "acme/shop")
	texts = append(texts, err.Error())
	err = b.client.VerifyPull(t.Context(), "acme/shop", "user", access.Secret(secret))
	texts = append(texts, err.Error())
	for _, leak := range []string{b.token, "gatekeeper-word"} {
		if strings.Contains(texts[0]+texts[1], leak) {
			t.Errorf("leaks: %v", texts)
		}
	}
	if strings.Contains(texts[1], secret) || strings.Contains(texts[1], basic) {
		t.Errorf("leaks: %s", texts[1])
	}
	b.gitlab.ClearFaults()
	b.gitlab.Inject(gitlabtest.Fault{Status: 302, Header: map[string]string{"Location": "https://u:hunter2@other.example.com/sign_in;session=abc?token=x"}})
	_, err = b.client.Project(t.Context(), "acme/shop")
	if text := err.Error(); !strings.Contains(text, "https://other.example.com/sign_in") || strings.Contains(text, "hunter2") || strings.Contains(text, "session") {
		t.Errorf("got %s", text)
	}
}

func TestClient_oauthTokensAreBearers(t *testing.T) {
	b := newBench(t)
	b.token = b.gitlab.CreateOAuthToken(b.gitlab.Maintainer(b.project), "api")
	if _, err := b.newClient().DeployTokens(t.Context(), b.project.ID); err != nil {
		t.Error(err)
	}
}

func TestClient_stalledBodyTimesOut(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tries.Add(1) > 1 {
			_, _ = io.WriteString(w, `{"id":1,"path_with_namespace":"a/b"}`)
			return
		}
		_, _ = io.WriteString(w, `{"id":`)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	client, err := gitlab.New(gitlab.Options{
		BaseURL: server.URL, Token: "t", Retries: 1, AnswerTimeout: 500 * time.Millisecond, Pause: func(time.Duration) time.Duration { return 0 },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Project(t.Context(), "1"); err != nil {
		t.Error(err)
	}
}
