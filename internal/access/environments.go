package access

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Environment is an environment of a project.
type Environment struct {
	ID      int64
	Name    string
	Stopped bool
}

// DeploymentSucceeded is the status of a deployment whose job ended well.
const DeploymentSucceeded = "success"

// Deployment is one deployment to an environment.
type Deployment struct {
	EnvironmentID int64
	Status        string
	UpdatedAt     time.Time
	// Job is nil for a deployment that was made through the API, and for one whose job is gone.
	Job *DeployJob
}

// DeployJob is the job of a deployment. A time is zero if it has not come yet or is not known.
type DeployJob struct {
	Name string
	// QueuedAt is when the job became ready for a runner: before a runner took it, and so
	// before its variables were put together.
	QueuedAt, StartedAt, FinishedAt time.Time
}

// autoDevOpsJob matches the jobs of Auto DevOps that write the Secret
// (lib/gitlab/ci/templates/Jobs/Deploy.gitlab-ci.yml, DAST-Default-Branch-Deploy.gitlab-ci.yml).
var autoDevOpsJob = regexp.MustCompile(`^(?:review|staging|canary|production|production_manual|(?:timed )?rollout [0-9]+%|dast_environment_deploy)$`)

// reviewJob deploys an environment whose stop job removes the application.
const reviewJob = "review"

// Holding is what the Secret of an environment holds, as far as GitLab's deployments tell.
type Holding string

// The credentials that an environment can hold.
const (
	// HoldsCurrent: what is published now.
	HoldsCurrent Holding = "current"
	// HoldsRetired: a token that was replaced since.
	HoldsRetired Holding = "retired"
	// HoldsJobToken: the token of a job that has ended, which pulls nothing.
	HoldsJobToken Holding = "job_token"
	// HoldsGitLabToken: the token that GitLab makes and gives to jobs by itself.
	HoldsGitLabToken Holding = "gitlab_token"
	// HoldsNone: no credentials, as it was deployed while none were needed.
	HoldsNone Holding = "none"
	// HoldsUnknown: the deployments do not tell.
	HoldsUnknown Holding = "unknown"
)

// Holdings lists every holding.
func Holdings() []Holding {
	return []Holding{HoldsCurrent, HoldsRetired, HoldsJobToken, HoldsGitLabToken, HoldsNone, HoldsUnknown}
}

// PublishedToken is one publication.
type PublishedToken struct {
	// TokenID is 0 for a withdrawal.
	TokenID int64 `json:"token_id"`
	// From is zero while it is not certain that the token was published.
	From time.Time `json:"from,omitzero"`
	// Until is the token's expiry; zero if it has none.
	Until    time.Time `json:"until,omitzero"`
	Username string    `json:"username,omitempty"`
	// Digest recognises the secret.
	Digest string `json:"digest,omitempty"`
}

// History is what was published when.
type History struct {
	// Published are the publications, oldest first. The last one is the current one.
	Published []PublishedToken
	// Complete: before the first of them, jobs got what GitLab injects.
	Complete bool
	// RepublishedAt is when the variables were last repaired; zero if never.
	RepublishedAt time.Time
	// Retired are the tokens that live on.
	Retired []RetiredToken
	// GitLabToken: GitLab gives jobs a deploy token by itself. GitLabTokenUntil is zero if it has no expiry.
	GitLabToken      bool
	GitLabTokenUntil time.Time
	// Reaches says whether the jobs of an environment get the variables as they were published;
	// nil if all do.
	Reaches func(environment string) bool
	// Now is GitLab's time.
	Now time.Time
	// Public: deploy jobs of the project write no Secret without CI/CD variables.
	Public bool
}

// EnvironmentState is what an environment holds.
type EnvironmentState struct {
	Name string
	// DeployedAt is when the last successful deployment ended; zero if that is not known.
	DeployedAt time.Time
	Holds      Holding
	// TokenID is the token of the record that it holds; 0 if it holds another one.
	TokenID int64
	// Until is when what it holds stops pulling; zero if that is never or not known.
	Until time.Time
}

// queueMargin: GitLab tells times in parts of a second, and clocks of its machines differ a little.
const queueMargin = time.Minute

