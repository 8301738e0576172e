package contract_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// resources say what the client's structures are: which objects of GitLab they read or
// write, and where others speak of these.
var resources = map[string]resource{
	"projectJSON":     {schemas: []string{"APIEntitiesProject"}, foreign: []string{"projects_test.go"}},
	"tokenJSON":       {schemas: []string{"APIEntitiesDeployToken", "APIEntitiesDeployTokenWithToken"}, foreign: []string{"tokens_test.go"}, spec: "deploy_tokens"},
	"mintBody":        {schemas: []string{"RequestBody_5daed5666141"}, foreign: []string{"tokens_test.go"}, spec: "deploy_tokens"},
	"variableJSON":    {foreign: []string{"ci_test.go"}, spec: "variables"},
	"variableBody":    {foreign: []string{"ci_test.go"}, spec: "variables"},
	"environmentJSON": {foreign: []string{"ci_test.go"}, spec: "environments"},
	"deploymentJSON":  {foreign: []string{"ci_test.go"}, spec: "deployments"},
	"jobJSON":         {foreign: []string{"ci_test.go"}, spec: "deployments"},
}

type resource struct {
	schemas, foreign []string
	// spec is a part of the routes in the tables of GitLab's request specifications.
	spec string
}

// foreignOperations are the routes of the operations in internal/e2e/foreign.
var foreignOperations = map[string]string{
	"version": "GET /version", "metadata": "GET /metadata", "whoami": "GET /user", "own_token": "GET /personal_access_tokens/self",
	"project": "GET /projects/:", "save_project": "PUT /projects/:", "projects": "GET /projects", "group": "GET /groups/:", "groups": "GET /groups",
	"group_projects": "GET /groups/:/projects", "all_tokens": "GET /deploy_tokens", "tokens": "GET /projects/:/deploy_tokens",
	"token": "GET /projects/:/deploy_tokens/:", "create_token": "POST /projects/:/deploy_tokens", "delete_token": "DELETE /projects/:/deploy_tokens/:",
	"variables": "GET /projects/:/variables", "variable": "GET /projects/:/variables/:", "create_variable": "POST /projects/:/variables",
	"update_variable": "PUT /projects/:/variables/:", "delete_variable": "DELETE /projects/:/variables/:",
	"environments": "GET /projects/:/environments", "environment": "GET /projects/:/environments/:",
	"deployments": "GET /projects/:/deployments", "deployment": "GET /projects/:/deployments/:",
}

// uncovered is what the provider uses although nothing but the stand-in speaks for it,
// with the reason.
var uncovered = map[string]string{}

// knowledge is what others say of GitLab's API.
type knowledge struct {
	doc     *openapi3.T
	foreign *source
	// cases are the rows of GitLab's request specifications.
	cases []specCase
}

type specCase struct {
	Request  string          `json:"request"`
	Body     json.RawMessage `json:"request_body"`
	Response json.RawMessage `json:"response"`
	Note     string          `json:"note"`
}

func known(t *testing.T) *knowledge {
	t.Helper()
	doc, _ := load(t)
	k := &knowledge{doc: doc, foreign: parse(t, "../foreign", true)}
	for _, name := range []string{"deploy-token-behaviours.json", "ci-behaviours.json"} {
		raw, err := os.ReadFile("../../gitlabtest/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		var table struct {
			Cases []specCase `json:"cases"`
		}
		if err := json.Unmarshal(raw, &table); err != nil || len(table.Cases) == 0 {
			t.Fatalf("%s: %v", name, err)
		}
		k.cases = append(k.cases, table.Cases...)
	}
	return k
}

