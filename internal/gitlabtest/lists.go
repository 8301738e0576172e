package gitlabtest

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// getGroup shows the group, and its own projects unless they are not wanted.
func (s *Server) getGroup(x *exchange) {
	p := x.declared()
	withProjects := p.boolean("with_projects")
	if !p.valid() {
		return
	}
	g := s.group(x)
	if g == nil {
		return
	}
	entity := s.groupEntity(g)
	if withProjects == nil || *withProjects {
		projects := []any{}
		for _, project := range s.world.projects {
			if project.group == g && project.visibleTo(x.user) {
				projects = append(projects, s.projectEntity(project, x.user, false))
			}
		}
		entity["projects"] = projects
	}
	x.json(http.StatusOK, entity)
}

// projectQuery are the parameters that lists of projects have in common
// (lib/api/helpers/projects_helpers.rb, lib/api/groups.rb).
type projectQuery struct {
	archived, simple            *bool
	visibility, search          *string
	orderBy, sort               string
	leastAccess, after, before  *int64
	membership, owned, subgroup *bool
}

var accessLevels = []int64{int64(Guest), 15, int64(Reporter), int64(Developer), int64(Maintainer), int64(Owner)}

func readProjectQuery(p *parameters) projectQuery {
	q := projectQuery{
		archived: p.boolean("archived"), simple: p.boolean("simple"), owned: p.boolean("owned"),
		membership: p.boolean("membership"), subgroup: p.boolean("include_subgroups"),
		visibility: p.oneOf("visibility", "private", "internal", "public"), search: p.text("search"),
		leastAccess: p.leastAccess(), after: p.integer("id_after"), before: p.integer("id_before"),
		// The newest come first.
		orderBy: "created_at", sort: "desc",
	}
	p.boolean("with_shared")
	set(&q.orderBy, p.oneOf("order_by", "id", "name", "path", "created_at", "updated_at", "last_activity_at", "similarity", "star_count"))
	set(&q.sort, p.oneOf("sort", "asc", "desc"))
	return q
}

func (p *parameters) leastAccess() *int64 {
	level := p.integer("min_access_level")
	if level != nil && !slices.Contains(accessLevels, *level) {
		p.problem("min_access_level", "does not have a valid value")
	}
	return level
}

func is(flag *bool) bool { return flag != nil && *flag }

// selects leaves out hidden projects and those in deletion.
func (q projectQuery) selects(p *Project, u *User) bool {
	role := p.memberRole(u)
	switch {
	case !p.visibleTo(u), p.deletionOn != nil, q.archived != nil && *q.archived != p.isArchived(), q.visibility != nil && *q.visibility != p.visibility:
		return false
	case is(q.membership) && role == NoRole, is(q.owned) && role < Owner, q.leastAccess != nil && int64(role) < *q.leastAccess:
		return false
	case q.after != nil && p.ID <= *q.after, q.before != nil && p.ID >= *q.before:
		return false
	}
	return q.search == nil || matchesSearch(*q.search, lastPart(p.path))
}

// matchesSearch: a text of fewer than three characters must be the whole name
// (lib/gitlab/sql/pattern.rb).
func matchesSearch(search, name string) bool {
	search, name = strings.ToLower(search), strings.ToLower(name)
	if utf8.RuneCountInString(search) < 3 {
		return search == "" || search == name
	}
	return strings.Contains(name, search)
}

func (q projectQuery) order(a, b *Project) int {
	result := cmp.Compare(a.ID, b.ID)
	switch q.orderBy {
	case "name", "path":
		result = cmp.Or(cmp.Compare(lastPart(a.path), lastPart(b.path)), result)
	case "created_at", "updated_at", "last_activity_at":
		result = cmp.Or(a.createdAt.Truncate(time.Millisecond).Compare(b.createdAt.Truncate(time.Millisecond)), result)
	}
	if q.sort == "desc" {
		return -result
	}
	return result
}

func (s *Server) pageOfProjects(x *exchange, q projectQuery, in func(*Project) bool) {
	var found []*Project
	for _, p := range s.world.projects {
		if in(p) && q.selects(p, x.user) {
			found = append(found, p)
		}
	}
	slices.SortStableFunc(found, q.order)
	var entities []any
	for _, p := range found {
		entities = append(entities, s.projectEntity(p, x.user, is(q.simple)))
	}
	switch ofAll := x.route.pattern == "/projects"; {
	case ofAll && x.byKeyset():
		s.keysetOfProjects(x, q, found, entities)
	case ofAll && x.beyondOffsets("Project"):
	default:
		s.page(x, entities)
	}
}

func (s *Server) listProjects(x *exchange) {
	p := x.declared()
	q := readProjectQuery(p)
	if p.valid() {
		s.pageOfProjects(x, q, func(*Project) bool { return true })
	}
}

func (s *Server) listGroupProjects(x *exchange) {
	p := x.declared()
	q := readProjectQuery(p)
	q.membership, q.after, q.before = nil, nil, nil
	if !p.valid() {
		return
	}
	if g := s.group(x); g != nil {
		s.pageOfProjects(x, q, func(p *Project) bool { return s.below(g, p, is(q.subgroup)) })
	}
}

func (s *Server) below(g *Group, p *Project, subgroups bool) bool {
	if !subgroups {
		return p.group == g
	}
	for at := p.group; at != nil; at = at.parent {
		if at == g {
			return true
		}
	}
	return false
}

// listGroups: by name, the first letter first (lib/api/groups.rb).
func (s *Server) listGroups(x *exchange) {
	p := x.declared()
	search, owned, top := p.text("search"), p.boolean("owned"), p.boolean("top_level_only")
	leastAccess := p.leastAccess()
	visibility := p.oneOf("visibility", "private", "internal", "public")
	orderBy, sort := "name", "asc"
	set(&orderBy, p.oneOf("order_by", "name", "path", "id", "similarity"))
	set(&sort, p.oneOf("sort", "asc", "desc"))
	if !p.valid() {
		return
	}
	var found []*Group
	for _, g := range s.world.groups {
		role := g.memberRole(x.user)
		switch {
		case !s.seesGroup(g, x.user), is(owned) && role < Owner, is(top) && g.parent != nil:
		case leastAccess != nil && int64(role) < *leastAccess, visibility != nil && *visibility != g.Visibility:
		case search != nil && !matchesSearch(*search, lastPart(g.Path)):
		default:
			found = append(found, g)
		}
	}
	slices.SortStableFunc(found, func(a, b *Group) int {
		result := cmp.Compare(a.ID, b.ID)
		if orderBy == "name" || orderBy == "path" {
			result = cmp.Or(cmp.Compare(lastPart(a.Path), lastPart(b.Path)), result)
		}
		if sort == "desc" {
			return -result
		}
		return result
	})
	var entities []any
	for _, g := range found {
		entities = append(entities, s.groupEntity(g))
	}
	switch {
	case x.byKeyset():
		s.keysetOfGroups(x, orderBy+" "+sort, found, entities)
	case x.beyondOffsets("Group"):
	default:
		s.page(x, entities)
	}
}
