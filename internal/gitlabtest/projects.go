package gitlabtest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (s *Server) getUser(x *exchange) {
	if x.user == nil {
		x.message(http.StatusUnauthorized, "401 Unauthorized")
		return
	}
	x.json(http.StatusOK, map[string]any{"id": x.user.ID, "username": x.user.Username, "state": "active"})
}

func (s *Server) getVersion(x *exchange) {
	if x.user == nil {
		x.message(http.StatusUnauthorized, "401 Unauthorized")
		return
	}
	x.json(http.StatusOK, map[string]any{"version": s.world.version, "revision": "00000000000"})
}

func (s *Server) getProject(x *exchange) {
	if p := s.project(x); p != nil {
		x.json(http.StatusOK, s.projectEntity(p, x.user, false))
	}
}

// projectEntity is the project as that caller sees it. Anonymous callers and
// simple lists get the basic entity, callers below Maintainer no Auto DevOps.
func (s *Server) projectEntity(p *Project, caller *User, simple bool) map[string]any {
	name := p.path[strings.LastIndex(p.path, "/")+1:]
	entity := map[string]any{
		"id": p.ID, "name": name, "path": name, "path_with_namespace": p.path,
		"web_url": s.options.externalURL + "/" + p.path, "default_branch": "main",
	}
	if caller != nil && !simple {
		maps.Copy(entity, s.fullProjectEntity(p, caller))
	}
	for key := range p.leaveOut {
		delete(entity, key)
	}
	maps.Copy(entity, p.override)
	return entity
}

func (s *Server) fullProjectEntity(p *Project, caller *User) map[string]any {
	role := p.roleIn(caller)
	entity := map[string]any{
		"visibility":                      p.visibility,
		"archived":                        p.isArchived(),
		"empty_repo":                      false,
		"builds_access_level":             p.buildsLevel,
		"repository_access_level":         p.repositoryLevel,
		"environments_access_level":       p.environmentsLevel,
		"container_registry_access_level": p.registryLevel,
		"container_registry_enabled":      s.world.registryEnabled && p.registryUsableBy(role),
		"marked_for_deletion_at":          nil,
		"marked_for_deletion_on":          nil,
	}
	if p.deletionOn != nil {
		entity["marked_for_deletion_at"] = p.deletionOn.Format(time.DateOnly)
		entity["marked_for_deletion_on"] = p.deletionOn.Format(time.DateOnly)
	}
	if s.world.registryEnabled {
		entity["container_registry_image_prefix"] = s.options.registryHost + "/" + strings.ToLower(p.path)
	}
	if role >= Maintainer {
		entity["auto_devops_enabled"] = s.world.effectiveAutoDevOps(p)
		entity["auto_devops_deploy_strategy"] = orElse(p.strategy, "continuous")
	}
	return entity
}

// registryUsableBy is about the caller, not about the project.
func (p *Project) registryUsableBy(role Role) bool {
	return p.registryLevel == "enabled" || p.registryLevel == "private" && role >= Reporter
}

func (s *Server) putProject(x *exchange) {
	p := s.project(x)
	if p == nil {
		return
	}
	if p.roleIn(x.user) < Maintainer {
		x.message(http.StatusForbidden, "403 Forbidden")
		return
	}
	allowed := map[string][]string{
		"visibility":                      {"private", "internal", "public"},
		"container_registry_access_level": {"disabled", "private", "enabled"},
		"auto_devops_deploy_strategy":     {"continuous", "manual", "timed_incremental"},
	}
	for name := range allowed {
		if value, given := x.params[name]; given && !slices.Contains(allowed[name], fmt.Sprint(value)) {
			x.json(http.StatusBadRequest, map[string]any{"error": name + " does not have a valid value"})
			return
		}
	}
	autoDevOps, ok := x.autoDevOps()
	if !ok {
		x.json(http.StatusBadRequest, map[string]any{"error": "auto_devops_enabled is invalid"})
		return
	}
	if value, given := x.params["visibility"]; given {
		p.visibility = fmt.Sprint(value)
	}
	if value, given := x.params["container_registry_access_level"]; given {
		p.registryLevel = fmt.Sprint(value)
	}
	_, setsFlag := x.params["auto_devops_enabled"]
	strategy, setsStrategy := x.params["auto_devops_deploy_strategy"]
	if setsStrategy {
		p.strategy = fmt.Sprint(strategy)
	}
	if setsStrategy && !setsFlag && p.record != nil {
		autoDevOps = p.record.enabled
	}
	if setsFlag || setsStrategy {
		s.saveAutoDevOps(p, autoDevOps)
	}
	x.json(http.StatusOK, s.projectEntity(p, x.user, false))
}

