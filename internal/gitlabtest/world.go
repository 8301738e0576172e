package gitlabtest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Role is a member's access level.
type Role int

// The roles of a member.
const (
	NoRole     Role = 0
	Guest      Role = 10
	Reporter   Role = 20
	Developer  Role = 30
	Maintainer Role = 40
	Owner      Role = 50
)

// True and False are for settings that can be unset.
var (
	True  = new(true)
	False = new(false)
)

// world is the state of the instance.
type world struct {
	lastID       int64
	lastRow      int64
	users        []*User
	accessTokens []*accessToken
	groups       []*Group
	projects     []*Project
	tokens       []*deployToken
	jobs         []*Job
	cluster      map[secretKey]clusterSecret
	secrets      []string

	variables []*variableRow

	version          string
	tokenKeysLeftOut []string

	autoDevOps      bool
	registryEnabled bool
	premium         bool
	variableLimit   int
	maintenance     bool
	jobsGetNewest   bool
	ignoresExpiry   bool
	longestLifeDays int
	failedLogins    map[string][]time.Time
	windows         map[string]*window
	noTotals        bool
	looseOrder      bool
	bannedUntil     map[string]time.Time
}

func newWorld() world {
	return world{
		version:         "19.5.0",
		registryEnabled: true,
		premium:         true,
		cluster:         map[secretKey]clusterSecret{},
		failedLogins:    map[string][]time.Time{},
		windows:         map[string]*window{},
		bannedUntil:     map[string]time.Time{},
	}
}

func (w *world) nextID() int64 {
	w.lastID++
	return w.lastID
}

// nextRow numbers what is in other tables: access tokens, and all of CI/CD. So the ids
// of projects, users and deploy tokens do not depend on them.
func (w *world) nextRow() int64 {
	w.lastRow++
	return w.lastRow
}

// User is a person or a bot.
type User struct {
	ID       int64
	Username string
	Admin    bool
	Blocked  bool
}

type accessToken struct {
	value     string
	user      *User
	scopes    []string
	expiresAt time.Time
	revoked   bool
	oauth     bool
	// granular is a fine-grained token, with its grants.
	granular bool
	grants   []FineGrained

	id        int64
	createdAt time.Time
}

// Group is a group or subgroup.
type Group struct {
	ID         int64
	Path       string
	Visibility string
	parent     *Group
	autoDevOps *bool
	archived   bool
	members    map[int64]Role
	variables  []*variableRow
	createdAt  time.Time
	// fineGrainedOnly is a setting of top-level groups.
	fineGrainedOnly bool
}

// Project is a project.
type Project struct {
	ID int64
	// Path is the full path at creation; see Server.ProjectPath for the one now.
	Path string

	path          string
	createdAt     time.Time
	group         *Group
	visibility    string
	registryLevel string
	// The access levels of CI/CD, the repository and environments.
	buildsLevel, repositoryLevel, environmentsLevel string
	// record is the project's own Auto DevOps record; nil if it never was saved.
	record        *autoDevOpsRecord
	archived      bool
	deletionOn    *time.Time
	restorePath   string
	hidden        bool
	strategy      string
	oldPaths      []string
	members       map[int64]Role
	tokenManagers map[int64]bool
	variables     []*variableRow
	environments  []*environment
	deployments   []*deployment
	pushed        []commit
	// pipelines and deploymentIID count what there ever was.
	pipelines, deploymentIID int64
	deploysBackwards         bool
	// leaveOut names keys that the entity lacks, as other versions do.
	leaveOut map[string]bool
	override map[string]any
}

type autoDevOpsRecord struct{ enabled *bool }

type deployToken struct {
	id        int64
	project   *Project
	group     *Group
	name      string
	username  string
	scopes    []string
	expiresAt time.Time // zero: never
	revoked   bool
	secret    string
	override  map[string]any
}

// active is GitLab's SQL scope: dead from the instant of the expiry.
func (t *deployToken) active(now time.Time) bool {
	return !t.revoked && (t.expiresAt.IsZero() || !t.expiresAt.Before(now))
}

