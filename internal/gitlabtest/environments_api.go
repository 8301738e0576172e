package gitlabtest

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// roleIn is the caller's role. A job has its project's Developer role.
func (x *exchange) roleIn(p *Project) Role {
	if x.job != nil && x.job.project == p {
		return Developer
	}
	return p.roleIn(x.user)
}

// identified answers 401 to a caller that is neither a user nor a job.
func (x *exchange) identified() bool {
	if x.job != nil {
		return true
	}
	return x.signedIn()
}

// projectForEnvironments is the project if the caller may do what needs that role with
// environments and deployments. Everybody who is signed in may read those of a project
// that is not private (config/authz/roles/public_anonymous.yml). Archived projects
// allow reading only.
func (s *Server) projectForEnvironments(x *exchange, needed Role) *Project {
	p := s.project(x)
	if p != nil && !p.allowsEnvironments(x, needed) {
		x.message(http.StatusForbidden, "403 Forbidden")
		return nil
	}
	return p
}

func (p *Project) allowsEnvironments(x *exchange, needed Role) bool {
	role := x.roleIn(p)
	if needed == Reporter && p.visibility != "private" {
		needed = NoRole
	}
	if needed > Reporter && p.isArchived() {
		return false
	}
	on := x.job != nil || p.usesCI(x.user) && p.hasFeature(p.environmentsLevel, x.user)
	return on && role >= needed
}

func stamp(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return at.UTC().Format("2006-01-02T15:04:05.000Z")
}

func (s *Server) userEntity(u *User) any {
	if u == nil {
		return nil
	}
	state := "active"
	if u.Blocked {
		state = "blocked"
	}
	return map[string]any{
		"id": u.ID, "username": u.Username, "name": u.Username, "state": state, "locked": false, "avatar_url": nil,
		"web_url": s.options.externalURL + "/" + u.Username,
	}
}

func (e *environment) basicEntity() map[string]any {
	return map[string]any{
		"id": e.id, "name": e.name, "slug": e.slug, "external_url": orNull(e.externalURL),
		"created_at": stamp(e.createdAt), "updated_at": stamp(e.updatedAt),
	}
}

// environmentEntity has no last_deployment: only the endpoint of one environment adds
// that. The namespace is there only for callers who may read the agent, so its absence
// says nothing (spec/requests/api/environments_spec.rb).
func (s *Server) environmentEntity(x *exchange, e *environment) map[string]any {
	entity := e.basicEntity()
	entity["tier"], entity["state"], entity["auto_stop_at"] = e.tier, e.state, nil
	if s.world.since(describesEnvironments) {
		entity["description"], entity["auto_stop_setting"] = orNull(e.description), "always"
	}
	entity["project"] = s.projectEntity(e.project, x.user, true)
	if e.namespace != "" && x.roleIn(e.project) >= Developer {
		entity["cluster_agent"] = map[string]any{"id": 1, "name": "agent"}
		entity["kubernetes_namespace"], entity["flux_resource_path"] = e.namespace, nil
	}
	return entity
}

func (s *Server) listEnvironments(x *exchange) {
	if !x.identified() {
		return
	}
	p := x.declared()
	name, search := p.text("name"), p.text("search")
	states := p.oneOf("states", stateAvailable, stateStopping, stateStopped)
	if _, both := x.params["name"]; both && x.params["search"] != nil {
		p.problem("name, search", "cannot be used together")
	}
	if !p.valid() {
		return
	}
	project := s.projectForEnvironments(x, Reporter)
	if project == nil {
		return
	}
	if search != nil && *search != "" && utf8.RuneCountInString(*search) < 3 {
		x.message(http.StatusBadRequest, "400 Bad request - Search query is less than 3 characters")
		return
	}
	var entities []any
	for _, e := range project.environments {
		named := name == nil || *name == "" || e.name == *name
		// The search finds the beginning of a name (inferred from the model's scope).
		found := search == nil || strings.HasPrefix(strings.ToLower(e.name), strings.ToLower(*search))
		if named && found && (states == nil || e.state == *states) {
			entities = append(entities, s.environmentEntity(x, e))
		}
	}
	s.page(x, entities)
}

// environmentOf finds the environment of the path, for a caller with that role.
func (s *Server) environmentOf(x *exchange, needed Role) *environment {
	if !x.identified() {
		return nil
	}
	id, ok := x.pathID("environment_id")
	if !ok {
		return nil
	}
	p := s.projectForEnvironments(x, needed)
	if p == nil {
		return nil
	}
	for _, e := range p.environments {
		if e.id == id {
			return e
		}
	}
	x.message(http.StatusNotFound, "404 Not found")
	return nil
}

func (s *Server) getEnvironment(x *exchange) {
	e := s.environmentOf(x, Reporter)
	if e == nil {
		return
	}
	entity := s.environmentEntity(x, e)
	delete(entity, "project")
	entity["last_deployment"] = nil
	if d := e.lastDeployment(); d != nil {
		last := s.deploymentEntity(d)
		delete(last, "environment")
		entity["last_deployment"] = last
	}
	x.json(http.StatusOK, entity)
}

