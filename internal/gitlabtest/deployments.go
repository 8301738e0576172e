package gitlabtest

import (
	"slices"
	"time"
)

// deployment is a row of a project's deployments.
type deployment struct {
	id, iid     int64
	project     *Project
	environment *environment
	// job is nil for one that the API made, and when the pipeline is gone.
	job              *Job
	user             *User
	sha, ref, status string
	tag              bool

	createdAt, updatedAt, finishedAt time.Time
}

var finishedStatuses = []string{statusSuccess, statusFailed, statusCanceled}

func (s *Server) addDeployment(d *deployment) {
	now := s.Clock.Now()
	d.project.deploymentIID++
	d.id, d.iid, d.createdAt, d.updatedAt = s.world.nextRow(), d.project.deploymentIID, now, now
	if slices.Contains(finishedStatuses, d.status) {
		d.finishedAt = now
	}
	d.project.deployments = append(d.project.deployments, d)
}

func (j *Job) deployment() *deployment {
	for _, d := range j.project.deployments {
		if d.job == j {
			return d
		}
	}
	return nil
}

// setDeployment follows the job.
func (s *Server) setDeployment(j *Job, status string) {
	if d := j.deployment(); d != nil {
		s.setStatus(d, status)
	}
}

func (s *Server) setStatus(d *deployment, status string) {
	d.status, d.updatedAt = status, s.Clock.Now()
	if slices.Contains(finishedStatuses, status) {
		d.finishedAt = d.updatedAt
	}
}
