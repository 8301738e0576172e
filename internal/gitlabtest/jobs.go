package gitlabtest

import (
	"fmt"
	"maps"
	"time"
)

// Job is a CI/CD job of a project.
type Job struct {
	ID                int64
	Name, Environment string
	// Token is the job's own token, which works while the job runs.
	Token string
	// Variables are what the runner got with the job: nothing before it was picked up.
	Variables map[string]string

	project     *Project
	options     JobOptions
	pipeline    *pipeline
	environment *environment
	status      string

	createdAt, queuedAt, startedAt, finishedAt time.Time
}

// JobOptions describe a job and its pipeline.
type JobOptions struct {
	// Name is "build" unless set.
	Name string
	// Environment is the name as the runner sees it: "review/feature-1".
	Environment string
	// Action is the environment's action, "start" unless set. Only start makes a deployment.
	Action string
	// Protected says that the pipeline's ref is protected.
	Protected bool
	// Waits is for a manual job: it is queued by PlayJob.
	Waits bool
	// Trigger is for a job that starts another pipeline (a bridge): no runner takes it.
	Trigger bool
	// Ref is "main" unless set.
	Ref string
	// SHA is the commit. Each pipeline has one of its own unless set.
	SHA string
	// User is who made the pipeline, somebody unless set.
	User *User

	// YAML are the variables of .gitlab-ci.yml, Dotenv those of earlier jobs, Pipeline
	// those of a manual run, a trigger or the API, Schedule those of a schedule, Manual
	// those of a manual job, Policy those of a policy. They do not change any more.
	YAML, Dotenv, Pipeline, Schedule, Manual, Policy map[string]string
}

type pipeline struct {
	id, iid   int64
	sha, ref  string
	user      *User
	createdAt time.Time
}

// The states of a job, which are those of a deployment as well.
const (
	statusCreated  = "created"
	statusManual   = "manual"
	statusPending  = "pending"
	statusRunning  = "running"
	statusSuccess  = "success"
	statusFailed   = "failed"
	statusCanceled = "canceled"
	statusSkipped  = "skipped"
	statusBlocked  = "blocked"
)

const actionStart, actionStop = "start", "stop"

// QueueJob makes a pipeline with that job, which then waits for a runner. With an
// environment, it makes the environment, and the deployment's row: "created", or
// "blocked" for a manual job. No pipeline is made in an archived project or without
// CI/CD, so this panics.
func (s *Server) QueueJob(p *Project, o JobOptions) *Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queueJob(p, o)
}

func (s *Server) queueJob(p *Project, o JobOptions) *Job {
	if why := p.withoutPipelines(); why != "" {
		panic("gitlabtest: no pipeline in " + p.path + ": " + why)
	}
	if o.User == nil {
		o.User = s.somebody()
	}
	p.pipelines++
	made := &pipeline{
		id: s.world.nextRow(), iid: p.pipelines, sha: orElse(o.SHA, fmt.Sprintf("%040x", s.world.nextRow())), ref: orElse(o.Ref, "main"),
		user: o.User, createdAt: s.Clock.Now(),
	}
	p.pushed = append(p.pushed, commit{made.sha, made.ref})
	if o.Environment != "" {
		s.ensureEnvironment(p, o.Environment)
	}
	return s.addJob(p, o, made)
}

func (p *Project) withoutPipelines() string {
	switch {
	case p.isArchived():
		return "it is archived"
	case p.buildsLevel == "disabled" || p.repositoryLevel == "disabled":
		return "CI/CD is off"
	}
	return ""
}

// somebody is who makes the pipelines for which nobody was named.
func (s *Server) somebody() *User {
	const id = 1_000_000 // none that another user has
	for _, u := range s.world.users {
		if u.ID == id {
			return u
		}
	}
	u := &User{ID: id, Username: "somebody"}
	s.world.users = append(s.world.users, u)
	return u
}

// addJob adds a job to a pipeline, and its deployment. Only the action start makes one
// (app/services/environments/create_for_job_service.rb), and only of an environment
// that exists: a retry does not bring a deleted one back (gitlab#418694).
func (s *Server) addJob(p *Project, o JobOptions, made *pipeline) *Job {
	now := s.Clock.Now()
	j := &Job{
		ID: s.world.nextRow(), Name: orElse(o.Name, "build"), Environment: o.Environment, Token: randomText("glcbt-", 20), Variables: map[string]string{},
		project: p, options: o, pipeline: made, environment: p.environment(o.Environment), status: statusPending, createdAt: now, queuedAt: now,
	}
	if o.Waits {
		j.status, j.queuedAt = statusManual, time.Time{}
	}
	s.world.jobs = append(s.world.jobs, j)
	s.world.secrets = append(s.world.secrets, j.Token)
	if j.environment != nil && orElse(o.Action, actionStart) == actionStart {
		d := &deployment{project: p, environment: j.environment, job: j, user: made.user, sha: made.sha, ref: made.ref, status: statusCreated}
		if o.Waits {
			d.status = statusBlocked
		}
		s.addDeployment(d)
	}
	return j
}

