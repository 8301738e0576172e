package gitlabtest

import (
	"fmt"
	"slices"
	"strings"
)

// ProjectOptions describe a new project.
type ProjectOptions struct {
	// Visibility is "private" unless set.
	Visibility string
	// RegistryAccessLevel is "enabled" unless set.
	RegistryAccessLevel string
	// AutoDevOps is the project's own setting. Nil inherits, and saves no record.
	AutoDevOps *bool
}

// GroupOptions describe a new group.
type GroupOptions struct {
	// Visibility is "private" unless set.
	Visibility string
	// AutoDevOps is the group's raw setting; nil inherits.
	AutoDevOps *bool
}

// CreateUser adds a user.
func (s *Server) CreateUser(username string) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addUser(username)
}

func (s *Server) addUser(username string) *User {
	u := &User{ID: s.world.nextID(), Username: username}
	s.world.users = append(s.world.users, u)
	return u
}

// CreateAdmin adds an administrator.
func (s *Server) CreateAdmin(username string) *User {
	u := s.CreateUser(username)
	s.mu.Lock()
	defer s.mu.Unlock()
	u.Admin = true
	return u
}

// BlockUser blocks the user.
func (s *Server) BlockUser(u *User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u.Blocked = true
}

// CreateAccessToken makes a personal access token with those scopes.
func (s *Server) CreateAccessToken(u *User, scopes ...string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &accessToken{value: randomText("glpat-", 20), user: u, scopes: scopes, id: s.world.nextRow(), createdAt: s.Clock.Now()}
	s.world.accessTokens = append(s.world.accessTokens, t)
	s.world.secrets = append(s.world.secrets, t.value)
	return t.value
}

// CreateOAuthToken makes an OAuth access token with those scopes, which GitLab
// accepts only as a bearer token.
func (s *Server) CreateOAuthToken(u *User, scopes ...string) string {
	value := s.CreateAccessToken(u, scopes...)
	s.editAccessToken(value, func(t *accessToken) { t.oauth = true })
	return value
}

// RevokeAccessToken revokes a personal access token.
func (s *Server) RevokeAccessToken(value string) {
	s.editAccessToken(value, func(t *accessToken) { t.revoked = true })
}

// ExpireAccessToken makes a personal access token expire now.
func (s *Server) ExpireAccessToken(value string) {
	s.editAccessToken(value, func(t *accessToken) { t.expiresAt = s.Clock.Now() })
}

func (s *Server) editAccessToken(value string, edit func(*accessToken)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.world.accessTokens {
		if t.value == value {
			edit(t)
		}
	}
}

// CreateGroup adds a group; its parents must exist.
func (s *Server) CreateGroup(path string, o GroupOptions) *Group {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addGroup(path, o)
}

func (s *Server) addGroup(path string, o GroupOptions) *Group {
	g := &Group{
		ID: s.world.nextID(), Path: path, Visibility: orElse(o.Visibility, "private"),
		autoDevOps: o.AutoDevOps, members: map[int64]Role{}, createdAt: s.Clock.Now(),
	}
	if i := strings.LastIndex(path, "/"); i > 0 {
		g.parent = s.world.findGroup(path[:i])
	}
	s.world.groups = append(s.world.groups, g)
	return g
}

// CreateProject adds a project, and its group if that does not exist.
func (s *Server) CreateProject(path string, o ProjectOptions) *Project {
	s.mu.Lock()
	defer s.mu.Unlock()
	slash := strings.LastIndex(path, "/")
	if slash <= 0 {
		panic("gitlabtest: a project needs a group: " + path)
	}
	groupPath := path[:slash]
	group := s.world.findGroup(groupPath)
	if group == nil {
		group = s.addGroup(groupPath, GroupOptions{})
	}
	p := &Project{
		ID: s.world.nextID(), Path: path, path: path, group: group, createdAt: s.Clock.Now(),
		visibility:    orElse(o.Visibility, "private"),
		registryLevel: orElse(o.RegistryAccessLevel, "enabled"),
		buildsLevel:   "enabled", repositoryLevel: "enabled", environmentsLevel: "enabled",
		members: map[int64]Role{}, tokenManagers: map[int64]bool{},
		leaveOut: map[string]bool{}, override: map[string]any{},
	}
	s.world.projects = append(s.world.projects, p)
	if o.AutoDevOps != nil {
		// Setting it while creating makes GitLab's own token, as saving it later would.
		s.saveAutoDevOps(p, o.AutoDevOps)
	}
	return p
}

func orElse(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

// Member adds a user with a role in the project.
func (s *Server) Member(p *Project, role Role) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.addUser(fmt.Sprintf("member-%d", len(s.world.users)))
	p.members[u.ID] = role
	return u
}

// Maintainer adds a user with the Maintainer role in the project.
func (s *Server) Maintainer(p *Project) *User { return s.Member(p, Maintainer) }

// TokenManager adds a user with a custom role: Developer, with manage_deploy_tokens.
func (s *Server) TokenManager(p *Project) *User {
	u := s.Member(p, Developer)
	s.mu.Lock()
	defer s.mu.Unlock()
	p.tokenManagers[u.ID] = true
	return u
}

// GroupMember adds a user with a role in the group.
func (s *Server) GroupMember(g *Group, role Role) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.addUser(fmt.Sprintf("member-%d", len(s.world.users)))
	g.members[u.ID] = role
	return u
}

// SetRole changes a member's role in the project; NoRole removes the member.
func (s *Server) SetRole(p *Project, u *User, role Role) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.members[u.ID] = role
}

