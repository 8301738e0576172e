package gitlab_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

func TestParseBaseURL(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://gitlab.example.com":             "https://gitlab.example.com",
		"https://gitlab.example.com/":            "https://gitlab.example.com",
		"https://gitlab.example.com/api/v4":      "https://gitlab.example.com",
		"https://gitlab.example.com/api/v4/\t":   "https://gitlab.example.com",
		"https://example.com:8443/git/api/v4///": "https://example.com:8443/git",
		"http://127.0.0.1:8080/git":              "http://127.0.0.1:8080/git",
	} {
		if got, err := gitlab.ParseBaseURL(raw); err != nil || got.String() != want {
			t.Errorf("%q: got %v, %v", raw, got, err)
		}
	}
	for _, raw := range []string{"", "gitlab.example.com", "ftp://x", "https://", "https://user:pass@x", "https://x?y=z", "https://x/#f", "ht tp://x", "https://:443"} {
		if got, err := gitlab.ParseBaseURL(raw); err == nil {
			t.Errorf("%q passed as %s", raw, got)
		} else if strings.Contains(err.Error(), "pass") && strings.Contains(raw, "pass@") && strings.Contains(err.Error(), "user:pass") {
			t.Errorf("the password is in the error: %v", err)
		}
	}
}

// TestErrors_shapes: every body shape of GitLab's ends in one line.
func TestErrors_shapes(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"message":"403 Forbidden"}`:                                                                                "403 Forbidden",
		`{"message":{"name":["is too long","is odd"],"base":["no"]}}`:                                                "base no; name is too long, is odd",
		`{"message":{"error":"This endpoint has been requested too many times."}}`:                                   "error This endpoint has been requested too many times",
		`{"error":"scopes is missing"}`:                                                                              "scopes is missing",
		`{"error":"insufficient_scope","error_description":"The request requires higher privileges.","scope":"api"}`: "insufficient_scope: The request requires higher privileges",
		"Retry later\n":           "Retry later",
		"<html>nginx</html>":      "an HTML page",
		strings.Repeat("x", 5000): strings.Repeat("x", 300) + "…",
		`[1,2]`:                   "[1,2]",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = fmt.Fprint(w, body)
		}))
		client, err := gitlab.New(gitlab.Options{BaseURL: server.URL, Token: "t"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Project(t.Context(), "1")
		if e, ok := errors.AsType[*gitlab.Error](err); !ok || e.Said != want {
			t.Errorf("%.40s: said %q, want %q", body, e.Said, want)
		}
		server.Close()
	}
}

func TestErrors_adviceNamesWhatIsMissing(t *testing.T) {
	b := newBench(t)
	for name, c := range map[string]struct {
		token  string
		kind   gitlab.Kind
		advice string
	}{
		"scope": {b.gitlab.CreateAccessToken(b.gitlab.Maintainer(b.project), "read_user"), gitlab.KindScope, "api scope"},
		"role":  {b.gitlab.CreateAccessToken(b.gitlab.Member(b.project, gitlabtest.Developer), "api"), gitlab.KindForbidden, "Maintainer role"},
		"token": {"glpat-wrong", gitlab.KindOther, "valid access token"},
	} {
		b.token = c.token
		_, err := b.newClient().DeployTokens(t.Context(), b.project.ID)
		if e := wantKind(t, err, c.kind); !strings.Contains(e.Advice, c.advice) || strings.Contains(e.Error()+e.Advice, c.token) {
			t.Errorf("%s: %v; %s", name, e, e.Advice)
		}
	}
}

func TestClient_sendsItsHeaders(t *testing.T) {
	b := newBench(t, func(o *gitlab.Options) { o.Headers = map[string]string{"X-Gate": "open"} })
	token := b.deployToken(time.Time{})
	if _, err := b.client.Project(t.Context(), "acme/shop"); err != nil {
		t.Fatal(err)
	}
	if err := b.client.VerifyPull(t.Context(), "acme/shop", "user", "x"+"y"); err == nil {
		t.Fatal("proven")
	}
	if err := b.client.RevokeDeployToken(t.Context(), b.project.ID, token.ID); err != nil {
		t.Fatal(err)
	}
	for _, r := range b.gitlab.Requests() {
		if r.Header.Get("X-Gate") != "open" || r.Header.Get("User-Agent") != "terraform-provider-autodevops/test" {
			t.Errorf("%s: %v", r, r.Header)
		}
		if r.Route == "/jwt/auth" && r.Header.Get("Private-Token") != "" {
			t.Error("the provider's own token went to the registry authentication")
		}
		if r.Method == http.MethodDelete && r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("DELETE with content type %q", r.Header.Get("Content-Type"))
		}
	}
}

func TestClient_makesNoRequestByItself(t *testing.T) {
	b := newBench(t)
	if log := b.gitlab.Requests(); len(log) != 0 {
		t.Errorf("got %v", log)
	}
	if err := b.client.CheckToken(t.Context()); err != nil {
		t.Error(err)
	}
	if log := b.gitlab.Requests(); len(log) != 1 || log[0].String() != "GET /user" {
		t.Errorf("got %v", log)
	}
}

func TestClient_answersThatAreNotGitLabs(t *testing.T) {
	for _, body := range []string{"<html>Sign in</html>", `{}`, `[]`, `{"id":0,"path_with_namespace":"a/b"}`, `{"id":7}`, "null", ""} {
		b := newBenchIn(t, "shop")
		b.gitlab.Inject(gitlabtest.Fault{Status: 200, Body: body, Times: gitlabtest.Always})
		if project, err := b.client.Project(b.Context(), "acme/shop"); err == nil {
			t.Errorf("%q passed as %+v", body, project)
		}
		if tokens, err := b.client.DeployTokens(b.Context(), b.project.ID); err == nil && body != "[]" {
			t.Errorf("%q passed as %v", body, tokens)
		}
		if token, err := b.client.DeployToken(b.Context(), b.project.ID, 1); err == nil {
			t.Errorf("%q passed as %+v", body, token)
		}
	}
}

func TestDeployTokens_rowMovesToAnEarlierPage(t *testing.T) {
	b := newBench(t)
	first := b.deployToken(time.Time{})
	for range 120 {
		b.deployToken(time.Time{})
	}
	b.gitlab.OnRequest(func(r gitlabtest.Request) {
		if strings.HasPrefix(r.Query, "page=2&") {
			b.gitlab.DeleteDeployToken(first.ID) // row 101 becomes row 100
		}
	})
	list, err := b.client.DeployTokens(t.Context(), b.project.ID)
	tokens := list.Tokens
	if err != nil {
		t.Fatal(err)
	}
	var want []int64
	for _, token := range b.gitlab.Tokens(b.project) {
		want = append(want, token.ID)
	}
	if got := access.IDs(tokens); !slices.Equal(got, want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
}

func TestTLSConfig(t *testing.T) {
	t.Parallel()
	if config, err := gitlab.TLSConfig(nil, nil, nil, false); config != nil || err != nil {
		t.Errorf("defaults: %v, %v", config, err)
	}
	if _, err := gitlab.TLSConfig([]byte("no PEM"), nil, nil, false); err == nil {
		t.Error("a CA file without a certificate passed")
	}
	if _, err := gitlab.TLSConfig(nil, []byte("x"), []byte("y"), false); err == nil {
		t.Error("a broken client certificate passed")
	}
}
