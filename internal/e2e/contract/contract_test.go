// Package contract checks the GitLab stand-in's answers against GitLab's own
// published API document.
package contract_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// document is an extract of GitLab's OpenAPI document.
const document = "../../gitlabtest/testdata/openapi-19.5-extract.yaml"

func load(t *testing.T) (*openapi3.T, routers.Router) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(document)
	if err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return doc, router
}

// TestAnswers makes every documented request in several forms and validates what comes back.
func TestAnswers(t *testing.T) {
	t.Parallel()
	doc, router := load(t)
	g := gitlabtest.New(t)
	group := g.CreateGroup("acme", gitlabtest.GroupOptions{})
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	token := g.CreateAccessToken(g.CreateAdmin("root"), "api")
	inProject := g.CreateDeployToken(p, "live", "", time.Time{}, "read_registry")
	g.CreateDeployToken(p, "dead", "", g.Clock.Now().AddDate(0, -1, 0), "read_registry")
	g.RevokeInSettings(g.CreateDeployToken(p, "revoked", "", time.Time{}, "read_registry").ID)
	inGroup := g.CreateGroupDeployToken(group, "live", "", g.Clock.Now().AddDate(1, 0, 0), "read_registry", "write_registry")
	const create = `{"name":"n","scopes":["read_registry"],"expires_at":"2027-01-01T00:00:00Z"}`

	covered := map[string]bool{}
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/deploy_tokens", "", 200},
		{"GET", "/deploy_tokens?active=true&per_page=1", "", 200},
		{"GET", fmt.Sprintf("/projects/%d/deploy_tokens", p.ID), "", 200},
		{"GET", "/projects/acme%2Fshop/deploy_tokens?page=1&per_page=100", "", 200},
		{"POST", fmt.Sprintf("/projects/%d/deploy_tokens", p.ID), create, 201},
		{"GET", fmt.Sprintf("/projects/%d/deploy_tokens/%d", p.ID, inProject.ID), "", 200},
		{"DELETE", fmt.Sprintf("/projects/%d/deploy_tokens/%d", p.ID, inProject.ID), "", 204},
		{"GET", fmt.Sprintf("/projects/%d/deploy_tokens/%d", p.ID, inProject.ID), "", 404},
		{"GET", fmt.Sprintf("/groups/%d/deploy_tokens", group.ID), "", 200},
		{"POST", fmt.Sprintf("/groups/%d/deploy_tokens", group.ID), create, 201},
		{"GET", fmt.Sprintf("/groups/%d/deploy_tokens/%d", group.ID, inGroup.ID), "", 200},
		{"DELETE", fmt.Sprintf("/groups/%d/deploy_tokens/%d", group.ID, inGroup.ID), "", 204},
	} {
		operation := validate(t, router, g, token, c.method, c.path, c.body, c.status)
		covered[operation] = true
	}
	for _, item := range doc.Paths.Map() {
		for _, operation := range item.Operations() {
			if !covered[operation.OperationID] {
				t.Errorf("operation %s was not tried", operation.OperationID)
			}
		}
	}
}

// validate makes one request, and returns the operation that it belongs to.
func validate(t *testing.T, router routers.Router, g *gitlabtest.Server, token, method, path, body string, status int) string {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, g.URL+"/api/v4"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Private-Token", token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	route, params, err := router.FindRoute(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		t.Fatalf("%s %s: %d, want %d: %s", method, path, resp.StatusCode, status, raw)
	}
	// GitLab's document does not say that expires_at can be null; its tokens without an expiry say so.
	raw = bytes.ReplaceAll(raw, []byte(`"expires_at":null`), []byte(`"expires_at":"2020-02-14T00:00:00.000Z"`))
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 resp.StatusCode, Header: resp.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	input.SetBodyBytes(raw)
	if err := openapi3filter.ValidateResponse(context.Background(), input); err != nil {
		t.Errorf("%s %s: %v", method, path, err)
	}
	return route.Operation.OperationID
}

// TestProjectEntity holds the project that the stand-in shows against the
// document's entity, key by key.
func TestProjectEntity(t *testing.T) {
	t.Parallel()
	doc, _ := load(t)
	g := gitlabtest.New(t)
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{AutoDevOps: gitlabtest.True})
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, fmt.Sprintf("%s/api/v4/projects/%d", g.URL, p.ID), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Private-Token", g.CreateAccessToken(g.Maintainer(p), "api"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var got map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	schema := doc.Components.Schemas["APIEntitiesProject"].Value
	if err := schema.VisitJSON(got); err != nil {
		t.Error(err)
	}
	for name := range schema.Properties {
		if _, present := got[name]; !present && name != "ci_config_path" {
			t.Errorf("the stand-in's project has no %s", name)
		}
	}
}