// PlayJob queues a manual job.
func (s *Server) PlayJob(j *Job) {
	s.edit(func() {
		j.status, j.queuedAt = statusPending, s.Clock.Now()
		s.setDeployment(j, statusCreated)
	})
}

// PickUp is what happens when a runner takes the job: GitLab sets started_at, and then
// puts the variables together in the same request (register_job_service.rb). So they
// are those of this moment, however old the pipeline is. A job with an older commit
// than the environment's last success fails instead (forward deployments).
func (s *Server) PickUp(j *Job) {
	s.edit(func() { s.pickUp(j) })
}

func (s *Server) pickUp(j *Job) {
	if s.outdated(j) {
		s.finishJob(j, statusFailed)
		return
	}
	s.startRunning(j)
	j.Variables = s.jobVariables(j)
}

// PickUpInTwoPhases puts the variables together while the job stays pending, for a
// runner that says it is running later. StartRunning is its second phase.
func (s *Server) PickUpInTwoPhases(j *Job) {
	s.edit(func() {
		if s.outdated(j) {
			s.finishJob(j, statusFailed)
			return
		}
		j.Variables = s.jobVariables(j)
	})
}

// StartRunning sets started_at of a job that PickUpInTwoPhases handed out.
func (s *Server) StartRunning(j *Job) {
	s.edit(func() { s.startRunning(j) })
}

func (s *Server) startRunning(j *Job) {
	j.status = statusRunning
	// No runner ever starts a trigger job.
	if !j.options.Trigger {
		j.startedAt = s.Clock.Now()
	}
	s.setDeployment(j, statusRunning)
}

// outdated: the project setting ci_forward_deployment_enabled, on by default, lets no
// job start whose deployment is older than the last success with another commit. Jobs
// that run already are not stopped (app/models/ci/build.rb).
func (s *Server) outdated(j *Job) bool {
	d := j.deployment()
	if d == nil || j.project.deploysBackwards {
		return false
	}
	last := j.environment.lastDeployment()
	return last != nil && last.sha != d.sha && d.id < last.id
}

// SetForwardDeployment switches that project setting.
func (s *Server) SetForwardDeployment(p *Project, enabled bool) {
	s.edit(func() { p.deploysBackwards = !enabled })
}

// FinishJob ends the job with "success", "failed", "canceled" or "skipped". Its token
// ends with it, and so does its deployment. A success makes the environment available,
// or stops it if that is the job's action.
func (s *Server) FinishJob(j *Job, status string) {
	s.edit(func() { s.finishJob(j, status) })
}

func (s *Server) finishJob(j *Job, status string) {
	j.status, j.finishedAt = status, s.Clock.Now()
	s.setDeployment(j, status)
	if status != statusSuccess || j.environment == nil {
		return
	}
	switch orElse(j.options.Action, actionStart) {
	case actionStart:
		j.environment.setState(stateAvailable, s.Clock.Now())
	case actionStop:
		j.environment.setState(stateStopped, s.Clock.Now())
	}
}

// works says whether the job's token is accepted.
func (j *Job) works() bool { return j.status == statusRunning }

// RetryJob runs the job again: a new job in the old pipeline, with a deployment of its
// own (retry_job_service.rb). What was frozen stays frozen; everything else is taken
// when the new job is picked up.
func (s *Server) RetryJob(j *Job) *Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := j.options
	o.Waits = false
	return s.addJob(j.project, o, j.pipeline)
}

// Rollback deploys what the job deployed once more, as the button Rollback or Re-deploy
// does: a retry.
func (s *Server) Rollback(j *Job) *Job { return s.RetryJob(j) }

// JobStatus is the job's status.
func (s *Server) JobStatus(j *Job) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return j.status
}

// StartJob starts a job without an environment.
func (s *Server) StartJob(p *Project) *Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.queueJob(p, JobOptions{})
	s.pickUp(j)
	return j
}

// EndJob ends the job well, and with it its token.
func (s *Server) EndJob(j *Job) { s.FinishJob(j, statusSuccess) }

// DeletePipelines deletes the project's pipelines with their jobs, as somebody can by
// hand, and as the retention of pipelines does. Deployments lose their deployable.
func (s *Server) DeletePipelines(p *Project) {
	s.edit(func() {
		for _, d := range p.deployments {
			d.job = nil
		}
		s.world.jobs = withoutJobsOf(p, s.world.jobs)
	})
}

func withoutJobsOf(p *Project, jobs []*Job) []*Job {
	var kept []*Job
	for _, j := range jobs {
		if j.project != p {
			kept = append(kept, j)
		}
	}
	return kept
}

// DeploySecret is what Auto DevOps writes into the cluster for the job; empty if the
// deployment skips the Secret. See CreateSecret.
func (s *Server) DeploySecret(j *Job) (username, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return registryCredentials(maps.Clone(j.Variables))
}
