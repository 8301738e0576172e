package gitlabtest

import (
	"net/http"
	"slices"
	"time"
)

// Variable is a CI/CD variable of a project, a group or the instance.
type Variable struct {
	Key, Value string
	// Type is "env_var" unless set, or "file".
	Type string
	// Scope is the environment scope, "*" unless set.
	Scope       string
	Description string

	Protected, Masked, Hidden, Raw bool
}

// variableRow is a variable in the database. GitLab's API shows neither its id nor its
// times (lib/api/entities/ci/variable.rb).
type variableRow struct {
	Variable

	updatedAt time.Time
}

// variableHolder is what has variables, with what differs between projects and groups.
type variableHolder struct {
	rows *[]*variableRow
	// model is in the texts of errors.
	model, limitName string
	limit            int
	ofGroup          bool
}

func (s *Server) variablesOf(p *Project) *variableHolder {
	return &variableHolder{rows: &p.variables, model: "Variable", limitName: "project ci variables", limit: s.variableLimit(8_000)}
}

func (s *Server) variablesOfGroup(g *Group) *variableHolder {
	return &variableHolder{
		rows: &g.variables, model: "GroupVariable", limitName: "group ci variables", limit: s.variableLimit(30_000), ofGroup: true,
	}
}

func (s *Server) variableLimit(plan int) int {
	if s.world.variableLimit > 0 {
		return s.world.variableLimit
	}
	return plan
}

