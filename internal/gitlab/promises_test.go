package gitlab_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// longestLeak is how many characters of a secret in a row a message may show: too few to
// tell it from chance.
const longestLeak = 5

// leaks returns the longest part of a secret that the text shows, if it is too long.
func leaks(text string, secrets ...string) string {
	for _, secret := range secrets {
		for i := range len(secret) - longestLeak {
			if part := secret[i : i+longestLeak+1]; strings.Contains(text, part) {
				return part
			}
		}
	}
	return ""
}

// TestMessages_showNoSecret (S8): whatever an answer quotes of a request or of an earlier
// answer, in whatever form and cut wherever, no error shows a secret or a part of one.
func TestMessages_showNoSecret(t *testing.T) {
	t.Parallel()
	const (
		token    = "glpat-Xk3mW9qLpR7tYb2vNc8z"
		fresh    = "gldt-Qw8nRt5yUi3oPa6sDf1g"
		header   = "0a9b8c7d-gate-keeper-secret/+="
		proxy    = "hunter2-of-the-proxy"
		username = "autodevops-1-abcdefgh"
	)
	proxyPair := base64.StdEncoding.EncodeToString([]byte("gate:" + proxy))
	pair := base64.StdEncoding.EncodeToString([]byte(username + ":" + fresh))
	secrets := []string{token, fresh, header, proxy, proxyPair, pair, strings.TrimPrefix(fresh, "gldt-"), strings.TrimPrefix(token, "glpat-")}
	created := fmt.Sprintf(`{"id":100,"name":"n","username":%q,"expires_at":null,"scopes":["read_registry"],"revoked":false,"token":%q}`, username, fresh)
	request := fmt.Sprintf("GET /api/v4/projects/1 HTTP/1.1\nAuthorization: Bearer %s\nPRIVATE-TOKEN: %s\nX-Gate: %s\nX-Proxy: Basic %s\nAuthorization: Basic %s\n", token, token, header, proxyPair, pair)

	var answer struct {
		status int
		body   string
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/version"):
			http.NotFound(w, r)
		case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/deploy_tokens"):
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte("[]"))
		default:
			w.Header().Set("Location", "https://elsewhere.example.com/"+url.PathEscape(answer.body))
			w.WriteHeader(answer.status)
			_, _ = w.Write([]byte(answer.body))
		}
	}))
	t.Cleanup(server.Close)
	client, err := gitlab.New(gitlab.Options{
		BaseURL: server.URL, Token: token, Headers: map[string]string{"X-Gate": header, "X-Proxy": "Basic " + proxyPair},
		Pause: func(time.Duration) time.Duration { return 0 },
	})
	if err != nil {
		t.Fatal(err)
	}

	rapid.Check(t, func(rt *rapid.T) {
		quoted := rapid.SampledFrom([]string{request, created, request + created, "upstream: " + created}).Draw(rt, "quoted")
		quoted = strings.Repeat("x", rapid.IntRange(0, 320).Draw(rt, "before")) + quoted
		quoted = quoted[:rapid.IntRange(len(quoted)/4, len(quoted)).Draw(rt, "cut")]
		encoded, _ := json.Marshal(quoted)
		answer.body = rapid.SampledFrom([]string{
			quoted, "<html><pre>" + html.EscapeString(quoted) + "</pre></html>", `{"message":` + string(encoded) + `}`, `{"error":` + string(encoded) + `}`,
			`{"message":{"base":[` + string(encoded) + `]}}`, `{"error":"x","error_description":` + string(encoded) + `}`,
			`{"errors":[{"code":"DENIED","message":` + string(encoded) + `}]}`, `{"message":` + string(encoded)[:len(encoded)/2], url.QueryEscape(quoted),
		}).Draw(rt, "form")
		answer.status = rapid.SampledFrom([]int{200, 201, 202, 301, 302, 400, 401, 403, 404, 407, 409, 413, 422, 500, 502, 503}).Draw(rt, "status")

		calls := map[string]func() error{
			"project": func() error { _, err := client.Project(t.Context(), "1"); return err },
			"token":   func() error { _, err := client.DeployToken(t.Context(), 1, 2); return err },
			"user":    func() error { return client.CheckToken(t.Context()) },
			"delete":  func() error { return client.RevokeDeployToken(t.Context(), 1, 2) },
			"mint": func() error {
				_, err := client.MintDeployToken(t.Context(), gitlab.MintRequest{
					ProjectID: 1, Name: "n", Username: username, FreshUsername: true, Scopes: []string{"read_registry"},
					Expiry: func(time.Time) time.Time { return time.Time{} },
				})
				return err
			},
			"verify": func() error { return client.VerifyPull(t.Context(), "acme/shop", username, access.Secret(fresh)) },
		}
		name := rapid.SampledFrom([]string{"project", "token", "user", "delete", "mint", "verify"}).Draw(rt, "call")
		err := calls[name]()
		if err == nil {
			return
		}
		text := err.Error() + adviceOf(err)
		if part := leaks(text, secrets...); part != "" {
			rt.Fatalf("%s shows %q of a secret: %s", name, part, text)
		}
	})
}

