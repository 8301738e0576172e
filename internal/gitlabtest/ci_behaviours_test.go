package gitlabtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// ciBehaviour is a row of testdata/ci-behaviours.json.
type ciBehaviour struct {
	Group    string         `json:"group"`
	Request  string         `json:"request"`
	Caller   string         `json:"caller"`
	Status   int            `json:"status"`
	Body     map[string]any `json:"request_body"`
	Response any            `json:"response"`
	Note     string         `json:"note"`
}

const ciRows = 171

// uncheckedRows are the rows that no request can check, each with the reason. A row
// that is neither here nor understood fails the test.
var uncheckedRows = map[int]string{}

// TestCIBehaviours checks the stand-in against every row.
func TestCIBehaviours(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/ci-behaviours.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Headers []string      `json:"pagination_headers"`
		Cases   []ciBehaviour `json:"cases"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) != ciRows {
		t.Fatalf("the table has %d rows, want %d", len(file.Cases), ciRows)
	}
	for i, c := range file.Cases {
		if uncheckedRows[i] != "" {
			continue
		}
		t.Run(fmt.Sprintf("%03d %s by %s", i, c.Request, c.Caller), func(t *testing.T) {
			t.Parallel()
			if about, all := strings.CutPrefix(c.Request, "any "); all {
				playAll(t, c, about)
				return
			}
			row := newCIRow(t, c, c.Request)
			row.compare(row.play(), file.Headers)
		})
	}
	for _, check := range ciNotes {
		if !slices.ContainsFunc(file.Cases, func(c ciBehaviour) bool { return strings.Contains(c.Note, check.phrase) }) {
			t.Errorf("no row has the note %q", check.phrase)
		}
	}
}

// playAll is for the rows about several requests.
func playAll(t *testing.T, c ciBehaviour, about string) {
	t.Helper()
	requests := []string{
		"GET /projects/:id/variables", "GET /projects/:id/variables/:key", "POST /projects/:id/variables",
		"PUT /projects/:id/variables/:key", "DELETE /projects/:id/variables/:key",
	}
	if strings.HasPrefix(about, "GET") {
		requests = []string{
			"GET /projects/:id/environments", "GET /projects/:id/environments/:environment_id",
			"GET /projects/:id/deployments", "GET /projects/:id/deployments/:deployment_id",
		}
	}
	_, situation, _ := strings.Cut(about, ", ")
	switched := map[string][]string{
		"": {""}, "archived project": {"archived"},
		"project with CI/CD switched off (builds disabled or repository disabled)": {"CI/CD off", "repository off"},
		"CI/CD or the repository or the environments feature switched off":         {"CI/CD off", "repository off", "environments off"},
	}[situation]
	if switched == nil {
		t.Fatalf("no such situation: %q", situation)
	}
	for _, how := range switched {
		for _, request := range requests {
			row := newCIRow(t, c, request)
			if strings.HasPrefix(about, "of the above") && strings.HasPrefix(request, "POST") {
				row.body = map[string]any{"key": "NEW", "value": "x"}
			}
			row.switchOff(how)
			want := expectedOfAll(c, request)
			got := row.play()
			if got.status != want {
				t.Errorf("%s, %s: status %d, want %d: %s", request, how, got.status, want, got.body)
			}
			if want >= 400 && c.Response != nil {
				row.compareResponse(got)
			}
		}
	}
}

// expectedOfAll: the rows speak of one status, and of the others in the note.
func expectedOfAll(c ciBehaviour, request string) int {
	method, _, _ := strings.Cut(request, " ")
	if c.Status == http.StatusOK || strings.Contains(c.Note, "GET works") && method == http.MethodGet {
		return map[string]int{http.MethodGet: 200, http.MethodPut: 200, http.MethodPost: 201, http.MethodDelete: 204}[method]
	}
	return c.Status
}

func (r *ciRow) compare(got answer, paginationHeaders []string) {
	r.Helper()
	if got.status != r.c.Status {
		r.Fatalf("status %d, want %d: %s", got.status, r.c.Status, got.body)
	}
	if r.c.Response != nil {
		r.compareResponse(got)
	}
	if strings.Contains(r.c.Request, "variables") && (got.status == http.StatusOK || got.status == http.StatusCreated) {
		r.compareSent(got)
	}
	if strings.Contains(r.c.Note, "pagination headers") {
		for _, name := range paginationHeaders {
			if _, present := got.header[name]; !present {
				r.Errorf("no header %s", name)
			}
		}
	}
	for _, check := range ciNotes {
		if strings.Contains(r.c.Note, check.phrase) {
			check.check(r, got)
		}
	}
}

func (r *ciRow) compareResponse(got answer) {
	r.Helper()
	var value any
	if err := json.Unmarshal([]byte(got.body), &value); err != nil {
		r.Fatalf("%v: %s", err, got.body)
	}
	if difference := differs(r.c.Response, value); difference != "" {
		r.Errorf("%s in %s", difference, got.body)
	}
}

// compareSent: the answer about a variable has what was sent.
func (r *ciRow) compareSent(got answer) {
	r.Helper()
	var fields map[string]any
	if json.Unmarshal([]byte(got.body), &fields) != nil {
		return
	}
	for name, sent := range r.body {
		free := name == "environment_scope" && strings.Contains(r.c.Request, "no licence")
		ignored := name == "masked_and_hidden" || strings.HasPrefix(name, "filter") || name == "key" && r.method == http.MethodPut
		if free || ignored || name == "value" && fields["hidden"] == true {
			continue
		}
		if fmt.Sprint(fields[name]) != fmt.Sprint(sent) {
			r.Errorf("%s is %v, want %v", name, fields[name], sent)
		}
	}
}

var (
	timestamp = regexp.MustCompile(`\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\z`)
	sha       = regexp.MustCompile(`\A[0-9a-f]{40}\z`)
)

// differs compares what the table shows with what came: of objects the keys that are
// shown, of lists the elements that are shown. Ids are any number.
func differs(want, got any) string {
	switch w := want.(type) {
	case map[string]any:
		g, isMap := got.(map[string]any)
		if !isMap {
			return fmt.Sprintf("%v instead of an object", got)
		}
		for key, value := range w {
			field, present := g[key]
			if _, number := field.(float64); key == "id" && number {
				continue
			}
			if !present {
				return "no key " + key
			}
			if difference := differs(value, field); difference != "" {
				return key + ": " + difference
			}
		}
	case []any:
		g, isList := got.([]any)
		if !isList || len(g) < len(w) || len(w) == 0 && len(g) > 0 {
			return fmt.Sprintf("%v instead of %v", got, want)
		}
		for i := range w {
			if difference := differs(w[i], g[i]); difference != "" {
				return fmt.Sprintf("element %d: %s", i, difference)
			}
		}
	case string:
		return differsText(w, got)
	default:
		if want != got {
			return fmt.Sprintf("%v instead of %v", got, want)
		}
	}
	return ""
}

func differsText(want string, got any) string {
	text, isText := got.(string)
	ok := isText && text == strings.NewReplacer("<key>", existingKey, "<existing>", existingKey, "<value>", existingValue).Replace(want)
	switch want {
	case "<time>":
		ok = timestamp.MatchString(text)
	case "<time or null>":
		ok = got == nil || timestamp.MatchString(text)
	case "<40 hex>":
		ok = sha.MatchString(text)
	}
	if !ok {
		return fmt.Sprintf("%v instead of %s", got, want)
	}
	return ""
}

// ciNotes are the notes that say something about the answer.
var ciNotes = []struct {
	phrase string
	check  func(*ciRow, answer)
}{
	{"no last_deployment key in the list", func(r *ciRow, got answer) {
		for _, row := range rowsOf(r.T, got) {
			if _, present := row["last_deployment"]; present {
				r.Error("a last_deployment")
			}
		}
	}},
	{"has last_deployment (with deployable, without its environment), no project key", func(r *ciRow, got answer) {
		fields := fieldsOf(r.T, got)
		last, _ := fields["last_deployment"].(map[string]any)
		_, environment := last["environment"]
		_, project := fields["project"]
		if last["deployable"] == nil || environment || project {
			r.Errorf("got %s", got.body)
		}
	}},
	{"cluster_agent, kubernetes_namespace and flux_resource_path are absent", func(r *ciRow, got answer) {
		fields := fieldsOf(r.T, got)
		for _, key := range []string{"cluster_agent", "kubernetes_namespace", "flux_resource_path"} {
			if _, present := fields[key]; present {
				r.Errorf("%s is there", key)
			}
		}
	}},
	{"no finished_at key", func(r *ciRow, got answer) {
		for _, row := range rowsOf(r.T, got) {
			if _, present := row["finished_at"]; present {
				r.Error("a finished_at")
			}
		}
	}},
	{"id ascending; every status", func(r *ciRow, got answer) {
		rows := rowsOf(r.T, got)
		statuses := map[any]bool{}
		for i, row := range rows {
			statuses[row["status"]] = true
			if i > 0 && row["id"].(float64) < rows[i-1]["id"].(float64) {
				r.Error("not ascending")
			}
		}
		if !statuses["failed"] || !statuses["running"] || !statuses["success"] {
			r.Errorf("statuses %v", statuses)
		}
	}},
	{"one element", func(r *ciRow, got answer) { r.wantNames(got, "production") }},
	{"one state only; stopped and stopping left out", func(r *ciRow, got answer) { r.wantNames(got, "production", "staging", "environment-1") }},
	{"stopped ones too, oldest id first", func(r *ciRow, got answer) {
		r.wantNames(got, "production", "staging", "environment-1", "stopped-1", "stopping-1")
	}},
	{"exact name; only that environment", func(r *ciRow, got answer) {
		rows := rowsOf(r.T, got)
		for _, row := range rows {
			if row["environment"].(map[string]any)["name"] != "production" {
				r.Errorf("got %s", got.body)
			}
		}
		if len(rows) < 2 {
			r.Errorf("%d rows", len(rows))
		}
	}},
	{"the row with exactly that scope", func(r *ciRow, got answer) { r.want("scope", got, 200, `"environment_scope":"production"`) }},
	{"only that row changes", func(r *ciRow, _ answer) { r.wantValues(existingValue, "new_val") }},
	{"the other row stays", func(r *ciRow, _ answer) { r.wantValues(existingValue) }},
	{"the answer again has value null", func(r *ciRow, got answer) { r.want("value", got, 200, `"value":null`) }},
	{"nothing changes and no error", func(r *ciRow, got answer) { r.want("masked_and_hidden", got, 200, `"hidden":false`) }},
	{"no rename", func(r *ciRow, got answer) { r.want("key", got, 200, `"key":"`+existingKey+`"`) }},
	{"no upsert", func(r *ciRow, _ answer) { r.wantValues(existingValue) }},
	{"the first row the database returns is updated", func(r *ciRow, got answer) { r.want("first", got, 200, `"environment_scope":"staging"`) }},
	{"its deployments go with it", func(r *ciRow, _ answer) {
		left := r.ask("GET", "/deployments?environment=production", "")
		r.want("deployments", left, 200, "[]")
	}},
	{"creates the environment when missing", func(r *ciRow, got answer) { r.want("environment", got, 201, `"name":"production"`) }},
	{"body contains: Cannot destroy running deployment", func(r *ciRow, got answer) {
		r.want("message", got, 400, "Cannot destroy running deployment")
	}},
	{"body contains: Deployment currently deployed to environment", func(r *ciRow, got answer) {
		r.want("message", got, 400, "Deployment currently deployed to environment")
	}},
}