// autoDevOps is the setting in the request; nil unsets it.
func (x *exchange) autoDevOps() (*bool, bool) {
	value := x.params["auto_devops_enabled"]
	if value == nil {
		return nil, true
	}
	enabled, err := strconv.ParseBool(fmt.Sprint(value))
	return &enabled, err == nil
}

func (s *Server) getGroup(x *exchange) {
	g := s.group(x)
	if g == nil {
		return
	}
	var parent any
	if g.parent != nil {
		parent = g.parent.ID
	}
	var autoDevOps any
	if g.autoDevOps != nil {
		autoDevOps = *g.autoDevOps
	}
	x.json(http.StatusOK, map[string]any{
		"id": g.ID, "full_path": g.Path, "parent_id": parent, "visibility": g.Visibility,
		"archived": g.archived, "marked_for_deletion_on": nil, "auto_devops_enabled": autoDevOps,
	})
}

// listGroupProjects leaves out hidden projects and those in deletion.
func (s *Server) listGroupProjects(x *exchange) {
	g := s.group(x)
	if g == nil {
		return
	}
	subgroups := fmt.Sprint(x.params["include_subgroups"]) == "true"
	simple := fmt.Sprint(x.params["simple"]) == "true"
	archived, filtered := x.params["archived"]
	var entities []any
	for _, p := range s.world.projects {
		if filtered && fmt.Sprint(p.isArchived()) != fmt.Sprint(archived) {
			continue
		}
		if s.below(g, p, subgroups) && p.visibleTo(x.user) && p.deletionOn == nil {
			entities = append(entities, s.projectEntity(p, x.user, simple))
		}
	}
	s.page(x, entities)
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

const (
	defaultPerPage = 20
	mostPerPage    = 100
	// Above this, GitLab counts no totals.
	mostCounted = 10_000
)

// page answers with one page of the list. The links carry the host that GitLab
// believes it has.
func (s *Server) page(x *exchange, all []any) {
	p := x.declared()
	p.integer("page")
	p.integer("per_page")
	if !p.valid() {
		return
	}
	number := x.positive("page", 1)
	perPage := min(x.positive("per_page", defaultPerPage), mostPerPage)
	total := len(all)
	pages := max(1, (total+perPage-1)/perPage)
	from := min((number-1)*perPage, total)
	rows := all[from:min(from+perPage, total)]

	h := x.Header()
	h.Set("X-Page", fmt.Sprint(number))
	h.Set("X-Per-Page", fmt.Sprint(perPage))
	h.Set("X-Next-Page", "")
	h.Set("X-Prev-Page", "")
	link := func(rel string, page int) string {
		query := x.request.URL.Query()
		query.Set("page", fmt.Sprint(page))
		query.Set("per_page", fmt.Sprint(perPage))
		return fmt.Sprintf("<%s%s?%s>; rel=%q", s.options.externalURL, x.request.URL.EscapedPath(), query.Encode(), rel)
	}
	var links []string
	if number > 1 {
		h.Set("X-Prev-Page", fmt.Sprint(number-1))
		links = append(links, link("prev", number-1))
	}
	if number < pages {
		h.Set("X-Next-Page", fmt.Sprint(number+1))
		links = append(links, link("next", number+1))
	}
	links = append(links, link("first", 1))
	if total <= mostCounted && !s.world.noTotals {
		h.Set("X-Total", fmt.Sprint(total))
		h.Set("X-Total-Pages", fmt.Sprint(pages))
		links = append(links, link("last", pages))
	}
	h.Set("Link", strings.Join(links, ", "))
	if rows == nil {
		rows = []any{}
	}
	x.json(http.StatusOK, rows)
}

func (x *exchange) positive(name string, fallback int) int {
	n, err := strconv.Atoi(fmt.Sprint(x.params[name]))
	if err != nil || n < 1 {
		return fallback
	}
	return n
}
