package gitlabtest

import (
	"maps"
	"slices"
)

// Job is a CI/CD job of a project.
type Job struct {
	// Token is the job's own token, dead once the job has ended.
	Token string
	// Variables are the predefined variables that matter for the registry.
	Variables map[string]string
	project   *Project
	ended     bool
}

// StartJob starts a job. It gets the credentials of GitLab's own token name, if
// an active token has it.
func (s *Server) StartJob(p *Project) *Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := &Job{Token: randomText("glcbt-", 20), project: p}
	j.Variables = map[string]string{
		"CI_REGISTRY":          s.options.registryHost,
		"CI_REGISTRY_USER":     "gitlab-ci-token",
		"CI_REGISTRY_PASSWORD": j.Token,
	}
	if t := s.tokenForJobs(p); t != nil {
		j.Variables["CI_DEPLOY_USER"] = t.username
		j.Variables["CI_DEPLOY_PASSWORD"] = t.secret
	}
	s.world.jobs = append(s.world.jobs, j)
	s.world.secrets = append(s.world.secrets, j.Token)
	return j
}

// SetJobsGetNewest makes jobs get the newest of several tokens of GitLab's own
// name instead of the oldest. GitLab does not order them, so both are right.
func (s *Server) SetJobsGetNewest(newest bool) {
	s.edit(func() { s.world.jobsGetNewest = newest })
}

// tokenForJobs: any active token of the name, the project's before its own group's.
func (s *Server) tokenForJobs(p *Project) *deployToken {
	tokens := slices.Clone(s.world.tokens)
	if s.world.jobsGetNewest {
		slices.Reverse(tokens)
	}
	for _, belongs := range []func(*deployToken) bool{
		func(t *deployToken) bool { return t.project == p },
		func(t *deployToken) bool { return t.group != nil && t.group == p.group },
	} {
		for _, t := range tokens {
			if belongs(t) && t.name == automaticTokenName && t.active(s.Clock.Now()) {
				return t
			}
		}
	}
	return nil
}

// EndJob ends the job, and with it its token.
func (s *Server) EndJob(j *Job) {
	s.edit(func() { j.ended = true })
}

// DeploySecret is what Auto DevOps writes into the cluster for the job: the
// deploy token's credentials if the job has them, else the job's own. Empty if
// the deployment skips the secret.
func (s *Server) DeploySecret(j *Job) (username, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := maps.Clone(j.Variables)
	if v["CI_DEPLOY_PASSWORD"] != "" {
		return v["CI_DEPLOY_USER"], v["CI_DEPLOY_PASSWORD"]
	}
	if j.project.visibility == "public" {
		return "", ""
	}
	return v["CI_REGISTRY_USER"], v["CI_REGISTRY_PASSWORD"]
}
