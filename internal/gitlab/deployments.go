package gitlab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

// maxDeployments bounds how many deployments are looked through, newest first. An environment
// whose deployments are older is asked for alone.
const maxDeployments = 5 * perPage

type environmentJSON struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	State string `json:"state"`
	// LastDeployment is only in the answer about one environment.
	LastDeployment *deploymentJSON `json:"last_deployment"`
}

type deploymentJSON struct {
	ID          int64     `json:"id"`
	Status      string    `json:"status"`
	UpdatedAt   time.Time `json:"updated_at"`
	Environment struct {
		ID int64 `json:"id"`
	} `json:"environment"`
	Deployable *jobJSON `json:"deployable"`
}

type jobJSON struct {
	Name           string     `json:"name"`
	StartedAt      *time.Time `json:"started_at"`
	FinishedAt     *time.Time `json:"finished_at"`
	QueuedDuration *float64   `json:"queued_duration"`
}

// deployment returns the deployment. A job's payload is put together after it was queued
// (app/services/ci/register_job_service.rb), which started_at alone does not tell.
func (d deploymentJSON) deployment(environmentID int64) access.Deployment {
	deployment := access.Deployment{EnvironmentID: environmentID, Status: d.Status, UpdatedAt: d.UpdatedAt.UTC()}
	if d.Deployable == nil {
		return deployment
	}
	job := &access.DeployJob{Name: d.Deployable.Name}
	if d.Deployable.StartedAt != nil {
		job.StartedAt = d.Deployable.StartedAt.UTC()
		if queued := d.Deployable.QueuedDuration; queued != nil && *queued >= 0 {
			job.QueuedAt = job.StartedAt.Add(-time.Duration(*queued * float64(time.Second)))
		}
	}
	if d.Deployable.FinishedAt != nil {
		job.FinishedAt = d.Deployable.FinishedAt.UTC()
	}
	deployment.Job = job
	return deployment
}

// Environments lists the environments of a project, and of each the deployments that tell what
// was deployed last and what has happened since that time. An error of KindForbidden says that CI/CD or environments are off for the
// project, or that the caller's role is too low.
func (c *Client) Environments(ctx context.Context, projectID int64, since time.Time) ([]access.Environment, []access.Deployment, error) {
	environments, err := c.listEnvironments(ctx, projectID)
	if err != nil || len(environments) == 0 {
		return environments, nil, err
	}
	deployed := map[int64]bool{}
	enough := func(rows []access.Deployment) bool {
		for _, d := range rows {
			if d.Status == access.DeploymentSucceeded {
				deployed[d.EnvironmentID] = true
			}
		}
		return len(deployed) == len(environments) && rows[len(rows)-1].UpdatedAt.Before(since)
	}
	deployments, complete, err := c.listDeployments(ctx, projectID, enough, "order_by", "updated_at", "sort", "desc")
	if err != nil {
		return nil, nil, err
	}
	if complete {
		return environments, deployments, nil
	}
	// A job that took its variables long ago may still be at work.
	running, _, err := c.listDeployments(ctx, projectID, nil, "status", "running")
	if err != nil {
		return nil, nil, err
	}
	deployments = append(deployments, running...)
	for _, e := range environments {
		if hasSuccess(deployments, e.ID) {
			continue
		}
		last, err := c.lastDeployment(ctx, projectID, e.ID)
		if err != nil {
			return nil, nil, err
		}
		deployments = append(deployments, last...)
	}
	return environments, deployments, nil
}

func (c *Client) listEnvironments(ctx context.Context, projectID int64) ([]access.Environment, error) {
	action := fmt.Sprintf("list the environments of project %d", projectID)
	var environments []access.Environment
	err := c.steadily(ctx, action, "Plan again.", func() (bool, error) {
		environments = nil
		return c.eachPage(ctx, action, fmt.Sprintf("projects/%d/environments", projectID), func(raw json.RawMessage) error {
			var row environmentJSON
			if json.Unmarshal(raw, &row) != nil || row.ID <= 0 || row.Name == "" {
				return errUnreadableRow
			}
			environments = append(environments, access.Environment{ID: row.ID, Name: c.quote(row.Name), Stopped: row.State == "stopped"})
			return nil
		}, nil)
	})
	return environments, err
}

func hasSuccess(deployments []access.Deployment, environmentID int64) bool {
	return slices.ContainsFunc(deployments, func(d access.Deployment) bool {
		return d.EnvironmentID == environmentID && d.Status == access.DeploymentSucceeded
	})
}

// listDeployments lists deployments until there are enough, and reports whether these are all. A list
// that moves while it is read only repeats rows or shows newer ones first, which does no harm.
func (c *Client) listDeployments(
	ctx context.Context, projectID int64, enough func([]access.Deployment) bool, query ...string,
) (deployments []access.Deployment, complete bool, err error) {
	action := fmt.Sprintf("list the deployments of project %d", projectID)
	complete = true
	_, err = c.eachPage(ctx, action, fmt.Sprintf("projects/%d/deployments", projectID), func(raw json.RawMessage) error {
		var row deploymentJSON
		if json.Unmarshal(raw, &row) != nil || row.ID <= 0 || row.Environment.ID <= 0 {
			return errUnreadableRow
		}
		deployments = append(deployments, row.deployment(row.Environment.ID))
		return nil
	}, func() bool {
		if len(deployments) >= maxDeployments || enough != nil && len(deployments) > 0 && enough(deployments) {
			complete = false
		}
		return !complete
	}, query...)
	return deployments, complete, err
}

// lastDeployment is the last successful deployment of an environment; none if it has none.
func (c *Client) lastDeployment(ctx context.Context, projectID, environmentID int64) ([]access.Deployment, error) {
	action := fmt.Sprintf("read environment %d of project %d", environmentID, projectID)
	got, err := c.request(ctx, http.MethodGet, fmt.Sprintf("projects/%d/environments/%d", projectID, environmentID), nil)
	if err != nil {
		return nil, c.noAnswer(action, err)
	}
	if got.status != http.StatusOK {
		return nil, c.refused(action, got)
	}
	var row environmentJSON
	if json.Unmarshal(got.body, &row) != nil || row.ID != environmentID {
		return nil, c.garbled(action, got)
	}
	if row.LastDeployment == nil {
		return nil, nil
	}
	return []access.Deployment{row.LastDeployment.deployment(environmentID)}, nil
}
