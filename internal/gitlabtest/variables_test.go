package gitlabtest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	gogitlab "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// ciStage is a private project with a Maintainer.
type ciStage struct {
	*testing.T

	g     *gitlabtest.Server
	p     *gitlabtest.Project
	token string
}

func newCIStage(t *testing.T) *ciStage {
	t.Helper()
	g := gitlabtest.New(t)
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	return &ciStage{T: t, g: g, p: p, token: g.CreateAccessToken(g.Maintainer(p), "api")}
}

func (s *ciStage) as(u *gitlabtest.User) *ciStage {
	other := *s
	other.token = s.g.CreateAccessToken(u, "api")
	return &other
}

// ask makes a request below the project, with a JSON body if there is one.
func (s *ciStage) ask(method, path, body string, edit ...func(*http.Request)) answer {
	s.Helper()
	return s.askAPI(method, fmt.Sprintf("/projects/%d%s", s.p.ID, path), body, edit...)
}

func (s *ciStage) askAPI(method, path, body string, edit ...func(*http.Request)) answer {
	s.Helper()
	edit = append([]func(*http.Request){func(r *http.Request) {
		if body != "" {
			r.Body = io.NopCloser(strings.NewReader(body))
			r.ContentLength = int64(len(body))
			r.Header.Set("Content-Type", "application/json")
		}
	}}, edit...)
	got, err := send(s.T, method, s.g.URL+"/api/v4"+path, s.token, edit...)
	if err != nil {
		s.Fatal(err)
	}
	return got
}

// want checks status and a part of the body.
func (s *ciStage) want(what string, got answer, status int, part string) {
	s.Helper()
	if got.status != status || !strings.Contains(got.body, part) {
		s.Errorf("%s: got %d %s, want %d with %s", what, got.status, got.body, status, part)
	}
}

func fieldsOf(t *testing.T, got answer) map[string]any {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal([]byte(got.body), &fields); err != nil {
		t.Fatalf("%v in %s", err, got.body)
	}
	return fields
}

func rowsOf(t *testing.T, got answer) []map[string]any {
	t.Helper()
	var list []map[string]any
	if err := json.Unmarshal([]byte(got.body), &list); err != nil {
		t.Fatalf("%v in %s", err, got.body)
	}
	return list
}

func jobToken(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Job-Token", token) }
}

const filter = "?filter[environment_scope]="

func TestVariables_officialClient(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	client, err := gogitlab.NewClient(s.token, gogitlab.WithBaseURL(s.g.URL), gogitlab.WithCustomRetryMax(0))
	if err != nil {
		t.Fatal(err)
	}
	for _, scope := range []string{"*", "production"} {
		v, _, failed := client.ProjectVariables.CreateVariable(s.p.ID, &gogitlab.CreateProjectVariableOptions{
			Key: new("CI_DEPLOY_PASSWORD"), Value: new("of " + scope), EnvironmentScope: &scope, Raw: new(true), Description: new("ours"),
		})
		if failed != nil || v.EnvironmentScope != scope || !v.Raw || v.Description != "ours" || v.VariableType != gogitlab.EnvVariableType {
			t.Fatalf("created %+v, %v", v, failed)
		}
	}
	star := &gogitlab.VariableFilter{EnvironmentScope: "*"}
	v, _, err := client.ProjectVariables.UpdateVariable(s.p.ID, "CI_DEPLOY_PASSWORD", &gogitlab.UpdateProjectVariableOptions{Value: new("next"), Filter: star})
	if err != nil || v.Value != "next" || v.EnvironmentScope != "*" {
		t.Fatalf("updated %+v, %v", v, err)
	}
	v, _, err = client.ProjectVariables.GetVariable(s.p.ID, "CI_DEPLOY_PASSWORD", &gogitlab.GetProjectVariableOptions{Filter: star})
	if err != nil || v.Value != "next" {
		t.Fatalf("got %+v, %v", v, err)
	}
	if _, err = client.ProjectVariables.RemoveVariable(s.p.ID, "CI_DEPLOY_PASSWORD", &gogitlab.RemoveProjectVariableOptions{Filter: star}); err != nil {
		t.Fatal(err)
	}
	list, _, err := client.ProjectVariables.ListVariables(s.p.ID, nil)
	if err != nil || len(list) != 1 || list[0].Value != "of production" {
		t.Fatalf("left %+v, %v", list, err)
	}
}

