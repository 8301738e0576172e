package gitlab_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
)

// answering is a client of a server that always says that.
func answering(t *testing.T, body []byte) *gitlab.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	t.Cleanup(server.Close)
	client, err := gitlab.New(gitlab.Options{BaseURL: server.URL, Token: "t", Pause: func(time.Duration) time.Duration { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// FuzzProject: whatever GitLab answers, a flag that is not there is never "off",
// and nothing that GitLab did not say leads to "not required".
func FuzzProject(f *testing.F) {
	for _, seed := range []string{
		`{"id":7,"path_with_namespace":"a/b","visibility":"private","container_registry_access_level":"enabled","container_registry_image_prefix":"r/a/b","auto_devops_enabled":true}`,
		`{"id":7,"path_with_namespace":"a/b","visibility":"private","container_registry_access_level":"enabled","container_registry_image_prefix":"r/a/b"}`,
		`{"id":7,"path_with_namespace":"a/b","auto_devops_enabled":null}`,
		`{"id":"7"}`, `[]`, `null`, `{"id":7,"path_with_namespace":"a/b","visibility":["public"]}`, "<html>",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		project, err := answering(t, body).Project(t.Context(), "7")
		if err != nil {
			return
		}
		var raw map[string]json.RawMessage
		if json.Unmarshal(body, &raw) != nil {
			t.Fatalf("accepted %q", body)
		}
		requirement, err := access.Require(access.ModeAuto, project.Facts)
		var undecidable *access.UndecidableError
		if err != nil && !errors.As(err, &undecidable) {
			t.Fatal(err)
		}
		// Go matches keys in any case, as GitLab's never differ in it; only exact absence of all is tested.
		if project.Facts.AutoDevOps == nil && err == nil && requirement.Reason == access.ReasonAutoDevOpsDisabled {
			t.Fatalf("a hidden flag was read as off: %s", body)
		}
		if project.ID == 0 || project.Path == "" {
			t.Fatalf("a project without an id or a path: %s", body)
		}
	})
}

func FuzzBaseURL(f *testing.F) {
	for _, seed := range []string{"https://gitlab.example.com/api/v4/", "http://127.0.0.1:80", "https://a/b/api/v4", "x", "https://u:p@h", "https://h?x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		root, err := gitlab.ParseBaseURL(raw)
		if err != nil {
			return
		}
		again, err := gitlab.ParseBaseURL(root.String() + "/api/v4/")
		if err != nil || again.String() != root.String() {
			t.Fatalf("%q: %s with the API's path is %v, %v", raw, root, again, err)
		}
		if root.User != nil || root.RawQuery != "" || root.Hostname() == "" {
			t.Fatalf("%q passed as %s", raw, root)
		}
	})
}

// FuzzRegistryToken: nothing but a readable grant proves a pull.
func FuzzRegistryToken(f *testing.F) {
	f.Add([]byte(payload(`{"access":[{"type":"repository","name":"acme/shop","actions":["pull"]}]}`)))
	f.Add([]byte(payload(`{"access":[]}`)))
	f.Add([]byte(`{"token":"a.b.c"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		err := answering(t, body).VerifyPull(t.Context(), "acme/shop", "user", "secret")
		if err != nil {
			return
		}
		var envelope struct{ Token string }
		if json.Unmarshal(body, &envelope) != nil || envelope.Token == "" {
			t.Fatalf("proven by %q", body)
		}
	})
}
