package gitlabtest

// SetCIEnabled switches the project's CI/CD on or off (builds_access_level).
func (s *Server) SetCIEnabled(p *Project, enabled bool) {
	s.edit(func() { p.buildsLevel = accessLevel(enabled) })
}

// SetRepositoryEnabled switches the project's repository, and with it CI/CD.
func (s *Server) SetRepositoryEnabled(p *Project, enabled bool) {
	s.edit(func() { p.repositoryLevel = accessLevel(enabled) })
}

// SetEnvironmentsEnabled switches the project's environments (environments_access_level).
func (s *Server) SetEnvironmentsEnabled(p *Project, enabled bool) {
	s.edit(func() { p.environmentsLevel = accessLevel(enabled) })
}

func accessLevel(enabled bool) string {
	if enabled {
		return "enabled"
	}
	return "disabled"
}

// SetPremium chooses between Premium, which is the default, and Free.
func (s *Server) SetPremium(premium bool) {
	s.edit(func() { s.world.premium = premium })
}

// usesCI: without builds or repository, GitLab takes away the abilities that have to
// do with CI/CD, from administrators too (app/policies/project_policy.rb).
func (p *Project) usesCI(u *User) bool {
	return p.hasFeature(p.buildsLevel, u) && p.hasFeature(p.repositoryLevel, u)
}

func (p *Project) hasFeature(level string, u *User) bool {
	return level == "enabled" || level == "private" && p.roleIn(u) > NoRole
}