func TestVariables_filterComparesText(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	s.g.SetVariable(s.p, gitlabtest.Variable{Key: "K", Value: "any"})
	s.want("a scope that the row would match", s.ask("GET", "/variables/K"+filter+"production", ""), 404, `"404 Variable Not Found"`)
	s.want("its own scope", s.ask("GET", "/variables/K"+filter+url.QueryEscape("*"), ""), 200, `"value":"any"`)
	s.g.SetVariable(s.p, gitlabtest.Variable{Key: "K", Value: "narrow", Scope: "production"})
	const several = `{"message":"There are multiple variables with provided parameters. Please use 'filter[environment_scope]'"}`
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		s.want(method+" without filter", s.ask(method, "/variables/K", ""), 409, several)
		s.want(method+" with an empty filter", s.ask(method, "/variables/K"+filter, ""), 409, several)
	}
	s.want("filter in JSON", s.ask("PUT", "/variables/K", `{"value":"x","filter":{"environment_scope":"production"}}`), 200, `"environment_scope":"production"`)
	s.want("a filter that is text", s.ask("PUT", "/variables/K", `{"value":"y","filter":"production"}`), 400, `"filter is invalid"`)
	if rows := s.g.Variables(s.p); len(rows) != 2 || rows[0].Value != "any" || rows[1].Value != "x" {
		t.Errorf("rows %+v", rows)
	}
}

// TestVariables_access: the same role for reading and writing, and the sign-in first.
func TestVariables_access(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	s.g.SetVariable(s.p, gitlabtest.Variable{Key: "K", Value: "value"})
	nobody := *s
	nobody.token = ""
	for _, visibility := range []string{"private", "public"} {
		s.g.SetVisibility(s.p, visibility)
		nobody.want(visibility+", nobody", nobody.ask("GET", "/variables", ""), 401, `"401 Unauthorized"`)
		s.want(visibility+", developer", s.as(s.g.Member(s.p, gitlabtest.Developer)).ask("GET", "/variables", ""), 403, `"403 Forbidden"`)
	}
	unknown := nobody.askAPI("GET", "/projects/999999/variables", "")
	nobody.want("unknown project, nobody", unknown, 401, "")
	// The role is asked for before the parameters are looked at.
	s.want("developer, bad parameters", s.as(s.g.Member(s.p, gitlabtest.Developer)).ask("POST", "/variables", `{}`), 403, "")

	admin := s.as(s.g.CreateAdmin("root"))
	s.g.SetCIEnabled(s.p, false)
	for who, stage := range map[string]*ciStage{"maintainer": s, "administrator": admin} {
		stage.want("CI off, "+who, stage.ask("GET", "/variables", ""), 403, `"403 Forbidden"`)
	}
	s.g.SetCIEnabled(s.p, true)
	s.g.SetRepositoryEnabled(s.p, false)
	s.want("repository off", s.ask("GET", "/variables", ""), 403, "")
	s.g.SetRepositoryEnabled(s.p, true)
	s.g.SetEnvironmentsEnabled(s.p, false)
	s.want("environments off", s.ask("GET", "/variables", ""), 200, "")
	s.g.SetArchived(s.p, true)
	s.want("archived", s.ask("PUT", "/variables/K", `{"value":"next"}`), 200, "next")
	s.g.SetVersion("16.9.0")
	s.want("archived, before the ability of its own", s.ask("GET", "/variables", ""), 403, "")
}

