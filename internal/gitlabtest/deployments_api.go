package gitlabtest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// deploymentEntity has no finished_at, although a list can be sorted by it
// (lib/api/entities/deployment.rb).
func (s *Server) deploymentEntity(d *deployment) map[string]any {
	entity := map[string]any{
		"id": d.id, "iid": d.iid, "ref": d.ref, "sha": d.sha, "created_at": stamp(d.createdAt), "updated_at": stamp(d.updatedAt),
		"user": s.userEntity(d.user), "environment": d.environment.basicEntity(), "deployable": nil, "status": d.status,
	}
	if d.job != nil {
		entity["deployable"] = s.jobEntity(d.job)
	}
	return entity
}

// extendedEntity is that of one deployment. Paid tiers tell approvals.
func (s *Server) extendedEntity(d *deployment) map[string]any {
	entity := s.deploymentEntity(d)
	if s.world.premium {
		entity["pending_approval_count"], entity["approvals"] = 0, []any{}
	}
	return entity
}

// jobEntity is the job as it is now, not as it was then (lib/api/entities/ci/job.rb).
func (s *Server) jobEntity(j *Job) map[string]any {
	made := j.pipeline
	web := s.options.externalURL + "/" + j.project.path + "/-/"
	entity := map[string]any{
		"id": j.ID, "name": j.Name, "status": j.status, "stage": "deploy", "ref": made.ref, "tag": false, "coverage": nil, "allow_failure": false,
		"created_at": stamp(j.createdAt), "started_at": stamp(j.startedAt), "finished_at": stamp(j.finishedAt), "erased_at": nil,
		"duration": s.duration(j.startedAt, j.finishedAt), "queued_duration": s.duration(j.queuedAt, j.startedAt),
		"user": s.userEntity(made.user), "commit": map[string]any{"id": made.sha, "short_id": made.sha[:min(8, len(made.sha))]},
		"pipeline": map[string]any{
			"id": made.id, "iid": made.iid, "project_id": j.project.ID, "sha": made.sha, "ref": made.ref, "status": j.status, "source": "push",
			"created_at": stamp(made.createdAt), "updated_at": stamp(latest(made.createdAt, j.startedAt, j.finishedAt)),
			"web_url": web + "pipelines/" + fmt.Sprint(made.id),
		},
		"web_url": web + "jobs/" + fmt.Sprint(j.ID), "project": map[string]any{"ci_job_token_scope_enabled": false},
		"artifacts": []any{}, "artifacts_expire_at": nil, "archived": j.project.isArchived(), "tag_list": []any{}, "runner": nil,
	}
	// A trigger job has no runner, and nothing about a runner's manager.
	if j.options.Trigger {
		return entity
	}
	entity["runner_manager"] = nil
	if !j.startedAt.IsZero() {
		entity["runner"] = map[string]any{
			"id": 1, "description": "runner", "active": true, "paused": false, "is_shared": true, "runner_type": "instance_type", "name": "gitlab-runner",
			"online": true, "status": "online",
		}
		entity["runner_manager"] = map[string]any{"id": 1, "system_id": "s_0123456789ab", "platform": "linux", "status": "online"}
	}
	return entity
}

// duration in seconds; until now if the end is open (app/models/concerns/ci/has_status.rb).
func (s *Server) duration(from, to time.Time) any {
	if from.IsZero() {
		return nil
	}
	if to.IsZero() {
		to = s.Clock.Now()
	}
	return to.Sub(from).Seconds()
}

func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }

// deploymentQuery are the parameters of the list.
type deploymentQuery struct {
	orderBy, sort, status, environment                         string
	updatedAfter, updatedBefore, finishedAfter, finishedBefore *time.Time
}

func (q deploymentQuery) byUpdate() bool { return q.updatedAfter != nil || q.updatedBefore != nil }
func (q deploymentQuery) byEnd() bool    { return q.finishedAfter != nil || q.finishedBefore != nil }

func (s *Server) deploymentQuery(p *parameters) deploymentQuery {
	q := deploymentQuery{orderBy: "id", sort: "asc"}
	orders := []string{"id", "iid", "created_at", "updated_at", "finished_at"}
	if !s.world.since(dropsRefOrder) {
		orders = append(orders, "ref")
	}
	set(&q.orderBy, p.oneOf("order_by", orders...))
	set(&q.sort, p.oneOf("sort", "asc", "desc"))
	q.updatedAfter, q.updatedBefore = p.moment("updated_after"), p.moment("updated_before")
	if s.world.since(knowsFinishedFilter) {
		q.finishedAfter, q.finishedBefore = p.moment("finished_after"), p.moment("finished_before")
	}
	set(&q.environment, p.text("environment"))
	set(&q.status, p.oneOf("status",
		statusCreated, statusRunning, statusSuccess, statusFailed, statusCanceled, statusSkipped, statusBlocked))
	return q
}

