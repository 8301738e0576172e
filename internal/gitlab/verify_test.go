package gitlab_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

func TestVerify_proves(t *testing.T) {
	b := newBench(t)
	token := b.deployToken(time.Time{})
	if err := b.client.VerifyPull(t.Context(), "acme/shop", token.Username, access.Secret(token.Secret)); err != nil {
		t.Error(err)
	}
	if n := b.gitlab.CountRequests(askRegistry); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// payload is an answer with a registry token of those claims.
func payload(claims string) string {
	return fmt.Sprintf(`{"token":"h.%s.s"}`, base64.RawURLEncoding.EncodeToString([]byte(claims)))
}

func TestVerify_believesNothingLess(t *testing.T) {
	for name, answer := range map[string]string{
		"no grant":           payload(`{"access":[]}`),
		"another repository": payload(`{"access":[{"type":"repository","name":"acme/other","actions":["pull"]}]}`),
		"another action":     payload(`{"access":[{"type":"repository","name":"acme/shop","actions":["push"]}]}`),
		"not a token":        `{"token":"abc"}`,
		"not JSON inside":    payload("x"),
		"not base64":         `{"token":"a.%%.b"}`,
		"no token":           `{}`,
		"a page":             "<html>Sign in</html>",
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.gitlab.Inject(gitlabtest.Fault{Match: askRegistry, Times: gitlabtest.Always, Status: 200, Body: answer})
			token := b.deployToken(time.Time{})
			err := b.client.VerifyPull(t.Context(), "acme/shop", token.Username, access.Secret(token.Secret))
			wantKind(t, err, gitlab.KindNotProven)
			if n := b.gitlab.CountRequests(askRegistry); n != 3 {
				t.Errorf("%d tries, want 3", n)
			}
		})
	}
}

func TestVerify_waitsForAReplicaThatLags(t *testing.T) {
	b := newBench(t)
	b.gitlab.Inject(gitlabtest.Fault{Match: askRegistry, Times: 2, Status: 401, Body: `{"errors":[{"code":"UNAUTHORIZED","message":"HTTP Basic: Access denied."}]}`})
	token := b.deployToken(time.Time{})
	if err := b.client.VerifyPull(t.Context(), "acme/shop", token.Username, access.Secret(token.Secret)); err != nil {
		t.Error(err)
	}
	if len(b.pauses) != 2 || b.pauses[0]+b.pauses[1] != 5*time.Second {
		t.Errorf("paused %v", b.pauses)
	}
}

func TestVerify_repeatsWhatIsNotTheTokensFault(t *testing.T) {
	for _, fault := range []gitlabtest.Fault{{Status: 503}, {}, {When: gitlabtest.During}, gitlabtest.EndpointLimited("", time.Second)} {
		t.Run(fault.String(), func(t *testing.T) {
			b := newBench(t)
			fault.Match = askRegistry
			b.gitlab.Inject(fault)
			token := b.deployToken(time.Time{})
			if err := b.client.VerifyPull(t.Context(), "acme/shop", token.Username, access.Secret(token.Secret)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestVerify_givesUpOnDefiniteAnswers(t *testing.T) {
	b := newBench(t)
	token := b.deployToken(time.Time{})
	b.gitlab.SetRegistryEnabled(false)
	err := b.client.VerifyPull(t.Context(), "acme/shop", token.Username, access.Secret(token.Secret))
	wantKind(t, err, gitlab.KindNoRegistry)

	b.gitlab.Inject(gitlabtest.Fault{Match: askRegistry, Status: http.StatusForbidden, Body: `{"errors":[{"code":"DENIED","message":"access forbidden"}]}`})
	err = b.client.VerifyPull(t.Context(), "acme/shop", token.Username, access.Secret(token.Secret))
	if e := wantKind(t, err, gitlab.KindNotProven); !strings.Contains(e.Error(), "DENIED: access forbidden") {
		t.Errorf("got %v", e)
	}
	if n := b.gitlab.CountRequests(askRegistry); n != 2 {
		t.Errorf("%d requests", n)
	}
}

// TestVerify_neverRisksTheBan: however many resources verify at once, the process
// is refused ten times at most.
func TestVerify_neverRisksTheBan(t *testing.T) {
	b := newBench(t)
	var verifies sync.WaitGroup
	for range 40 {
		verifies.Go(func() {
			if b.client.VerifyPull(t.Context(), "acme/shop", "user", "wrong") == nil {
				t.Error("proven")
			}
		})
	}
	verifies.Wait()
	if n := b.gitlab.FailedLogins(); n != 10 {
		t.Errorf("%d failed logins", n)
	}
	err := b.client.VerifyPull(t.Context(), "acme/shop", "user", "wrong")
	if e := wantKind(t, err, gitlab.KindNotProven); !strings.Contains(e.Advice, "bans") {
		t.Errorf("got %v", e)
	}
}

func TestVerify_ofAnInstanceAtARelativeURL(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t, gitlabtest.WithRelativeURL("/gitlab"))
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	for _, suffix := range []string{"", "/", "/api/v4", "/api/v4/"} {
		client, err := gitlab.New(gitlab.Options{BaseURL: g.URL + suffix, Token: g.CreateAccessToken(g.Maintainer(p), "api")})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Project(t.Context(), "acme/shop"); err != nil {
			t.Errorf("%q: %v", suffix, err)
		}
		token := g.CreateDeployToken(p, "pull", "user", time.Time{}, "read_registry")
		if err := client.VerifyPull(t.Context(), "acme/shop", "user", access.Secret(token.Secret)); err != nil {
			t.Errorf("%q: %v", suffix, err)
		}
	}
}