func TestVariables_hidden(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	created := s.ask("POST", "/variables", `{"key":"K","value":"long-enough","masked_and_hidden":true}`)
	s.want("create", created, 201, `"value":null`)
	s.want("get", s.ask("GET", "/variables/K", ""), 200, `"value":null`)
	s.want("list", s.ask("GET", "/variables", ""), 200, `"value":null`)
	s.want("unmask", s.ask("PUT", "/variables/K", `{"masked":false}`), 400,
		`{"message":{"base":["The visibility setting cannot be changed for masked and hidden variables."]}}`)
	s.want("a new value", s.ask("PUT", "/variables/K", `{"value":"longer-still"}`), 200, `"value":null`)
	s.want("a value that cannot be masked", s.ask("PUT", "/variables/K", `{"value":"a b"}`), 400, `{"message":{"value":["is invalid"]}}`)
	if rows := s.g.Variables(s.p); rows[0].Value != "longer-still" || !rows[0].Masked {
		t.Errorf("stored %+v", rows[0])
	}
	s.ask("POST", "/variables", `{"key":"L","value":"long-enough"}`)
	s.want("hide later", s.ask("PUT", "/variables/L", `{"masked_and_hidden":true}`), 200, `"hidden":false`)
}

// TestVariables_versions: an older server drops what it does not know, and answers 201.
func TestVariables_versions(t *testing.T) {
	t.Parallel()
	const everything = `{"key":"K","value":"long-enough","raw":true,"description":"d","masked_and_hidden":true,"masked":true}`
	for version, unknown := range map[string][]string{
		"15.6.9":    {"raw", "description", "hidden"},
		"15.7.0":    {"description", "hidden"},
		"16.1.6":    {"description", "hidden"},
		"16.2.0-ee": {"hidden"},
		"17.3.7":    {"hidden"},
		"17.4.0":    nil,
	} {
		s := newCIStage(t)
		s.g.SetVersion(version)
		got := s.ask("POST", "/variables", everything)
		s.want(version, got, 201, `"masked":true`)
		fields := fieldsOf(t, got)
		for _, key := range []string{"raw", "description", "hidden"} {
			if _, present := fields[key]; present == slices.Contains(unknown, key) {
				t.Errorf("%s: %s is %v", version, key, fields[key])
			}
		}
		if hidden := fields["value"] == nil; hidden == slices.Contains(unknown, "hidden") {
			t.Errorf("%s: value %v", version, fields["value"])
		}
		// Whether "raw" is known decides which values can be masked.
		raw := s.ask("POST", "/variables", `{"key":"L","value":"with$dollar","raw":true,"masked":true}`)
		if want := 201; (raw.status == want) == slices.Contains(unknown, "raw") {
			t.Errorf("%s: a raw value is answered %d", version, raw.status)
		}
	}
}

func TestVariables_masking(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	for i, c := range []struct {
		value      string
		plain, raw bool
	}{
		{"gldt-0123456789_abcDEF-xy", true, true},
		{"Az09_+=/@:.~-", true, true},
		{"seven-7", false, false},
		{"with$dollar", false, true},
		{"pré-fixe", false, true},
		{"white space", false, false},
		{"two\nlines-long", false, false},
		{"end-of-line\n", false, false},
	} {
		for _, raw := range []bool{false, true} {
			body, err := json.Marshal(map[string]any{"key": fmt.Sprintf("K%d_%v", i, raw), "value": c.value, "masked": true, "raw": raw})
			if err != nil {
				t.Fatal(err)
			}
			want := raw && c.raw || !raw && c.plain
			if got := s.ask("POST", "/variables", string(body)); (got.status == 201) != want {
				t.Errorf("%q, raw %v: %d %s", c.value, raw, got.status, got.body)
			}
		}
	}
	s.want("unmasked values are free", s.ask("POST", "/variables", `{"key":"SHORT","value":"a b"}`), 201, "")
	s.want("masking a short one later", s.ask("PUT", "/variables/SHORT", `{"masked":true}`), 400, `{"message":{"value":["is invalid"]}}`)
}

