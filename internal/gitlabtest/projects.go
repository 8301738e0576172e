package gitlabtest

import "net/http"

func (s *Server) getProject(x *exchange) {
	if p := s.project(x); p != nil {
		x.json(http.StatusOK, s.projectEntity(p, x.user, false))
	}
}

// putProject changes what the stand-in knows of a project. GitLab asks for a sign-in
// first, then looks at the parameters, then at the project (lib/api/projects.rb).
func (s *Server) putProject(x *exchange) {
	if !x.signedIn() {
		return
	}
	given := x.declared()
	visibility := given.oneOf("visibility", "private", "internal", "public")
	var levels [4]*string
	for i, name := range []string{"container_registry", "builds", "repository", "environments"} {
		levels[i] = given.oneOf(name+"_access_level", "disabled", "private", "enabled")
	}
	strategy := given.oneOf("auto_devops_deploy_strategy", "continuous", "manual", "timed_incremental")
	autoDevOps := given.boolean("auto_devops_enabled")
	if !given.valid() {
		return
	}
	p := s.project(x)
	if p == nil {
		return
	}
	if p.roleIn(x.user) < Maintainer {
		x.message(http.StatusForbidden, "403 Forbidden")
		return
	}
	set(&p.visibility, visibility)
	set(&p.registryLevel, levels[0])
	set(&p.buildsLevel, levels[1])
	set(&p.repositoryLevel, levels[2])
	set(&p.environmentsLevel, levels[3])
	_, setsFlag := x.params["auto_devops_enabled"]
	setsStrategy := strategy != nil
	set(&p.strategy, strategy)
	if setsStrategy && !setsFlag && p.record != nil {
		autoDevOps = p.record.enabled
	}
	if setsFlag || setsStrategy {
		s.saveAutoDevOps(p, autoDevOps)
	}
	x.json(http.StatusOK, s.projectEntity(p, x.user, false))
}
