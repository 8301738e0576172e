package gitlabtest

import (
	"fmt"
	"net/http"
	"slices"
)

// HeadCommit is the commit at the head of the project's default branch, main. Others
// are made by pipelines.
func (s *Server) HeadCommit(p *Project) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.headCommit()
}

func (p *Project) headCommit() string { return fmt.Sprintf("%040x", p.ID) }

// commit is a commit with its branch.
type commit struct{ sha, ref string }

// knowsCommit says whether the repository has the commit or the branch.
func (p *Project) knowsCommit(is func(sha, ref string) bool) bool {
	return is(p.headCommit(), "main") || slices.ContainsFunc(p.pushed, func(c commit) bool { return is(c.sha, c.ref) })
}

// apiStatuses are what the API can give a deployment.
var apiStatuses = []string{statusRunning, statusSuccess, statusFailed, statusCanceled}

// createDeployment makes a deployment without a job, and its environment if that is missing.
func (s *Server) createDeployment(x *exchange) {
	if !x.identified() {
		return
	}
	p := x.declared()
	p.requires("environment", "sha", "ref", "tag", "status")
	p.filled("environment", "sha", "ref")
	environment, sha, ref := p.text("environment"), p.text("sha"), p.text("ref")
	tag, status := p.boolean("tag"), p.oneOf("status", apiStatuses...)
	if !p.valid() {
		return
	}
	project := s.projectForEnvironments(x, Developer)
	if project == nil {
		return
	}
	d := &deployment{project: project, user: x.user}
	set(&d.sha, sha)
	set(&d.ref, ref)
	set(&d.tag, tag)
	set(&d.status, status)
	refuse := func(attribute, text string) {
		x.json(http.StatusBadRequest, map[string]any{"message": map[string]any{attribute: []string{text}}})
	}
	if !project.knowsCommit(func(_, known string) bool { return known == d.ref }) {
		refuse("ref", "The branch or tag does not exist")
		return
	}
	if project.environment(*environment) == nil {
		if problems := project.nameProblems(*environment); problems != nil {
			x.json(http.StatusBadRequest, map[string]any{"message": problems})
			return
		}
	}
	// The environment stays, whatever comes of the deployment.
	d.environment = s.ensureEnvironment(project, *environment)
	if !project.knowsCommit(func(known, _ string) bool { return known == d.sha }) {
		refuse("sha", "The commit does not exist")
		return
	}
	s.addDeployment(d)
	s.follow(d)
	x.json(http.StatusCreated, s.extendedEntity(d))
}

// follow is what a success does to the environment.
func (s *Server) follow(d *deployment) {
	if d.status == statusSuccess {
		d.environment.setState(stateAvailable, s.Clock.Now())
	}
}

// deploymentToChange finds the deployment before it asks for the role.
func (s *Server) deploymentToChange(x *exchange, needed Role) *deployment {
	id, ok := x.pathID("deployment_id")
	if !ok {
		return nil
	}
	p := s.project(x)
	if p == nil {
		return nil
	}
	d := s.deploymentOf(x, p, id)
	if d != nil && !p.allowsEnvironments(x, needed) {
		x.message(http.StatusForbidden, "403 Forbidden")
		return nil
	}
	return d
}

func (s *Server) putDeployment(x *exchange) {
	if !x.identified() {
		return
	}
	p := x.declared()
	p.requires("status")
	status := p.oneOf("status", apiStatuses...)
	if !p.valid() {
		return
	}
	d := s.deploymentToChange(x, Developer)
	if d == nil || status == nil {
		return
	}
	if d.job != nil {
		x.message(http.StatusForbidden, "403 Forbidden - Deployments created using GitLab CI can not be updated using the API")
		return
	}
	// Only a new deployment can begin to run; every other state follows any but itself.
	if *status == d.status || *status == statusRunning && d.status != statusCreated {
		x.json(http.StatusBadRequest, map[string]any{"message": map[string]any{"status": []string{"cannot transition to " + *status}}})
		return
	}
	s.setStatus(d, *status)
	s.follow(d)
	x.json(http.StatusOK, s.extendedEntity(d))
}

func (s *Server) removeDeployment(x *exchange) {
	if !x.identified() {
		return
	}
	gone := s.deploymentToChange(x, Maintainer)
	switch {
	case gone == nil:
	case gone.status == statusRunning:
		x.message(http.StatusBadRequest, "Cannot destroy running deployment")
	case gone.environment.lastDeployment() == gone:
		x.message(http.StatusBadRequest, "Deployment currently deployed to environment")
	default:
		gone.project.deployments = slices.DeleteFunc(gone.project.deployments, func(d *deployment) bool { return d == gone })
		x.WriteHeader(http.StatusNoContent)
	}
}
