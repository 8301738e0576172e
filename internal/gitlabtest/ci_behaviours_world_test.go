package gitlabtest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

const existingKey, existingValue = "VAR_1", "VALUE_ONE"

// ciRow is the world of one row: a project and a group, each with one variable, and
// with environments and deployments in every state.
type ciRow struct {
	*ciStage

	c      ciBehaviour
	group  *gitlabtest.Group
	header map[string]string

	method, path string
	body         map[string]any
	// deployments by what rows call them.
	deployments map[string]int64
	environment int64
}

// situations are what follows the path in the requests, and what they need. All of
// them must be known.
var situations = map[string]func(*ciRow){
	"(two rows: scopes staging and production)": (*ciRow).twoRows,
	"(two rows)":                                                (*ciRow).twoRows,
	"(one row, another scope)":                                  nil,
	"(empty)":                                                   nil,
	"(key exists with scope *)":                                 nil,
	"(key exists with the same scope)":                          nil,
	"(plan limit of 1 reached)":                                 func(r *ciRow) { r.g.SetVariableLimit(1); r.defaultBody(map[string]any{"key": "SECOND", "value": "x"}) },
	"masked with a value the mask does not accept":              nil,
	"without key":                                               nil,
	"without value":                                             nil,
	"key with other characters than letters, digits, _":         nil,
	"key longer than 255":                                       func(r *ciRow) { r.body = map[string]any{"key": strings.Repeat("K", 256), "value": "x"} },
	"environment_scope with a forbidden character":              nil,
	"variable_type not in the list":                             nil,
	"(not hidden)":                                              nil,
	"(hidden variable)":                                         (*ciRow).hide,
	"(hidden variable), value only":                             (*ciRow).hide,
	"with masked_and_hidden":                                    nil,
	"masked_and_hidden":                                         nil,
	"with key in the body":                                      nil,
	"without filter (two rows)":                                 (*ciRow).twoRows,
	"filter[environment_scope]=production (two rows)":           (*ciRow).twoRows,
	"filter[environment_scope]=invalid":                         nil,
	"environment_scope of another row of the key":               func(r *ciRow) { r.twoRows(); r.path += filter + "staging" },
	"(same key and scope)":                                      func(r *ciRow) { r.body = map[string]any{"key": existingKey, "value": "x"} },
	"environment_scope=production, licence has group scopes":    (*ciRow).scoped,
	"environment_scope=production, no licence for group scopes": func(r *ciRow) { r.scoped(); r.g.SetPremium(false) },
	"environment_scope=production, no licence":                  func(r *ciRow) { r.scoped(); r.g.SetPremium(false) },
	"with an unmaskable value":                                  nil,
	"masked=false on a hidden one":                              func(r *ciRow) { r.hide(); r.body = map[string]any{"masked": false} },
	"with filter naming no row":                                 func(r *ciRow) { r.path += filter + "invalid" },
	"with If-Unmodified-Since older than the row": func(r *ciRow) {
		r.header["If-Unmodified-Since"] = r.g.Clock.Now().AddDate(0, 0, -1).Format(http.TimeFormat)
	},
	"(unknown)":                          nil,
	"(agent set)":                        func(r *ciRow) { r.g.SetEnvironmentNamespace(r.p, "production", "shop") },
	"(name exists)":                      func(r *ciRow) { r.body = map[string]any{"name": "production"} },
	"without name":                       nil,
	"with slug":                          nil,
	"(not stopped)":                      nil,
	"(stopped)":                          func(r *ciRow) { r.g.StopEnvironment(r.p, "production") },
	"(no status)":                        nil,
	"(no finished filter)":               nil,
	"(no finished filter), older server": func(r *ciRow) { r.g.SetVersion("15.6.0") },
	"environment empty":                  func(r *ciRow) { r.deployBody("environment", "") },
	"sha empty":                          func(r *ciRow) { r.deployBody("sha", "") },
	"ref empty":                          func(r *ciRow) { r.deployBody("ref", "") },
	"sha unknown":                        func(r *ciRow) { r.deployBody("sha", strings.Repeat("f", 40)) },
	"ref unknown":                        func(r *ciRow) { r.deployBody("ref", "nowhere") },
	"environment name of 300 characters": func(r *ciRow) { r.deployBody("environment", strings.Repeat("e", 300)) },
	"(made by a job)":                    about("older"),
	"(no job)":                           about("no job, running"),
	"(no job, forbidden transition)":     about("no job, success"),
	"(older one)":                        about("older"),
	"(running)":                          about("running"),
	"(the environment's last)":           about("last"),
	"":                                   nil,
}

func about(deployment string) func(*ciRow) {
	return func(r *ciRow) {
		r.path = strings.Replace(r.path, ":deployment_id", fmt.Sprint(r.deployments[deployment]), 1)
	}
}