func TestVariables_rules(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	for what, c := range map[string]struct {
		body   string
		status int
		part   string
	}{
		"no key":               {`{"value":"x"}`, 400, `{"error":"key is missing"}`},
		"nothing":              {`{}`, 400, `{"error":"key is missing, value is missing"}`},
		"type":                 {`{"key":"A","value":"x","variable_type":"foo"}`, 400, `{"error":"variable_type does not have a valid value"}`},
		"boolean":              {`{"key":"A","value":"x","masked":"maybe"}`, 400, `{"error":"masked is invalid"}`},
		"boolean as a word":    {`{"key":"B","value":"x","protected":"yes"}`, 201, `"protected":true`},
		"a number as value":    {`{"key":"C","value":12}`, 201, `"value":"12"`},
		"key":                  {`{"key":"A-B","value":"x"}`, 400, `{"message":{"key":["can contain only letters, digits and '_'."]}}`},
		"long key":             {`{"key":"` + strings.Repeat("K", 256) + `","value":"x"}`, 400, `{"message":{"key":["is too long (maximum is 255 characters)"]}}`},
		"scope":                {`{"key":"A","value":"x","environment_scope":"a,b"}`, 400, `{"message":{"environment_scope":["can contain only`},
		"all of a scope":       {`{"key":"D","value":"x","environment_scope":"Rev-1_a/$b{c}.* d"}`, 201, `Rev-1_a/$b{c}.* d`},
		"a key is used in one": {`{"key":"TAKEN","value":"x","environment_scope":"staging"}`, 201, ""},
		"taken":                {`{"key":"TAKEN","value":"x"}`, 400, `{"message":{"key":["(TAKEN) has already been taken"]}}`},
		"undeclared parameter": {`{"key":"E","value":"x","id":7}`, 201, ""},
	} {
		s.g.SetVariable(s.p, gitlabtest.Variable{Key: "TAKEN", Value: "x"})
		s.want(what, s.ask("POST", "/variables", c.body), c.status, c.part)
	}
	s.want("a move onto another row", s.ask("PUT", "/variables/TAKEN"+filter+"staging", `{"environment_scope":"*"}`), 400, "has already been taken")
	s.want("a move", s.ask("PUT", "/variables/TAKEN"+filter+"staging", `{"environment_scope":"dev"}`), 200, `"environment_scope":"dev"`)
	s.want("the body's key", s.ask("PUT", "/variables/TAKEN"+filter+"dev", `{"key":"OTHER"}`), 200, `"key":"TAKEN"`)
	s.want("a description", s.ask("PUT", "/variables/TAKEN"+filter+"dev", `{"description":"text"}`), 200, `"description":"text"`)
	s.want("null empties it", s.ask("PUT", "/variables/TAKEN"+filter+"dev", `{"description":null}`), 200, `"description":null`)
	s.want("null is no scope", s.ask("PUT", "/variables/TAKEN"+filter+"dev", `{"environment_scope":null}`), 400, `"environment_scope":["can't be blank"`)
	s.want("no upsert", s.ask("PUT", "/variables/NONE", `{"value":"x"}`), 404, `"404 Variable Not Found"`)
}

func TestVariables_limit(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	for i := range 8_000 {
		s.g.SetVariable(s.p, gitlabtest.Variable{Key: fmt.Sprintf("K%d", i)})
	}
	s.want("one more", s.ask("POST", "/variables", `{"key":"K","value":"x"}`), 400, `{"message":{"base":["Maximum number of project ci variables (8000) exceeded"]}}`)
	s.want("an update", s.ask("PUT", "/variables/K1", `{"value":"x"}`), 200, "")
	if last := s.ask("GET", "/variables?per_page=100&page=80", ""); last.header.Get("X-Total") != "8000" || len(rowsOf(t, last)) != 100 || rowsOf(t, last)[99]["key"] != "K7999" {
		t.Errorf("last page: %v", last.header)
	}
}

func TestVariables_setUpByTestsAreSecrets(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	s.g.SetVariable(s.p, gitlabtest.Variable{Key: "K", Value: "first"})
	s.g.SetVariable(s.p, gitlabtest.Variable{Key: "K", Value: "second", Hidden: true})
	s.ask("POST", "/variables", `{"key":"L","value":"by-request"}`)
	known := s.g.Secrets()
	if !slices.Contains(known, "first") || !slices.Contains(known, "second") || slices.Contains(known, "by-request") {
		t.Error("not the values that were set up, and those only")
	}
	s.g.DeleteVariable(s.p, "K", "production")
	if rows := s.g.Variables(s.p); len(rows) != 2 || rows[0].Value != "second" || !rows[0].Masked {
		t.Errorf("rows %+v", rows)
	}
	s.g.DeleteVariable(s.p, "K", "")
	if rows := s.g.Variables(s.p); len(rows) != 1 || rows[0].Key != "L" {
		t.Errorf("rows %+v", rows)
	}
}