// SetVisibility changes the project's visibility. Nothing else follows from it:
// tokens are neither made nor revoked.
func (s *Server) SetVisibility(p *Project, visibility string) {
	s.edit(func() { p.visibility = visibility })
}

// SetRegistryAccessLevel changes the project's container registry access level.
func (s *Server) SetRegistryAccessLevel(p *Project, level string) {
	s.edit(func() { p.registryLevel = level })
}

// SaveAutoDevOps saves the project's Auto DevOps settings; nil inherits. GitLab's
// own token may come of it.
func (s *Server) SaveAutoDevOps(p *Project, enabled *bool) {
	s.edit(func() { s.saveAutoDevOps(p, enabled) })
}

// SetGroupAutoDevOps changes the group's raw setting; nil inherits.
func (s *Server) SetGroupAutoDevOps(g *Group, enabled *bool) {
	s.edit(func() { g.autoDevOps = enabled })
}

// SetInstanceAutoDevOps changes the instance's default.
func (s *Server) SetInstanceAutoDevOps(enabled bool) {
	s.edit(func() { s.world.autoDevOps = enabled })
}

// FailFirstAutoDevOpsPipeline is what happens when the first Auto DevOps pipeline
// of a project with inherited Auto DevOps fails: GitLab writes "off" into the project.
func (s *Server) FailFirstAutoDevOpsPipeline(p *Project) {
	s.edit(func() {
		if (p.record == nil || p.record.enabled == nil) && s.world.effectiveAutoDevOps(p) {
			s.saveAutoDevOps(p, False)
		}
	})
}

// SetRegistryEnabled switches the container registry of the whole instance.
func (s *Server) SetRegistryEnabled(enabled bool) {
	s.edit(func() { s.world.registryEnabled = enabled })
}

// SetMaintenance switches maintenance mode, in which writes are refused.
func (s *Server) SetMaintenance(on bool) {
	s.edit(func() { s.world.maintenance = on })
}

// RenameProject moves the project to another full path. The old one keeps leading to it.
func (s *Server) RenameProject(p *Project, path string) {
	s.edit(func() { s.rename(p, path) })
}

func (s *Server) rename(p *Project, path string) {
	p.oldPaths = append(p.oldPaths, p.path)
	p.path = path
	if group := s.world.findGroup(path[:strings.LastIndex(path, "/")]); group != nil {
		p.group = group
	}
}

// ScheduleDeletion marks the project for deletion, which renames it as well.
func (s *Server) ScheduleDeletion(p *Project) {
	s.edit(func() {
		now := s.Clock.Now()
		p.deletionOn = &now
		p.restorePath = p.path
		s.rename(p, fmt.Sprintf("%s-deletion_scheduled-%d", p.path, p.ID))
	})
}

// RestoreProject takes back ScheduleDeletion.
func (s *Server) RestoreProject(p *Project) {
	s.edit(func() {
		p.deletionOn = nil
		p.oldPaths = slices.DeleteFunc(p.oldPaths, func(old string) bool { return old == p.restorePath })
		s.rename(p, p.restorePath)
	})
}

// SetArchived archives the project or takes it back.
func (s *Server) SetArchived(p *Project, archived bool) {
	s.edit(func() { p.archived = archived })
}

// SetGroupArchived archives the group, and so all below it, or takes it back.
func (s *Server) SetGroupArchived(g *Group, archived bool) {
	s.edit(func() { g.archived = archived })
}

// IgnoreExpiry makes the API mint tokens without the expiry that was asked for.
// GitLab does not do that; a client must not publish such a token.
func (s *Server) IgnoreExpiry(ignore bool) {
	s.edit(func() { s.world.ignoresExpiry = ignore })
}

// LimitExpiry makes the API cut the expiry of new tokens to that many days, as an instance
// with a limit could; 0 takes the limit away.
func (s *Server) LimitExpiry(days int) {
	s.edit(func() { s.world.longestLifeDays = days })
}

// SetNoTotals leaves the totals out of lists, as GitLab does above 10,000 rows.
func (s *Server) SetNoTotals(leaveOut bool) {
	s.edit(func() { s.world.noTotals = leaveOut })
}

// HideProject makes the project invisible to everybody, as while it is being deleted.
func (s *Server) HideProject(p *Project, hidden bool) {
	s.edit(func() { p.hidden = hidden })
}

// DeleteProject removes the project with its deploy tokens.
func (s *Server) DeleteProject(p *Project) {
	s.edit(func() {
		w := &s.world
		w.projects = slices.DeleteFunc(w.projects, func(other *Project) bool { return other == p })
		w.tokens = slices.DeleteFunc(w.tokens, func(t *deployToken) bool { return t.project == p })
	})
}

// LeaveOut removes a key from the project's entity, as other versions of GitLab do.
func (s *Server) LeaveOut(p *Project, key string) {
	s.edit(func() { p.leaveOut[key] = true })
}

// Override puts a value of its own into the project's entity.
func (s *Server) Override(p *Project, key string, value any) {
	s.edit(func() { p.override[key] = value })
}

// SetVersion changes the version that GET /version tells, and with it what the server
// knows of variables and deployments.
func (s *Server) SetVersion(version string) {
	s.edit(func() { s.world.version = version })
}

func (s *Server) edit(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// ProjectPath is the project's full path now.
func (s *Server) ProjectPath(p *Project) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.path
}

// Secrets lists every secret that the server ever issued or was given: deploy
// tokens, access tokens, job tokens and variables set by SetVariable, dead ones included.
func (s *Server) Secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.world.secrets)
}