// TestMessages_hideBeforeTheyCut (S8): a message is cut after its secrets are hidden, so
// that not even the beginning of one is shown where the cut falls into it.
func TestMessages_hideBeforeTheyCut(t *testing.T) {
	t.Parallel()
	const secret = "zq0a9b8c7d-gate-keeper"
	b := newBenchIn(t, "shop")
	client := b.newClient(func(o *gitlab.Options) { o.Headers = map[string]string{"X-Gate": secret} })
	for before := 280; before <= 300; before++ {
		b.gitlab.Inject(gitlabtest.Fault{Match: "GET /user", Status: 400, Body: `{"message":"` + strings.Repeat("x", before) + secret + `"}`})
		if err := client.CheckToken(t.Context()); err == nil || strings.Contains(err.Error(), "xz") {
			t.Errorf("after %d characters: %v", before, err)
		}
	}
}

func adviceOf(err error) string {
	if e, ok := err.(*gitlab.Error); ok { //nolint:errorlint // its own advice
		return e.Advice
	}
	return ""
}

// TestMint_onlyGitLabsOwnRefusalIsFinal (S4): anything on the way can refuse a request that
// GitLab has carried out.
func TestMint_onlyGitLabsOwnRefusalIsFinal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault gitlabtest.Fault
		final bool
	}{
		"400 with an error":     {gitlabtest.Fault{Status: 400, Body: `{"error":"scopes does not have a valid value"}`}, true},
		"400 with a message":    {gitlabtest.Fault{Status: 400, Body: `{"message":"Scopes can't be blank"}`}, true},
		"403":                   {gitlabtest.Fault{Status: 403, Body: `{"message":"403 Forbidden"}`}, true},
		"404":                   {gitlabtest.Fault{Status: 404, Body: `{"message":"404 Project Not Found"}`}, true},
		"405":                   {gitlabtest.Fault{Status: 405, Body: `{"message":"Non GET methods are not allowed for moved projects"}`}, true},
		"422":                   {gitlabtest.Fault{Status: 422, Body: `{"message":{"base":["no"]}}`}, true},
		"403 in HTML":           {gitlabtest.Fault{Status: 403, Body: "<html>Blocked</html>"}, false},
		"403 in plain text":     {gitlabtest.Fault{Status: 403, Body: "Blocked"}, false},
		"403 in other JSON":     {gitlabtest.Fault{Status: 403, Body: `{"code":"WAF-17"}`}, false},
		"302":                   {gitlabtest.Fault{Status: 302, Header: map[string]string{"Location": "/login"}}, false},
		"407":                   {gitlabtest.Fault{Status: 407}, false},
		"408":                   {gitlabtest.Fault{Status: 408, Body: `{"message":"timeout"}`}, false},
		"413":                   {gitlabtest.Fault{Status: 413, Body: "<html>413</html>"}, false},
		"429 in HTML":           {gitlabtest.Fault{Status: 429, Body: "<html>slow</html>", Header: map[string]string{"Retry-After": "1"}}, false},
		"200":                   {gitlabtest.Fault{Status: 200, Body: `{}`}, false},
		"502 in the own shape":  {gitlabtest.Fault{Status: 502, Body: `{"message":"502"}`}, false},
		"201 about another one": {gitlabtest.Fault{Status: 201, Body: `{"id":999,"name":"x","username":"y","scopes":[],"revoked":false,"token":"gldt-0"}`}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBenchIn(t, "shop")
			c.fault.Match, c.fault.When, c.fault.Times = postToken, gitlabtest.After, gitlabtest.Always
			b.gitlab.Inject(c.fault)
			_, err := b.client.MintDeployToken(t.Context(), b.request())
			if err == nil {
				t.Fatal("minted")
			}
			// What GitLab has made is left only if the refusal is believed.
			if left := len(b.gitlab.ActiveTokens(b.project)); c.final != (left == 1) {
				t.Errorf("%d tokens are left: %v", left, err)
			}
		})
	}
}

