package gitlabtest_test

import (
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// deployments lists what the query finds.
func (s *ciStage) deployments(query string) []map[string]any {
	s.Helper()
	got := s.ask("GET", "/deployments?per_page=100&"+query, "")
	if got.status != 200 {
		s.Fatalf("%s: %d %s", query, got.status, got.body)
	}
	return rowsOf(s.T, got)
}

func (s *ciStage) statuses(query string) (list []string) {
	s.Helper()
	for _, row := range s.deployments(query) {
		list = append(list, fmt.Sprint(row["status"]))
	}
	return list
}

func at(moment time.Time) string { return url.QueryEscape(moment.UTC().Format(time.RFC3339)) }

var production = gitlabtest.JobOptions{Name: "production", Environment: "production"}

// TestDeployments_life: the row is made with the pipeline, and follows its job.
func TestDeployments_life(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	manual := production
	manual.Waits = true
	j := s.g.QueueJob(s.p, manual)
	want := func(status string) map[string]any {
		t.Helper()
		rows := s.deployments("")
		if len(rows) != 1 || rows[0]["status"] != status {
			t.Fatalf("want one row, %s: %v", status, rows)
		}
		if _, present := rows[0]["finished_at"]; present {
			t.Error("a finished_at")
		}
		return rows[0]
	}
	created := want("blocked")["created_at"]
	s.g.Clock.Advance(time.Hour)
	s.g.PlayJob(j)
	want("created")
	s.g.Clock.Advance(time.Minute)
	s.g.PickUp(j)
	want("running")
	s.g.Clock.Advance(2 * time.Minute)
	s.g.FinishJob(j, "success")
	row := want("success")
	if row["created_at"] != created {
		t.Error("a manual job's row is as old as its pipeline")
	}
	deployable := row["deployable"].(map[string]any)
	if deployable["name"] != "production" || deployable["status"] != "success" || deployable["duration"] != 120.0 || deployable["runner"] == nil {
		t.Errorf("deployable %v", deployable)
	}
	// started_at minus queued_duration is when the job was queued, whenever its pipeline was made.
	if deployable["queued_duration"] != 60.0 || deployable["started_at"] != "2026-01-15T11:01:00.000Z" {
		t.Errorf("queued for %v, started at %v", deployable["queued_duration"], deployable["started_at"])
	}
}

// TestDeployments_twoPhases: the payload is older than started_at, and the time in the
// queue tells it.
func TestDeployments_twoPhases(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	j := s.g.QueueJob(s.p, production)
	queued := s.g.Clock.Now()
	s.g.PickUpInTwoPhases(j)
	s.g.Clock.Advance(90 * time.Second)
	if deployable := s.deployments("status=created")[0]["deployable"].(map[string]any); deployable["status"] != "pending" || deployable["started_at"] != nil {
		t.Errorf("first phase: %v", deployable)
	}
	s.g.StartRunning(j)
	deployable := s.deployments("status=running")[0]["deployable"].(map[string]any)
	started, err := time.Parse(time.RFC3339, fmt.Sprint(deployable["started_at"]))
	if err != nil {
		t.Fatal(err)
	}
	waited := time.Duration(deployable["queued_duration"].(float64) * float64(time.Second))
	if !started.Equal(queued.Add(90*time.Second)) || !started.Add(-waited).Equal(queued) {
		t.Errorf("started at %s after %s", started, waited)
	}
}

func TestDeployments_failedAndCanceled(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	for _, status := range []string{"failed", "canceled", "skipped", "success"} {
		j := s.g.QueueJob(s.p, production)
		s.g.PickUp(j)
		s.g.FinishJob(j, status)
	}
	s.g.QueueJob(s.p, production)
	if got := s.statuses(""); !slices.Equal(got, []string{"failed", "canceled", "skipped", "success", "created"}) {
		t.Errorf("statuses %v", got)
	}
	if got := s.statuses("status=canceled"); !slices.Equal(got, []string{"canceled"}) {
		t.Errorf("canceled: %v", got)
	}
}

// TestDeployments_onlyStartMakesRows: other actions make the environment at most.
func TestDeployments_onlyStartMakesRows(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	for _, action := range []string{"prepare", "verify", "access", "stop"} {
		j := s.g.QueueJob(s.p, gitlabtest.JobOptions{Environment: "review/x", Action: action})
		s.g.PickUp(j)
		s.g.FinishJob(j, "success")
	}
	if rows := s.deployments(""); len(rows) != 0 {
		t.Errorf("rows %v", rows)
	}
	if e := s.g.Environments(s.p); len(e) != 1 || e[0].State != "stopped" {
		t.Errorf("environments %+v", e)
	}
	s.g.StartJob(s.p)
	if rows := s.deployments(""); len(rows) != 0 {
		t.Error("a job without environment made a row")
	}
}

func TestDeployments_retry(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	j := s.g.Deploy(s.p, "production")
	s.g.Clock.Advance(time.Hour)
	retried := s.g.RetryJob(j)
	s.g.PickUp(retried)
	s.g.CreateSecret(retried, "production")
	s.g.FinishJob(retried, "success")
	rows := s.deployments("")
	if len(rows) != 2 || rows[0]["sha"] != rows[1]["sha"] || rows[0]["status"] != "success" {
		t.Fatalf("rows %v", rows)
	}
	if a, b := pipelineOf(rows[0]), pipelineOf(rows[1]); a != b {
		t.Errorf("pipelines %v and %v", a, b)
	}
	// A retry after the environment is gone writes the Secret and leaves no trace (gitlab#418694).
	s.g.StopEnvironment(s.p, "production")
	s.g.DeleteEnvironment(s.p, "production")
	s.g.SetVariable(s.p, gitlabtest.Variable{Key: password, Value: "published", Scope: "production"})
	again := s.g.RetryJob(j)
	s.g.PickUp(again)
	s.g.CreateSecret(again, "production")
	s.g.FinishJob(again, "success")
	if _, secret, _ := s.g.ClusterSecret(s.p, "production"); secret != "published" {
		t.Error("the retried job did not write the Secret")
	}
	if rows, e := s.deployments(""), s.g.Environments(s.p); len(rows) != 0 || len(e) != 0 {
		t.Errorf("came back: %v, %v", rows, e)
	}
}

func pipelineOf(row map[string]any) any {
	return row["deployable"].(map[string]any)["pipeline"].(map[string]any)["id"]
}

// TestDeployments_withoutDeployable: null for those of the API, and once the pipeline
// is gone. A trigger job has no runner.
func TestDeployments_withoutDeployable(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	s.g.Deploy(s.p, "production")
	body := fmt.Sprintf(`{"environment":"production","sha":%q,"ref":"main","tag":false,"status":"success"}`, s.g.HeadCommit(s.p))
	s.want("by the API", s.ask("POST", "/deployments", body), 201, `"deployable":null`)
	trigger := s.g.QueueJob(s.p, gitlabtest.JobOptions{Name: "trigger", Environment: "production", Trigger: true})
	s.g.PickUp(trigger)
	s.g.FinishJob(trigger, "success")
	rows := s.deployments("")
	if rows[0]["deployable"] == nil || rows[1]["deployable"] != nil {
		t.Errorf("rows %v", rows)
	}
	bridge := rows[2]["deployable"].(map[string]any)
	if _, present := bridge["runner_manager"]; present || bridge["runner"] != nil || bridge["started_at"] != nil {
		t.Errorf("trigger job %v", bridge)
	}
	s.g.DeletePipelines(s.p)
	for _, row := range s.deployments("") {
		if row["deployable"] != nil {
			t.Errorf("after the pipelines: %v", row)
		}
	}
	if len(s.g.Environments(s.p)) != 1 {
		t.Error("the environment is gone with the pipelines")
	}
}

func TestDeployments_filters(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	start := s.g.Clock.Now()
	slow := s.g.QueueJob(s.p, production)
	s.g.PickUp(slow)
	s.g.Clock.Advance(time.Hour)
	s.g.Deploy(s.p, "staging")
	s.g.Clock.Advance(time.Hour)
	s.g.FinishJob(slow, "success")
	names := func(query string) (list []string) {
		t.Helper()
		for _, row := range s.deployments(query) {
			list = append(list, fmt.Sprint(row["environment"].(map[string]any)["name"]))
		}
		return list
	}
	const finished = "status=success&order_by=finished_at"
	first, second := at(start.Add(time.Hour)), at(start.Add(2*time.Hour))
	for query, want := range map[string][]string{
		"":                                    {"production", "staging"},
		"order_by=created_at&sort=desc":       {"staging", "production"},
		finished + "&finished_after=" + first: {"staging", "production"},
		finished + "&sort=desc&finished_after=" + first:           {"production", "staging"},
		finished + "&finished_after=" + second:                    {"production"},
		finished + "&finished_before=" + second:                   {"staging"},
		finished + "&finished_before=" + first:                    nil,
		finished + "&environment=staging&finished_after=" + first: {"staging"},
		"order_by=updated_at&updated_after=" + second:             {"production"},
		"order_by=updated_at":                                     {"staging", "production"},
		"environment=prod":                                        nil,
	} {
		if got := names(query); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", query, got, want)
		}
	}
}