func (s *Server) variableEntity(v *variableRow) map[string]any {
	entity := map[string]any{
		"variable_type": v.Type, "key": v.Key, "value": v.Value, "protected": v.Protected, "masked": v.Masked, "environment_scope": v.Scope,
	}
	if s.world.since(knowsRaw) {
		entity["raw"] = v.Raw
	}
	if s.world.since(knowsDescription) {
		entity["description"] = orNull(v.Description)
	}
	if s.world.since(knowsHidden) {
		entity["hidden"] = v.Hidden
		if v.Hidden {
			entity["value"] = nil
		}
	}
	return entity
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// projectForVariables is the project if the caller may manage its variables. GitLab
// asks this before it looks at the parameters, and asks for a sign-in first, also for
// public projects (lib/api/ci/variables.rb). Reading needs the same role as writing.
func (s *Server) projectForVariables(x *exchange) *variableHolder {
	if !x.signedIn() {
		return nil
	}
	p := s.project(x)
	if p == nil {
		return nil
	}
	// Older servers ask for another ability, which archived projects do not give.
	lost := p.isArchived() && !s.world.since(asksForVariables)
	if lost || !p.usesCI(x.user) || p.roleIn(x.user) < Maintainer {
		x.message(http.StatusForbidden, "403 Forbidden")
		return nil
	}
	return s.variablesOf(p)
}

// groupForVariables: everything needs Owner (config/authz/roles/owner.yml).
func (s *Server) groupForVariables(x *exchange) *variableHolder {
	if !x.signedIn() {
		return nil
	}
	if g := s.groupForTokens(x, Owner); g != nil {
		return s.variablesOfGroup(g)
	}
	return nil
}

// signedIn answers 401 to a caller without credentials.
func (x *exchange) signedIn() bool {
	if x.user == nil {
		x.message(http.StatusUnauthorized, "401 Unauthorized")
	}
	return x.user != nil
}

func (s *Server) listProjectVariables(x *exchange)  { s.listVariables(x, s.projectForVariables(x)) }
func (s *Server) createProjectVariable(x *exchange) { s.createVariable(x, s.projectForVariables(x)) }
func (s *Server) getProjectVariable(x *exchange)    { s.getVariable(x, s.projectForVariables(x)) }
func (s *Server) putProjectVariable(x *exchange)    { s.putVariable(x, s.projectForVariables(x)) }
func (s *Server) deleteProjectVariable(x *exchange) { s.deleteVariable(x, s.projectForVariables(x)) }

func (s *Server) listGroupVariables(x *exchange)  { s.listVariables(x, s.groupForVariables(x)) }
func (s *Server) createGroupVariable(x *exchange) { s.createVariable(x, s.groupForVariables(x)) }
func (s *Server) getGroupVariable(x *exchange)    { s.getVariable(x, s.groupForVariables(x)) }
func (s *Server) putGroupVariable(x *exchange)    { s.putVariable(x, s.groupForVariables(x)) }
func (s *Server) deleteGroupVariable(x *exchange) { s.deleteVariable(x, s.groupForVariables(x)) }

func (s *Server) listVariables(x *exchange, h *variableHolder) {
	if h == nil {
		return
	}
	var entities []any
	for _, v := range *h.rows {
		entities = append(entities, s.variableEntity(v))
	}
	s.page(x, entities)
}

func (s *Server) getVariable(x *exchange, h *variableHolder) {
	if h == nil {
		return
	}
	if v := h.find(x, false); v != nil {
		x.json(http.StatusOK, s.variableEntity(v))
	}
}

func (s *Server) createVariable(x *exchange, h *variableHolder) {
	if h == nil {
		return
	}
	p := x.declared()
	p.requires("key", "value")
	change := s.variableParams(p, h)
	change.key = p.text("key")
	if s.world.since(knowsHidden) {
		change.hidden = p.boolean("masked_and_hidden")
	}
	if !p.valid() {
		return
	}
	v := &variableRow{Variable: Variable{Type: "env_var", Scope: "*"}, updatedAt: s.Clock.Now()}
	change.apply(&v.Variable)
	if problems := s.variableProblems(h, v, nil); problems != nil {
		x.json(http.StatusBadRequest, map[string]any{"message": problems})
		return
	}
	*h.rows = append(*h.rows, v)
	x.json(http.StatusCreated, s.variableEntity(v))
}

// putVariable changes what is given. The key of the body is ignored: the path has it.
func (s *Server) putVariable(x *exchange, h *variableHolder) {
	if h == nil {
		return
	}
	p := x.declared()
	change := s.variableParams(p, h)
	if !p.valid() {
		return
	}
	// The first row of several is changed in a group (lib/api/group_variables.rb).
	v := h.find(x, h.ofGroup)
	if v == nil {
		return
	}
	changed := &variableRow{Variable: v.Variable, updatedAt: s.Clock.Now()}
	change.apply(&changed.Variable)
	if problems := s.variableProblems(h, changed, v); problems != nil {
		x.json(http.StatusBadRequest, map[string]any{"message": problems})
		return
	}
	*v = *changed
	x.json(http.StatusOK, s.variableEntity(v))
}

func (s *Server) deleteVariable(x *exchange, h *variableHolder) {
	if h == nil {
		return
	}
	v := h.find(x, false)
	if v == nil {
		return
	}
	// Only the endpoint of groups honours the header.
	since, err := http.ParseTime(x.request.Header.Get("If-Unmodified-Since"))
	if h.ofGroup && err == nil && v.updatedAt.Truncate(time.Second).After(since) {
		x.message(http.StatusPreconditionFailed, "412 Precondition Failed")
		return
	}
	*h.rows = slices.DeleteFunc(*h.rows, func(other *variableRow) bool { return other == v })
	x.WriteHeader(http.StatusNoContent)
}

// find is the row of the path's key. The filter compares scopes as text: a row with
// the scope "*" is not found by another one. An empty filter is none
// (app/finders/ci/variables_finder.rb).
func (h *variableHolder) find(x *exchange, firstOfSeveral bool) *variableRow {
	p := x.declared()
	filter := p.fields("filter")
	if !p.valid() {
		return nil
	}
	scope, _ := filter["environment_scope"].(string)
	var found []*variableRow
	for _, v := range *h.rows {
		if v.Key == x.vars["key"] && (scope == "" || v.Scope == scope) {
			found = append(found, v)
		}
	}
	switch {
	case len(found) == 0:
		x.message(http.StatusNotFound, "404 "+h.model+" Not Found")
		return nil
	case len(found) > 1 && !firstOfSeveral:
		// The text has no "409" (lib/api/helpers/variables_helpers.rb).
		x.message(http.StatusConflict, "There are multiple variables with provided parameters. Please use 'filter[environment_scope]'")
		return nil
	}
	return found[0]
}