// refusal is what GitLab says to queries that its indexes do not serve
// (app/finders/deployments_finder.rb), in its order.
func (s *Server) refusal(q deploymentQuery) string {
	switch {
	case q.byUpdate() && q.byEnd():
		return "Both `updated_at` filter and `finished_at` filter can not be specified"
	case q.byUpdate() && q.orderBy != "updated_at" && s.world.since(pairsUpdates):
		return "`updated_at` filter requires `updated_at` sort"
	case !s.world.since(knowsFinishedFilter):
		if q.orderBy == "finished_at" {
			return "`finished_at` filter and `finished_at` sorting must be paired"
		}
	case q.byEnd() && q.orderBy != "finished_at":
		return "`finished_at` filter requires `finished_at` sort."
	case q.orderBy == "finished_at" && !q.byEnd() && !slices.Contains(finishedStatuses, q.status):
		return "`finished_at` sort requires `finished_at` filter or a filter with at least one of the finished statuses."
	case q.byEnd() && q.status != statusSuccess:
		return "`finished_at` filter must be combined with `success` status filter."
	}
	return ""
}

func (q deploymentQuery) selects(d *deployment) bool {
	return (q.environment == "" || d.environment.name == q.environment) && (q.status == "" || d.status == q.status) &&
		within(d.updatedAt, q.updatedAfter, q.updatedBefore) && (!q.byEnd() || within(d.finishedAt, q.finishedAfter, q.finishedBefore))
}

// within: after is inclusive, before is not.
func within(at time.Time, after, before *time.Time) bool {
	return !at.IsZero() && (after == nil || !at.Before(*after)) && (before == nil || at.Before(*before))
}

func (s *Server) listDeployments(x *exchange) {
	if !x.identified() {
		return
	}
	p := x.declared()
	q := s.deploymentQuery(p)
	if !p.valid() {
		return
	}
	project := s.projectForEnvironments(x, Reporter)
	if project == nil {
		return
	}
	if why := s.refusal(q); why != "" {
		x.message(http.StatusBadRequest, "400 Bad request - "+why)
		return
	}
	var rows []*deployment
	for _, d := range project.deployments {
		if q.selects(d) {
			rows = append(rows, d)
		}
	}
	slices.SortStableFunc(rows, s.deploymentOrder(x, q))
	entities := make([]any, 0, len(rows))
	for _, d := range rows {
		entities = append(entities, s.deploymentEntity(d))
	}
	s.page(x, entities)
}

// deploymentOrder: created_at and iid are turned into id, updated_at has id as its
// tie-breaker, finished_at has none.
func (s *Server) deploymentOrder(x *exchange, q deploymentQuery) func(a, b *deployment) int {
	if q.byUpdate() {
		q.orderBy = "updated_at"
	}
	direction := 1
	if q.sort == "desc" {
		direction = -1
	}
	tiesTurn := s.world.looseOrder && x.positive("page", 1)%2 == 0
	return func(a, b *deployment) int {
		byID := cmp.Compare(a.id, b.id)
		switch q.orderBy {
		case "updated_at":
			return direction * cmp.Or(a.updatedAt.Compare(b.updatedAt), byID)
		case "finished_at":
			if tiesTurn {
				byID = -byID
			}
			return direction * cmp.Or(a.finishedAt.Compare(b.finishedAt), byID)
		case "ref":
			return direction * cmp.Compare(a.ref, b.ref)
		}
		return direction * byID
	}
}

// SetLooseOrder makes deployments with one and the same finished_at change their order
// from page to page, as nothing in GitLab's query keeps them in place.
func (s *Server) SetLooseOrder(loose bool) {
	s.edit(func() { s.world.looseOrder = loose })
}

// deploymentOf finds the deployment of the path in a project that the caller sees.
func (s *Server) deploymentOf(x *exchange, p *Project, id int64) *deployment {
	for _, d := range p.deployments {
		if d.id == id {
			return d
		}
	}
	x.message(http.StatusNotFound, "404 Not found")
	return nil
}

func (s *Server) getDeployment(x *exchange) {
	if !x.identified() {
		return
	}
	id, ok := x.pathID("deployment_id")
	if !ok {
		return
	}
	if p := s.projectForEnvironments(x, Reporter); p != nil {
		if d := s.deploymentOf(x, p, id); d != nil {
			x.json(http.StatusOK, s.extendedEntity(d))
		}
	}
}