// TestDeployments_versions: what a client meets on servers of other ages.
func TestDeployments_versions(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	s.g.Deploy(s.p, "production")
	future := at(s.g.Clock.Now().AddDate(1, 0, 0))
	for _, c := range []struct {
		version, query string
		status         int
		part           string
	}{
		{"15.6.0", "status=success&order_by=finished_at&finished_after=" + future, 400, "must be paired"},
		{"15.6.0", "status=success&finished_after=" + future, 200, `"status":"success"`},
		{"15.7.0", "status=success&order_by=finished_at&finished_after=" + future, 200, "[]"},
		{"15.7.0", "status=success&finished_after=" + future, 400, "`finished_at` filter requires `finished_at` sort."},
		{"15.11.0", "updated_after=" + future, 200, "[]"},
		{"16.0.0", "updated_after=" + future, 400, "`updated_at` filter requires `updated_at` sort"},
		{"16.2.0", "order_by=ref", 200, "production"},
		{"16.3.0", "order_by=ref", 400, "order_by does not have a valid value"},
		{"19.5.0", "status=failed&order_by=finished_at", 200, "[]"},
		{"19.5.0", "order_by=finished_at", 400, "requires `finished_at` filter or"},
	} {
		s.g.SetVersion(c.version)
		s.want(c.version+" "+c.query, s.ask("GET", "/deployments?"+c.query, ""), c.status, c.part)
	}
}