// Survey says what each environment holds, sorted by name. One that was never deployed with
// success has no Secret and is left out, and so is a review app that was stopped.
func Survey(environments []Environment, deployments []Deployment, history History) []EnvironmentState {
	byEnvironment := map[int64][]Deployment{}
	for _, d := range deployments {
		byEnvironment[d.EnvironmentID] = append(byEnvironment[d.EnvironmentID], d)
	}
	var states []EnvironmentState
	for _, e := range environments {
		rows := byEnvironment[e.ID]
		last, deployed := lastSuccess(rows)
		if !deployed || e.Stopped && last.Job != nil && last.Job.Name == reviewJob {
			continue
		}
		state := EnvironmentState{Name: e.Name, DeployedAt: last.endedAt()}
		history.held(rows, last, &state)
		states = append(states, state)
	}
	slices.SortFunc(states, func(a, b EnvironmentState) int { return strings.Compare(a.Name, b.Name) })
	return states
}

// Behind leaves out the environments that hold what is published now.
func Behind(states []EnvironmentState) []EnvironmentState {
	return slices.DeleteFunc(slices.Clone(states), func(s EnvironmentState) bool { return s.Holds == HoldsCurrent })
}

func lastSuccess(rows []Deployment) (last Deployment, found bool) {
	for _, d := range rows {
		if d.Status == DeploymentSucceeded && (!found || cmp.Compare(d.endedAt().UnixNano(), last.endedAt().UnixNano()) > 0) {
			last, found = d, true
		}
	}
	return last, found
}

func (d Deployment) endedAt() time.Time {
	if d.Job != nil && !d.Job.FinishedAt.IsZero() {
		return d.Job.FinishedAt
	}
	return d.UpdatedAt
}

func (d Deployment) byAutoDevOps() bool { return d.Job != nil && autoDevOpsJob.MatchString(d.Job.Name) }

// held writes what an environment holds after these deployments.
func (h History) held(rows []Deployment, last Deployment, state *EnvironmentState) {
	state.Holds = HoldsUnknown
	reached := h.Reaches == nil || h.Reaches(state.Name)
	if len(h.Published) > 0 && reached {
		current := h.Published[len(h.Published)-1]
		since := current.From
		if h.RepublishedAt.After(since) {
			since = h.RepublishedAt
		}
		// After a withdrawal, such a job has written nothing, or what it needed by itself.
		if hasWritten(rows, since.Add(queueMargin)) {
			state.Holds, state.TokenID = HoldsCurrent, current.TokenID
			return
		}
	}
	if last.byAutoDevOps() && !last.Job.QueuedAt.IsZero() {
		h.writtenBy(*last.Job, reached, state)
	}
}

// hasWritten reports whether a job that took its variables after that time has certainly written
// the Secret last: one ended well, and no job that took its variables before was at work after it
// had been queued.
func hasWritten(rows []Deployment, since time.Time) bool {
	after := func(d Deployment) bool {
		return d.Job != nil && !d.Job.QueuedAt.IsZero() && !d.Job.QueuedAt.Before(since)
	}
	for _, good := range rows {
		if good.Status != DeploymentSucceeded || !good.byAutoDevOps() || !after(good) {
			continue
		}
		late := slices.ContainsFunc(rows, func(d Deployment) bool {
			if d.Job == nil {
				return d.UpdatedAt.After(good.Job.QueuedAt)
			}
			return !after(d) && !d.Job.StartedAt.IsZero() &&
				(d.Job.FinishedAt.IsZero() || d.Job.FinishedAt.After(good.Job.QueuedAt))
		})
		if !late {
			return true
		}
	}
	return false
}

// writtenBy writes what a job has written that was queued before the current publication.
func (h History) writtenBy(job DeployJob, reached bool, state *EnvironmentState) {
	for i, p := range slices.Backward(h.Published) {
		switch {
		case job.QueuedAt.Before(p.From):
			continue
		case i == len(h.Published)-1, !reached, job.QueuedAt.Before(p.From.Add(queueMargin)):
			return // taken about when the variables changed, or overtaken, or from other variables
		case p.TokenID == 0:
			state.Holds = HoldsNone
			return
		}
		state.Holds, state.TokenID, state.Until = HoldsRetired, p.TokenID, p.Until
		if at := slices.IndexFunc(h.Retired, func(t RetiredToken) bool { return t.ID == p.TokenID }); at >= 0 {
			state.Until = h.Retired[at].RevokeAt
		} else if next := h.Published[i+1].From; p.Until.IsZero() || p.Until.After(h.Now) {
			state.Until = next // it is tracked no more, so it was revoked before its expiry
		}
		return
	}
	switch {
	case !h.Complete:
	case h.Public:
		state.Holds = HoldsNone
	case h.GitLabToken:
		state.Holds, state.Until = HoldsGitLabToken, h.GitLabTokenUntil
	default:
		state.Holds, state.Until = HoldsJobToken, job.FinishedAt
	}
}