// TestUsage: whatever the provider asks of GitLab, somebody else speaks for it too: a
// foreign client, a row of GitLab's request specifications or its API document.
func TestUsage(t *testing.T) {
	t.Parallel()
	k, client := known(t), parse(t, "../../gitlab", false)
	used := map[string][]string{}
	for operation := range client.operations() {
		used[operation] = k.operation(operation)
	}
	for structure, fields := range client.fields() {
		r, isResource := resources[structure]
		for _, field := range fields {
			if isResource {
				used[structure+" "+field] = k.field(r, field)
			}
		}
		if _, isOther := otherAnswers[structure]; !isResource && !isOther {
			t.Errorf("%s has JSON fields %v: say in this test what they are of", structure, fields)
		}
	}
	if len(used) < 30 {
		t.Fatalf("the provider seems to use only %d things", len(used))
	}
	for what, by := range used {
		t.Logf("%-45s %s", what, strings.Join(by, ", "))
		_, listed := uncovered[what]
		switch {
		case len(by) == 0 && !listed:
			t.Errorf("%s: no foreign client, no specification and no document speaks of it", what)
		case len(by) > 0 && listed:
			t.Errorf("%s is covered by %v, and need not be listed as uncovered", what, by)
		}
	}
	for structure := range otherAnswers {
		if client.fields()[structure] == nil {
			t.Errorf("%s has no JSON fields any more", structure)
		}
	}
	for what := range uncovered {
		if _, isUsed := used[what]; !isUsed {
			t.Errorf("%s is listed as uncovered, and not used", what)
		}
	}
}

// otherAnswers are structures that read no object of the API, with what covers them.
var otherAnswers = map[string]string{
	"message":      "refusals: every row of a refusal, by client and by specification",
	"messageOf":    "refusals",
	"isErrorBody":  "refusals",
	"grantsPull":   "the registry's token: every pull of a client for registries",
	"CheckToken":   "the caller's id: the row \"who am I\"",
	"checkVersion": "the version: the row \"version\"",
	"readVariable": "a variable's key: the rows of variables",
}

func (k *knowledge) operation(operation string) (by []string) {
	for name, route := range foreignOperations {
		if route == operation && k.foreignTexts()[name] {
			by = append(by, "clients")
		}
	}
	if operation == "GET /jwt/auth" && k.foreign.files["registry_test.go"] != nil {
		by = append(by, "clients of registries")
	}
	if slices.ContainsFunc(k.cases, func(c specCase) bool { return routeOf(c.Request) == operation }) {
		by = append(by, "specifications")
	}
	for path, item := range k.doc.Paths.Map() {
		for method := range item.Operations() {
			if routeOf(method+" "+strings.TrimPrefix(path, "/api/v4")) == operation {
				by = append(by, "document")
			}
		}
	}
	return by
}

func (k *knowledge) foreignTexts() map[string]bool {
	all := map[string]bool{}
	for file := range k.foreign.files {
		for text := range k.foreign.texts(file) {
			all[text] = true
		}
	}
	return all
}

var pathVariable = regexp.MustCompile(`:\w+|\{\w+\}|/\d+[a-z]*\b|/bad_id|/unknown\w*`)

// routeOf is "GET /projects/:/deploy_tokens" for a request in any of the notations.
func routeOf(request string) string {
	request, _, _ = strings.Cut(request, "?")
	return strings.TrimSpace(pathVariable.ReplaceAllStringFunc(request, func(found string) string {
		if strings.HasPrefix(found, "/") {
			return "/:"
		}
		return ":"
	}))
}

func (k *knowledge) field(r resource, field string) (by []string) {
	for _, file := range r.foreign {
		if k.foreign.texts(file)[field] {
			by = append(by, "clients")
		}
	}
	if r.spec != "" && slices.ContainsFunc(k.cases, func(c specCase) bool {
		return strings.Contains(c.Request, r.spec) && mentions(c, field)
	}) {
		by = append(by, "specifications")
	}
	for _, name := range r.schemas {
		if k.doc.Components.Schemas[name].Value.Properties[field] != nil {
			by = append(by, "document")
		}
	}
	return by
}

// mentions says whether the row's bodies have the field as a key.
func mentions(c specCase, field string) bool {
	key := fmt.Sprintf("%q:", field)
	plain := strings.ReplaceAll(string(c.Body)+string(c.Response), " ", "")
	return strings.Contains(plain, key)
}