func newCIRow(t *testing.T, c ciBehaviour, request string) *ciRow {
	t.Helper()
	r := &ciRow{c: c, header: map[string]string{}, deployments: map[string]int64{}}
	g := gitlabtest.New(t)
	r.ciStage = &ciStage{T: t, g: g}
	r.group = g.CreateGroup("spec", gitlabtest.GroupOptions{Visibility: "public"})
	visibility := "private"
	if strings.HasSuffix(c.Caller, "public project") {
		visibility = "public"
	}
	r.p = g.CreateProject("spec/project", gitlabtest.ProjectOptions{Visibility: visibility})
	r.furnish()
	r.caller()
	r.read(request)
	return r
}

// furnish makes what the rows speak of. The clock stands an hour after all of it.
func (r *ciRow) furnish() {
	existing := gitlabtest.Variable{Key: existingKey, Value: existingValue, Masked: false}
	r.g.SetVariable(r.p, existing)
	r.g.SetGroupVariable(r.group, existing)
	r.g.Deploy(r.p, "production")
	r.g.Clock.Advance(time.Hour)
	r.g.Deploy(r.p, "production")
	r.g.Deploy(r.p, "staging")
	failed := r.g.QueueJob(r.p, gitlabtest.JobOptions{Name: "staging", Environment: "staging"})
	r.g.PickUp(failed)
	r.g.FinishJob(failed, "failed")
	r.g.PickUp(r.g.QueueJob(r.p, gitlabtest.JobOptions{Name: "staging", Environment: "staging"}))
	for _, name := range []string{"environment-1", "stopped-1", "stopping-1"} {
		r.g.CreateEnvironment(r.p, name)
	}
	r.g.StopEnvironment(r.p, "stopped-1")
	r.g.StoppingEnvironment(r.p, "stopping-1")
	r.g.Clock.Advance(time.Hour)

	r.token = r.g.CreateAccessToken(r.g.Maintainer(r.p), "api")
	r.deployments["no job, running"] = r.deployByAPI("staging", "running")
	r.deployments["no job, success"] = r.deployByAPI("environment-1", "success")
	for _, row := range rowsOf(r.T, r.ask("GET", "/deployments?per_page=100", "")) {
		id := int64(row["id"].(float64))
		environment := row["environment"].(map[string]any)["name"]
		switch {
		case row["deployable"] == nil:
		case row["status"] == "running":
			r.deployments["running"] = id
		case environment == "production" && r.deployments["older"] == 0:
			r.deployments["older"] = id
		case environment == "production":
			r.deployments["last"] = id
		}
	}
	r.environment = r.g.Environments(r.p)[0].ID
}

func (r *ciRow) deployByAPI(environment, status string) int64 {
	body := fmt.Sprintf(`{"environment":%q,"sha":%q,"ref":"main","tag":false,"status":%q}`, environment, r.g.HeadCommit(r.p), status)
	return int64(fieldsOf(r.T, r.ask("POST", "/deployments", body))["id"].(float64))
}

func (r *ciRow) aboutGroup() bool { return strings.HasPrefix(r.c.Group, "group") }

// caller makes the caller; all of them must be known.
func (r *ciRow) caller() {
	name, _, _ := strings.Cut(r.c.Caller, ",")
	roles := map[string]gitlabtest.Role{
		"guest": gitlabtest.Guest, "reporter": gitlabtest.Reporter, "developer": gitlabtest.Developer,
		"maintainer": gitlabtest.Maintainer, "owner": gitlabtest.Owner,
	}
	scope := "api"
	if strings.Contains(r.c.Caller, "read_api only") {
		scope = "read_api"
	}
	role, isMember := roles[name]
	switch {
	case isMember && r.aboutGroup():
		r.token = r.g.CreateAccessToken(r.g.GroupMember(r.group, role), scope)
	case isMember:
		r.token = r.g.CreateAccessToken(r.g.Member(r.p, role), scope)
	case name == "none":
		r.token = ""
	case strings.HasPrefix(name, "CI job token"):
		r.token, r.header["Job-Token"] = "", r.g.StartJob(r.p).Token
	case name == "non member", strings.HasPrefix(name, "signed-in user"):
		r.token = r.g.CreateAccessToken(r.g.CreateUser("stranger"), scope)
	default:
		r.Fatalf("no such caller: %q", r.c.Caller)
	}
}

// read takes the request apart and arranges its situation.
func (r *ciRow) read(request string) {
	var rest string
	r.method, rest, _ = strings.Cut(request, " ")
	end, inside := len(rest), 0
	for i, c := range rest {
		switch c {
		case '<':
			inside++
		case '>':
			inside--
		case ' ':
			if inside == 0 && end == len(rest) {
				end = i
			}
		}
	}
	situation := strings.TrimSpace(rest[end:])
	arrange, known := situations[situation]
	if !known {
		r.Fatalf("no such situation: %q", situation)
	}
	r.path = rest[:end]
	r.body = r.rowBody()
	if arrange != nil {
		arrange(r)
	}
	if strings.Contains(r.c.Note, "hidden variable: value is null") {
		r.hide()
	}
	owner := r.p.ID
	if r.aboutGroup() {
		owner = r.group.ID
	}
	r.path = strings.NewReplacer(
		"/:id/", fmt.Sprintf("/%d/", owner), "/:key", "/"+existingKey, ":environment_id", fmt.Sprint(r.environment),
		":deployment_id", fmt.Sprint(r.deployments["older"]), "<unknown id>", "999999", "<exact name>", "production", "<unknown>", "nowhere",
		"after=..", "after="+r.days(-1), "before=..", "before="+r.days(1),
	).Replace(r.path)
}

