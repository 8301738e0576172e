package gitlabtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// behaviour is a row of testdata/deploy-token-behaviours.json: what GitLab's own
// request spec, or its source, says about one request.
type behaviour struct {
	Request  string            `json:"request"`
	Caller   string            `json:"caller"`
	Status   int               `json:"status"`
	Body     map[string]any    `json:"request_body"`
	Response map[string]string `json:"response"`
	Note     string            `json:"note"`
}

const rows = 71

func readBehaviours(t *testing.T) (cases []behaviour, paginationHeaders []string) {
	t.Helper()
	raw, err := os.ReadFile("testdata/deploy-token-behaviours.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Headers []string    `json:"pagination_headers"`
		Cases   []behaviour `json:"cases"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	return file.Cases, file.Headers
}

// TestBehaviours checks the stand-in against every row.
func TestBehaviours(t *testing.T) {
	t.Parallel()
	cases, headers := readBehaviours(t)
	if len(cases) != rows {
		t.Fatalf("the table has %d rows, want %d", len(cases), rows)
	}
	for i, c := range cases {
		t.Run(fmt.Sprintf("%02d %s by %s", i, c.Request, c.Caller), func(t *testing.T) {
			t.Parallel()
			newStage(t, c).play(headers)
		})
	}
}

// stage is the world of GitLab's spec: a private project, a public group, each
// with a live, a revoked and an expired token.
type stage struct {
	*testing.T

	behaviour behaviour
	gitlab    *gitlabtest.Server
	project   *gitlabtest.Project
	group     *gitlabtest.Group
	tokens    []gitlabtest.Token
	secret    string
}

func newStage(t *testing.T, c behaviour) *stage {
	t.Helper()
	s := &stage{T: t, behaviour: c, gitlab: gitlabtest.New(t)}
	s.group = s.gitlab.CreateGroup("spec", gitlabtest.GroupOptions{Visibility: "public"})
	visibility := "private"
	if strings.Contains(c.Caller, "public project") {
		visibility = "public"
	}
	s.project = s.gitlab.CreateProject("spec/project", gitlabtest.ProjectOptions{Visibility: visibility})
	other := s.gitlab.CreateProject("spec/other", gitlabtest.ProjectOptions{})
	s.gitlab.CreateDeployToken(other, "other", "", time.Time{}, "read_registry")
	s.secret = s.callerToken()

	past := s.gitlab.Clock.Now().Add(-48 * time.Hour)
	s.tokens = append(s.tokens,
		s.createToken("live", time.Time{}), s.createToken("revoked", time.Time{}), s.createToken("expired", past))
	s.gitlab.RevokeInSettings(s.tokens[1].ID)
	if strings.Contains(c.Note, "second token") {
		s.gitlab.CreateDeployToken(s.project, "Foo", "Bar", time.Time{}, "read_repository")
	}
	return s
}

func (s *stage) aboutGroup() bool { return strings.Contains(s.behaviour.Request, "/groups/") }

func (s *stage) createToken(name string, expiresAt time.Time) gitlabtest.Token {
	if s.aboutGroup() {
		return s.gitlab.CreateGroupDeployToken(s.group, name, "", expiresAt, "read_registry")
	}
	return s.gitlab.CreateDeployToken(s.project, name, "", expiresAt, "read_registry")
}

// callerToken makes the caller and returns its access token.
func (s *stage) callerToken() string {
	roles := map[string]gitlabtest.Role{
		"developer": gitlabtest.Developer, "maintainer": gitlabtest.Maintainer, "owner": gitlabtest.Owner,
	}
	caller, scope := s.behaviour.Caller, "api"
	switch {
	case strings.HasPrefix(caller, "none"):
		return ""
	case caller == "invalid token":
		return "glpat-invalid"
	case caller == "administrator":
		return s.gitlab.CreateAccessToken(s.gitlab.CreateAdmin("root"), scope)
	case caller == "non-admin user", strings.Contains(caller, "cannot see"):
		return s.gitlab.CreateAccessToken(s.gitlab.CreateUser("stranger"), scope)
	case strings.Contains(caller, "read_api"):
		caller, scope = "maintainer", "read_api"
	}
	role, known := roles[caller]
	if !known {
		s.Fatalf("no such caller: %q", caller)
	}
	if s.aboutGroup() {
		return s.gitlab.CreateAccessToken(s.gitlab.GroupMember(s.group, role), scope)
	}
	return s.gitlab.CreateAccessToken(s.gitlab.Member(s.project, role), scope)
}

// path fills the row's placeholders.
func (s *stage) path() string {
	_, path, _ := strings.Cut(s.behaviour.Request, " ")
	switch {
	case strings.Contains(path, "<old path"):
		s.gitlab.RenameProject(s.project, "spec/renamed")
		path = strings.Replace(path, "<old path of a renamed project>", "/projects/spec%2Fproject", 1)
	case strings.Contains(path, "<id already deleted>"):
		s.gitlab.DeleteDeployToken(s.tokens[0].ID)
	}
	owner := s.project.ID
	if s.aboutGroup() {
		owner = s.group.ID
	}
	return strings.NewReplacer(
		":id", fmt.Sprint(owner), ":token_id", fmt.Sprint(s.tokens[0].ID),
		"<unknown id>", "999999", "<id already deleted>", fmt.Sprint(s.tokens[0].ID),
	).Replace(strings.Replace(path, ":token_id", fmt.Sprint(s.tokens[0].ID), 1))
}

func (s *stage) body() io.Reader {
	if s.behaviour.Body == nil {
		return http.NoBody
	}
	body := map[string]any{}
	for name, value := range s.behaviour.Body {
		switch value {
		case "<one year from now>":
			value = s.nextYear().Format(time.RFC3339)
		case "<all>":
			value = allScopes
		case "<256 characters>":
			value = strings.Repeat("n", 256)
		}
		body[name] = value
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		s.Fatal(err)
	}
	return bytes.NewReader(encoded)
}

var allScopes = []string{
	"read_repository", "read_registry", "write_registry", "read_package_registry",
	"write_package_registry", "read_virtual_registry", "write_virtual_registry",
}

func (s *stage) nextYear() time.Time { return s.gitlab.Clock.Now().AddDate(1, 0, 0) }

// play makes the request and compares.
func (s *stage) play(paginationHeaders []string) {
	method, _, _ := strings.Cut(s.behaviour.Request, " ")
	req, err := http.NewRequestWithContext(context.Background(), method, s.gitlab.URL+"/api/v4"+s.path(), s.body())
	if err != nil {
		s.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if s.secret != "" {
		req.Header.Set("Private-Token", s.secret)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	if resp.StatusCode != s.behaviour.Status {
		s.Fatalf("status %d, want %d: %s", resp.StatusCode, s.behaviour.Status, raw)
	}
	s.compareMessage(raw)
	s.compareNote(resp, raw, paginationHeaders)
	if resp.StatusCode == http.StatusCreated {
		s.compareCreated(raw)
	}
}

func (s *stage) compareMessage(raw []byte) {
	var got map[string]any
	if len(s.behaviour.Response) > 0 {
		if err := json.Unmarshal(raw, &got); err != nil {
			s.Fatal(err)
		}
	}
	for key, want := range s.behaviour.Response {
		text := fmt.Sprint(got[key])
		if prefix, open := strings.CutSuffix(want, "*"); open && strings.HasPrefix(text, prefix) {
			continue
		}
		if text != want {
			s.Errorf("%s is %q, want %q", key, text, want)
		}
	}
}

// compareNote checks what the row's note says about the answer.
func (s *stage) compareNote(resp *http.Response, raw []byte, paginationHeaders []string) {
	note := s.behaviour.Note
	if strings.Contains(note, "insufficient_scope") && !strings.Contains(string(raw), `"error":"insufficient_scope"`) {
		s.Errorf("got %s", raw)
	}
	if strings.Contains(note, "Location uses the numeric id") {
		if location := resp.Header.Get("Location"); !strings.HasSuffix(location, fmt.Sprintf("/projects/%d/deploy_tokens", s.project.ID)) {
			s.Errorf("Location: %s", location)
		}
	}
	if strings.Contains(note, "pagination headers present") {
		for _, name := range paginationHeaders {
			if _, present := resp.Header[name]; !present {
				s.Errorf("no header %s", name)
			}
		}
	}
	var names []string
	switch {
	case strings.Contains(note, "also revoked and expired"):
		names = []string{"live", "revoked", "expired"}
	case strings.Contains(note, "only active"), strings.Contains(note, "neither revoked nor expired"):
		names = []string{"live"}
	default:
		return
	}
	var list []struct{ Name string }
	if err := json.Unmarshal(raw, &list); err != nil {
		s.Fatal(err)
	}
	var got []string
	for _, token := range list {
		if token.Name != "other" { // the administrator sees all projects
			got = append(got, token.Name)
		}
	}
	if !slices.Equal(got, names) {
		s.Errorf("lists %v, want %v", got, names)
	}
}

var issuedSecret = regexp.MustCompile(`\Agldt-[A-Za-z0-9_-]{20}\z`)

func (s *stage) compareCreated(raw []byte) {
	var got struct {
		ID        int64
		Name      string
		Username  string
		Scopes    []string
		ExpiresAt *time.Time `json:"expires_at"`
		Token     string
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		s.Fatal(err)
	}
	if got.Name != s.behaviour.Body["name"] || !issuedSecret.MatchString(got.Token) {
		s.Errorf("created %q with a secret of %d characters", got.Name, len(got.Token))
	}
	wantScopes := allScopes
	if list, isList := s.behaviour.Body["scopes"].([]any); isList {
		wantScopes = nil
		for _, scope := range list {
			wantScopes = append(wantScopes, fmt.Sprint(scope))
		}
	}
	if !slices.Equal(got.Scopes, wantScopes) {
		s.Errorf("scopes %v, want %v", got.Scopes, wantScopes)
	}
	if username, given := s.behaviour.Body["username"]; given && got.Username != username {
		s.Errorf("username %q, want %q", got.Username, username)
	} else if !given && got.Username != fmt.Sprintf("gitlab+deploy-token-%d", got.ID) {
		s.Errorf("default username %q", got.Username)
	}
	switch s.behaviour.Body["expires_at"] {
	case nil:
		if got.ExpiresAt != nil {
			s.Errorf("expires at %s", got.ExpiresAt)
		}
	case "<one year from now>":
		if got.ExpiresAt == nil || !got.ExpiresAt.Equal(s.nextYear()) {
			s.Errorf("expires at %v, want %s", got.ExpiresAt, s.nextYear())
		}
	}
	if strings.Contains(s.behaviour.Note, "dead at once") && slices.ContainsFunc(s.gitlab.ActiveTokens(s.project),
		func(t gitlabtest.Token) bool { return t.ID == got.ID }) {
		s.Error("a token with a past expiry works")
	}
}