// TestMint_answerAboutAnotherToken (S6): a success is believed only if it is about the
// token that was asked for, by name and by username.
func TestMint_answerAboutAnotherToken(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(r *gitlab.MintRequest){
		"another name":     func(r *gitlab.MintRequest) { r.Name = "another" },
		"another username": func(r *gitlab.MintRequest) { r.Username = "another" },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBenchIn(t, "shop")
			before := b.deployToken(time.Time{})
			request := b.request()
			told := request
			change(&told)
			b.gitlab.Inject(gitlabtest.Fault{
				Match: postToken, When: gitlabtest.After, Times: gitlabtest.Always, Status: http.StatusCreated,
				Body: fmt.Sprintf(`{"id":%d,"name":%q,"username":%q,"expires_at":null,"scopes":["read_registry"],"revoked":false,"token":"gldt-0"}`,
					before.ID+1, told.Name, told.Username),
			})
			if minted, err := b.client.MintDeployToken(t.Context(), request); err == nil {
				t.Fatalf("minted token %d", minted.ID)
			}
			if live := b.gitlab.ActiveTokens(b.project); len(live) != 1 || live[0].ID != before.ID {
				t.Errorf("%d tokens live", len(live))
			}
		})
	}
}

// TestMint_answerAboutAnOlderToken (S4, S6): an answer that is incomplete, and about a
// token that was there before, does not end that one.
func TestMint_answerAboutAnOlderToken(t *testing.T) {
	t.Parallel()
	b := newBenchIn(t, "shop")
	before := b.deployToken(time.Time{})
	request := b.request()
	request.Username, request.FreshUsername = before.Username, false
	b.gitlab.Inject(gitlabtest.Fault{
		Match: postToken, Times: gitlabtest.Always, Status: http.StatusCreated,
		Body: fmt.Sprintf(`{"id":%d,"name":%q,"username":%q}`, before.ID, before.Name, before.Username),
	})
	if minted, err := b.client.MintDeployToken(t.Context(), request); err == nil {
		t.Errorf("minted token %d", minted.ID)
	}
	if !b.gitlab.CanPull(b.project, before.Username, before.Secret) || b.gitlab.CountRequests(deleteToken) != 0 {
		t.Error("the older token was revoked")
	}
}