// expired is GitLab's JSON field: it compares with the start of the server's day.
func (t *deployToken) expired(now time.Time) bool {
	return !t.expiresAt.IsZero() && t.expiresAt.Before(now.UTC().Truncate(24*time.Hour))
}

func (w *world) find(projectRef string) (project *Project, moved bool) {
	for _, p := range w.projects {
		if fmt.Sprint(p.ID) == projectRef || strings.Contains(projectRef, "/") && strings.EqualFold(p.path, projectRef) {
			return p, false
		}
	}
	for _, p := range w.projects {
		if slices.ContainsFunc(p.oldPaths, func(old string) bool { return strings.EqualFold(old, projectRef) }) {
			return p, true
		}
	}
	return nil, false
}

func (w *world) findGroup(ref string) *Group {
	for _, g := range w.groups {
		if fmt.Sprint(g.ID) == ref || strings.EqualFold(g.Path, ref) {
			return g
		}
	}
	return nil
}

// roleIn is the highest role over the project and its groups.
func (p *Project) roleIn(u *User) Role {
	if u != nil && u.Admin {
		return Owner
	}
	return p.memberRole(u)
}

// memberRole is the role that memberships give, also to an administrator.
func (p *Project) memberRole(u *User) Role {
	if u == nil {
		return NoRole
	}
	return max(p.members[u.ID], p.group.memberRole(u))
}

func (g *Group) roleIn(u *User) Role {
	if u != nil && u.Admin {
		return Owner
	}
	return g.memberRole(u)
}

func (g *Group) memberRole(u *User) Role {
	role := NoRole
	for ; g != nil && u != nil; g = g.parent {
		role = max(role, g.members[u.ID])
	}
	return role
}

func (p *Project) visibleTo(u *User) bool {
	if p.hidden {
		return false
	}
	switch p.visibility {
	case "public":
		return true
	case "internal":
		return u != nil
	}
	return p.roleIn(u) > NoRole
}

func (p *Project) managesTokens(u *User) bool {
	return p.roleIn(u) >= Maintainer || u != nil && p.tokenManagers[u.ID]
}

// effectiveAutoDevOps follows the inheritance: the project's record, the nearest
// group that says something, the instance.
func (w *world) effectiveAutoDevOps(p *Project) bool {
	if p.record != nil && p.record.enabled != nil {
		return *p.record.enabled
	}
	for g := p.group; g != nil; g = g.parent {
		if g.autoDevOps != nil {
			return *g.autoDevOps
		}
	}
	return w.autoDevOps
}

func (p *Project) isArchived() bool {
	for g := p.group; g != nil; g = g.parent {
		if g.archived {
			return true
		}
	}
	return p.archived
}

// saveAutoDevOps saves the project's record. A callback then makes GitLab's own
// token, if the project has none of that name, dead ones included.
func (s *Server) saveAutoDevOps(p *Project, enabled *bool) {
	w := &s.world
	p.record = &autoDevOpsRecord{enabled: enabled}
	if !w.effectiveAutoDevOps(p) || p.visibility == "public" {
		return
	}
	for _, t := range w.tokens {
		if t.project == p && t.name == automaticTokenName {
			return
		}
	}
	s.addToken(&deployToken{project: p, name: automaticTokenName, scopes: []string{"read_registry"}})
}

const automaticTokenName = "gitlab-deploy-token"

// addToken gives a token its id, secret and default username.
func (s *Server) addToken(t *deployToken) *deployToken {
	w := &s.world
	t.id = w.nextID()
	t.secret = randomText("", 20)
	if w.since(prefixesTokens) {
		t.secret = "gldt-" + t.secret
	}
	if t.username == "" {
		t.username = fmt.Sprintf("gitlab+deploy-token-%d", t.id)
	}
	w.tokens = append(w.tokens, t)
	w.secrets = append(w.secrets, t.secret)
	return t
}