func (r *ciRow) days(n int) string { return r.g.Clock.Now().AddDate(0, 0, n).Format(time.RFC3339) }

// rowBody is the row's body, or for rows without one the least that the request needs.
func (r *ciRow) rowBody() map[string]any {
	if r.c.Body == nil {
		switch {
		case r.method == http.MethodPost && strings.HasSuffix(r.path, "/deployments"):
			return r.deployment()
		case r.method == http.MethodPut && strings.Contains(r.path, "/deployments/"):
			return map[string]any{"status": "success"}
		case r.method == http.MethodPut && strings.Contains(r.path, "/variables/"):
			return map[string]any{"value": "new_val"}
		case r.method == http.MethodPost && strings.HasSuffix(r.path, "/environments"):
			return map[string]any{"name": "another"}
		}
		return nil
	}
	body := maps.Clone(r.c.Body)
	for name, value := range body {
		switch value {
		case "<existing>":
			body[name] = existingKey
			if name == "name" {
				body[name] = "production"
			}
		case "<40 hex>":
			body[name] = r.g.HeadCommit(r.p)
		case "master":
			body[name] = "main"
		}
	}
	return body
}

func (r *ciRow) deployment() map[string]any {
	return map[string]any{"environment": "production", "sha": r.g.HeadCommit(r.p), "ref": "main", "tag": false, "status": "success"}
}

func (r *ciRow) deployBody(name, value string) {
	r.body = r.deployment()
	r.body[name] = value
}

func (r *ciRow) defaultBody(body map[string]any) {
	if r.body == nil {
		r.body = body
	}
}

func (r *ciRow) scoped() {
	r.body = map[string]any{"environment_scope": "production"}
	if r.method == http.MethodPost {
		r.body["key"], r.body["value"] = "SCOPED", "x"
	}
}

func (r *ciRow) set(v gitlabtest.Variable) {
	if r.aboutGroup() {
		r.g.SetGroupVariable(r.group, v)
	} else {
		r.g.SetVariable(r.p, v)
	}
}

func (r *ciRow) hide() {
	r.set(gitlabtest.Variable{Key: existingKey, Value: existingValue, Hidden: true})
}

// twoRows replaces the variable by two of other scopes.
func (r *ciRow) twoRows() {
	r.g.DeleteVariable(r.p, existingKey, "")
	r.g.DeleteGroupVariable(r.group, existingKey, "")
	r.set(gitlabtest.Variable{Key: existingKey, Value: existingValue, Scope: "staging"})
	r.set(gitlabtest.Variable{Key: existingKey, Value: existingValue, Scope: "production"})
}

func (r *ciRow) switchOff(what string) {
	switch what {
	case "CI/CD off":
		r.g.SetCIEnabled(r.p, false)
	case "repository off":
		r.g.SetRepositoryEnabled(r.p, false)
	case "environments off":
		r.g.SetEnvironmentsEnabled(r.p, false)
	case "archived":
		r.g.SetArchived(r.p, true)
	}
}

// play makes the request. A nested parameter goes as a form, everything else as JSON.
func (r *ciRow) play() answer {
	r.Helper()
	body, contentType := "", "application/json"
	if r.body != nil {
		encoded, err := json.Marshal(r.body)
		if err != nil {
			r.Fatal(err)
		}
		body = string(encoded)
	}
	if strings.Contains(body, "filter[") {
		form := url.Values{}
		for name, value := range r.body {
			form.Set(name, fmt.Sprint(value))
		}
		body, contentType = form.Encode(), "application/x-www-form-urlencoded"
	}
	return r.askAPI(r.method, r.path, "", func(req *http.Request) {
		for name, value := range r.header {
			req.Header.Set(name, value)
		}
		if body != "" {
			req.Header.Set("Content-Type", contentType)
			req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		}
	})
}

func (r *ciRow) wantNames(got answer, names ...string) {
	r.Helper()
	var listed []string
	for _, row := range rowsOf(r.T, got) {
		listed = append(listed, fmt.Sprint(row["name"]))
	}
	if !slices.Equal(listed, names) {
		r.Errorf("lists %v, want %v", listed, names)
	}
}

func (r *ciRow) wantValues(values ...string) {
	r.Helper()
	var stored []string
	for _, v := range r.g.Variables(r.p) {
		stored = append(stored, v.Value)
	}
	if !slices.Equal(stored, values) {
		r.Errorf("stored %v, want %v", stored, values)
	}
}