// TestClock (S5): only a fresh answer of GitLab's API tells the time.
func TestClock(t *testing.T) {
	t.Parallel()
	later := func(b *bench) string {
		return b.gitlab.Clock.Now().Add(3 * time.Hour).UTC().Format(http.TimeFormat)
	}
	for name, c := range map[string]struct {
		header map[string]string
		status int
		body   string
		heard  bool
	}{
		"an answer":                       {nil, 200, `{"id":1}`, true},
		"an error in GitLab's shape":      {nil, 403, `{"message":"403 Forbidden"}`, true},
		"a cache":                         {map[string]string{"Age": "7200"}, 200, `{"id":1}`, false},
		"a proxy's error":                 {map[string]string{"Content-Type": "text/html"}, 400, "<html>400</html>", false},
		"an error in another JSON":        {nil, 403, `{"code":"WAF-17"}`, false},
		"HTML with the right type":        {map[string]string{"Content-Type": "application/json"}, 200, "<html>Sign in</html>", false},
		"a date that cannot be read":      {map[string]string{"Date": "yesterday"}, 200, `{"id":1}`, false},
		"an answer without a date at all": {map[string]string{"Date": " "}, 200, `{"id":1}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBenchIn(t, "shop")
			header := map[string]string{"Content-Type": "application/json", "Date": later(b)}
			maps.Copy(header, c.header)
			before := b.client.Now()
			b.gitlab.Inject(gitlabtest.Fault{Match: "GET /user", Status: c.status, Body: c.body, Header: header})
			_ = b.client.CheckToken(t.Context())
			want := before
			if c.heard {
				want = before.Add(3 * time.Hour)
			}
			if got := b.client.Now(); !got.Equal(want) {
				t.Errorf("it is %s, want %s", got, want)
			}
			if b.client.HasTime() != c.heard {
				t.Errorf("has time: %v", b.client.HasTime())
			}
		})
	}
}

// TestAnswers_aboutSomethingElse (S6): a cache or proxy mixes answers up.
func TestAnswers_aboutSomethingElse(t *testing.T) {
	b := newBench(t)
	other := `{"id":8,"path_with_namespace":"acme/other","visibility":"private"}`
	row := `{"id":8,"name":"n","username":"u","scopes":[],"revoked":false}`
	for name, c := range map[string]struct {
		fault gitlabtest.Fault
		call  func() error
	}{
		"project by id":   {gitlabtest.Fault{Match: getProject, Body: other}, func() error { _, err := b.client.Project(t.Context(), "7"); return err }},
		"project by path": {gitlabtest.Fault{Match: getProject, Body: other}, func() error { _, err := b.client.Project(t.Context(), "acme/shop"); return err }},
		"owner of a path": {gitlabtest.Fault{Match: getProject, Body: other}, func() error { _, err := b.client.OwnerOfPath(t.Context(), "acme/shop"); return err }},
		"token": {gitlabtest.Fault{Match: "GET /projects/:id/deploy_tokens/:token_id", Body: row}, func() error {
			_, err := b.client.DeployToken(t.Context(), b.project.ID, 7)
			return err
		}},
		"page of a list": {gitlabtest.Fault{Match: listTokens, Body: "[" + row + "]", Header: map[string]string{"X-Page": "2"}}, func() error {
			_, err := b.client.DeployTokens(t.Context(), b.project.ID)
			return err
		}},
	} {
		c.fault.Status = http.StatusOK
		b.gitlab.Inject(c.fault)
		if err := c.call(); err == nil || !strings.Contains(err.Error(), "the answer is about") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAdvice_fitsWhatAnswered: what does not come from GitLab's API is not explained with
// roles and scopes.
func TestAdvice_fitsWhatAnswered(t *testing.T) {
	b := newBench(t)
	granular := `{"error":"insufficient_granular_scope","error_description":"Access denied"}`
	for name, c := range map[string]struct {
		status    int
		body      string
		want, not string
	}{
		"403 of a firewall":     {403, "<html>Checking your browser</html>", "does not come from the GitLab API", "Maintainer"},
		"403 of the role":       {403, `{"message":"403 Forbidden"}`, "Maintainer role", "does not come from"},
		"403 of the scope":      {403, `{"error":"insufficient_scope"}`, "api scope", "Maintainer"},
		"403 of fine grain":     {403, granular, "fine-grained", "Maintainer"},
		"404 of a proxy":        {404, "<html>404</html>", "numeric id", "not a member"},
		"404 of fine grain":     {404, `{"message":"404 Not Found"}`, "fine-grained", "not a member"},
		"404 of the project":    {404, `{"message":"404 Project Not Found"}`, "not a member", "numeric id"},
		"404 of an old GitLab":  {404, `{"error":"404 Not Found"}`, "older than " + gitlab.MinVersion, "not a member"},
		"401 of a proxy":        {401, "<html>401</html>", "token_header", "api scope"},
		"401 of GitLab":         {401, `{"message":"401 Unauthorized"}`, "valid access token", "token_header"},
		"418 of something else": {418, "short and stout", "does not come from the GitLab API", "role"},
	} {
		b.gitlab.Inject(gitlabtest.Fault{Match: getProject, Status: c.status, Body: c.body})
		_, err := b.client.Project(t.Context(), "acme/shop")
		if advice := adviceOf(err); !strings.Contains(advice, c.want) || strings.Contains(advice, c.not) {
			t.Errorf("%s: %s", name, advice)
		}
	}
}

// TestClient_tokenHeader: a proxy that takes the Authorization header leaves PRIVATE-TOKEN.
func TestClient_tokenHeader(t *testing.T) {
	b := newBench(t, func(o *gitlab.Options) {
		o.TokenHeader = gitlab.HeaderPrivateToken
		o.Headers = map[string]string{"Authorization": "Basic dXNlcjpwYXNz"}
	})
	b.gitlab.OnRequest(func(r gitlabtest.Request) {
		if r.Header.Get("Private-Token") == "" || r.Header.Get("Authorization") == "" {
			t.Errorf("%s: headers %v", r, r.Header)
		}
	})
	if _, err := b.client.Project(t.Context(), "acme/shop"); err != nil {
		t.Error(err)
	}
}

// TestDeployTokens_patience: others who keep changing a long list do not fail a reader.
func TestDeployTokens_patience(t *testing.T) {
	b := newBench(t)
	for range 140 {
		b.deployToken(time.Time{})
	}
	disturbances := 6
	b.gitlab.OnRequest(func(r gitlabtest.Request) {
		if strings.HasPrefix(r.Query, "page=2&") && disturbances > 0 {
			disturbances--
			b.gitlab.CreateDeployToken(b.project, "x", "x", time.Time{}, "read_registry")
		}
	})
	list, err := b.client.DeployTokens(t.Context(), b.project.ID)
	if err != nil || len(list.Tokens) != 146 {
		t.Errorf("%d tokens, %v", len(list.Tokens), err)
	}
}

// TestMint_oldTokensAreNotTheRequests (S2, S4): what was there before the POST did not come
// from it, whatever an answer says and whoever's username it has.
func TestMint_oldTokensAreNotTheRequests(t *testing.T) {
	t.Run("a stale answer names the published token", func(t *testing.T) {
		b := newBench(t)
		request := b.request()
		request.FreshUsername = false
		published := b.gitlab.CreateDeployToken(b.project, request.Name, request.Username, time.Time{}, "read_registry")
		body := fmt.Sprintf(`{"id":%d,"name":%q,"username":%q,"revoked":false}`, published.ID, request.Name, request.Username)
		b.gitlab.Inject(gitlabtest.Fault{Match: postToken, Status: http.StatusCreated, Body: body, Times: gitlabtest.Always})
		_, _ = b.client.MintDeployToken(t.Context(), request)
		if !b.gitlab.CanPull(b.project, published.Username, published.Secret) {
			t.Error("the published token was revoked")
		}
	})
	t.Run("a chosen username that somebody uses already", func(t *testing.T) {
		b := newBench(t)
		request := b.request()
		request.Username = "puller"
		b.gitlab.CreateDeployToken(b.project, request.Name, request.Username, time.Time{}, "read_registry")
		b.gitlab.Inject(gitlabtest.Fault{Match: postToken, Status: http.StatusInternalServerError})
		if _, err := b.client.MintDeployToken(t.Context(), request); err != nil {
			t.Errorf("an older token casts doubt on a POST that made none: %v", err)
		}
	})
}

// TestMint_quotesNoForeignAnswer (S8): what answers the POST in GitLab's place may quote the
// answer that did not arrive, whose secret nobody here knows.
func TestMint_quotesNoForeignAnswer(t *testing.T) {
	b := newBench(t)
	b.gitlab.Inject(gitlabtest.Fault{Match: postToken, Status: http.StatusBadGateway, Body: "upstream said Qw8nRt5yUi3oPa6s", Times: gitlabtest.Always})
	_, err := b.client.MintDeployToken(t.Context(), b.request())
	if err == nil || strings.Contains(err.Error()+adviceOf(err), "Qw8nRt") {
		t.Errorf("says %v", err)
	}
}