// environmentName are the characters of a name (lib/gitlab/regex.rb).
var environmentName = regexp.MustCompile(`\A[a-zA-Z0-9_/$\{\}. -]+\z`)

func (p *Project) nameProblems(name string) map[string]any {
	var problems []string
	switch {
	case name == "":
		problems = append(problems, "can't be blank")
	case !environmentName.MatchString(name) || strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/"):
		problems = append(problems, "can contain only letters, digits, '-', '_', '/', '$', '{', '}', '.', and spaces, but it cannot start or end with '/'")
	}
	if utf8.RuneCountInString(name) > mostText {
		problems = append(problems, "is too long (maximum is 255 characters)")
	}
	if p.environment(name) != nil {
		problems = append(problems, "has already been taken")
	}
	if problems == nil {
		return nil
	}
	return map[string]any{"name": problems}
}

var tierNames = []string{"production", "staging", "testing", "development", "other"}

// environmentParams are the ones that can be changed later, too.
type environmentParams struct{ externalURL, tier, description, namespace *string }

func readEnvironmentParams(p *parameters) environmentParams {
	if p.x.params["slug"] != nil {
		p.problem("slug", "is automatically generated and cannot be changed")
	}
	return environmentParams{
		externalURL: p.text("external_url"), tier: p.oneOf("tier", tierNames...),
		description: p.text("description"), namespace: p.text("kubernetes_namespace"),
	}
}

func (c environmentParams) apply(e *environment) {
	set(&e.externalURL, c.externalURL)
	set(&e.tier, c.tier)
	set(&e.description, c.description)
	set(&e.namespace, c.namespace)
}

func (s *Server) createEnvironment(x *exchange) {
	if !x.identified() {
		return
	}
	p := x.declared()
	p.requires("name")
	name, change := p.text("name"), readEnvironmentParams(p)
	if !p.valid() {
		return
	}
	project := s.projectForEnvironments(x, Developer)
	if project == nil {
		return
	}
	text := ""
	set(&text, name)
	if problems := project.nameProblems(text); problems != nil {
		x.json(http.StatusBadRequest, map[string]any{"message": problems})
		return
	}
	e := s.ensureEnvironment(project, text)
	change.apply(e)
	x.json(http.StatusCreated, s.environmentEntity(x, e))
}

// putEnvironment: the name can be changed before 16.0 only; later it is ignored.
func (s *Server) putEnvironment(x *exchange) {
	if !x.identified() {
		return
	}
	p := x.declared()
	name, change := p.text("name"), readEnvironmentParams(p)
	if !p.valid() {
		return
	}
	e := s.environmentOf(x, Developer)
	if e == nil {
		return
	}
	if name != nil && *name != e.name && !s.world.since(keepsEnvironmentNames) {
		if problems := e.project.nameProblems(*name); problems != nil {
			x.json(http.StatusBadRequest, map[string]any{"message": problems})
			return
		}
		e.name = *name
	}
	change.apply(e)
	e.updatedAt = s.Clock.Now()
	x.json(http.StatusOK, s.environmentEntity(x, e))
}

// stopEnvironment: nothing in the stand-in has a stop job, so only the state changes.
func (s *Server) stopEnvironment(x *exchange) {
	if !x.identified() {
		return
	}
	p := x.declared()
	p.boolean("force")
	if !p.valid() {
		return
	}
	if e := s.environmentOf(x, Developer); e != nil {
		e.setState(stateStopped, s.Clock.Now())
		x.json(http.StatusOK, s.environmentEntity(x, e))
	}
}

// removeEnvironment: only a stopped one can be deleted.
func (s *Server) removeEnvironment(x *exchange) {
	e := s.environmentOf(x, Developer)
	switch {
	case e == nil:
	case e.state != stateStopped:
		x.message(http.StatusForbidden, "403 Forbidden")
	default:
		s.deleteEnvironment(e)
		x.WriteHeader(http.StatusNoContent)
	}
}

// acceptJob takes a job's own token where the endpoint allows it. Elsewhere the caller
// is anonymous.
func (s *Server) acceptJob(x *exchange, token string) bool {
	if !x.route.jobs || !s.world.since(allowsJobTokens) {
		return true
	}
	i := slices.IndexFunc(s.world.jobs, func(j *Job) bool { return j.Token == token && j.works() })
	if i < 0 {
		x.message(http.StatusUnauthorized, "401 Unauthorized")
		return false
	}
	x.job = s.world.jobs[i]
	// A job sees its own project as its user does.
	if ref := x.vars["id"]; ref != "" && ref != fmt.Sprint(x.job.project.ID) && !strings.EqualFold(ref, x.job.project.path) {
		x.job = nil
	}
	return true
}