// TestDeployments_ties: nothing keeps rows of one finished_at in their place.
func TestDeployments_ties(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	for range 4 {
		s.g.Deploy(s.p, "production")
	}
	read := func() (ids []float64) {
		for page := 1; page <= 2; page++ {
			query := fmt.Sprintf("/deployments?status=success&order_by=finished_at&finished_after=%s&per_page=2&page=%d", at(s.g.Clock.Now()), page)
			for _, row := range rowsOf(t, s.ask("GET", query, "")) {
				ids = append(ids, row["iid"].(float64))
			}
		}
		return ids
	}
	if got := read(); !slices.Equal(got, []float64{1, 2, 3, 4}) {
		t.Errorf("in order: %v", got)
	}
	s.g.SetLooseOrder(true)
	if got := read(); !slices.Equal(got, []float64{1, 2, 2, 1}) {
		t.Errorf("loose: %v", got)
	}
}

func TestDeployments_byAPI(t *testing.T) {
	t.Parallel()
	s := newCIStage(t)
	create := func(status string) int {
		t.Helper()
		body := fmt.Sprintf(`{"environment":"qa","sha":%q,"ref":"main","tag":false,"status":%q}`, s.g.HeadCommit(s.p), status)
		got := s.ask("POST", "/deployments", body)
		s.want("create", got, 201, status)
		return int(fieldsOf(t, got)["id"].(float64))
	}
	id := create("running")
	put := func(status string) answer {
		return s.ask("PUT", fmt.Sprintf("/deployments/%d", id), `{"status":"`+status+`"}`)
	}
	s.want("to success", put("success"), 200, `"success"`)
	s.want("again", put("success"), 400, "cannot transition")
	s.want("back", put("running"), 400, "cannot transition")
	s.want("created is none of the API's", put("created"), 400, "status does not have a valid value")
	s.want("the last one", s.ask("DELETE", fmt.Sprintf("/deployments/%d", id), ""), 400, "Deployment currently deployed to environment")
	s.g.Clock.Advance(time.Minute)
	create("success")
	s.want("an older one", s.ask("DELETE", fmt.Sprintf("/deployments/%d", id), ""), 204, "")
	s.want("unknown, by a developer", s.as(s.g.Member(s.p, gitlabtest.Developer)).ask("DELETE", "/deployments/999999", ""), 404, `"404 Not found"`)
	s.want("missing parameters", s.ask("POST", "/deployments", `{}`), 400,
		`{"error":"environment is missing, sha is missing, ref is missing, tag is missing, status is missing"}`)
}
