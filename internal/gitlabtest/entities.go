package gitlabtest

import (
	"maps"
	"strings"
	"time"
)

func lastPart(path string) string { return path[strings.LastIndex(path, "/")+1:] }

// spaced is a full path as GitLab's names with namespaces are written.
func spaced(path string) string { return strings.ReplaceAll(path, "/", " / ") }

// projectEntity is the project as that caller sees it. Anonymous callers and
// simple lists get the basic entity, callers below Maintainer no Auto DevOps.
func (s *Server) projectEntity(p *Project, caller *User, simple bool) map[string]any {
	name := lastPart(p.path)
	web := s.options.externalURL + "/" + p.path
	host := strings.TrimPrefix(strings.TrimPrefix(s.options.externalURL, "https://"), "http://")
	entity := map[string]any{
		"id": p.ID, "description": nil, "name": name, "name_with_namespace": spaced(p.path), "path": name, "path_with_namespace": p.path,
		"created_at": stamp(p.createdAt), "last_activity_at": stamp(p.createdAt), "default_branch": "main", "topics": []string{}, "tag_list": []string{},
		"web_url": web, "http_url_to_repo": web + ".git", "ssh_url_to_repo": "git@" + host + ":" + p.path + ".git",
		"readme_url": nil, "avatar_url": nil, "forks_count": 0, "star_count": 0, "namespace": s.namespaceEntity(p.group),
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

func (s *Server) namespaceEntity(g *Group) map[string]any {
	return map[string]any{
		"id": g.ID, "name": lastPart(g.Path), "path": lastPart(g.Path), "kind": "group", "full_path": g.Path, "parent_id": g.parentID(),
		"avatar_url": nil, "web_url": s.options.externalURL + "/groups/" + g.Path,
	}
}

func (g *Group) parentID() any {
	if g.parent == nil {
		return nil
	}
	return g.parent.ID
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
		"permissions":                     map[string]any{"project_access": access(p.members[caller.ID]), "group_access": access(p.group.memberRole(caller))},
	}
	if s.world.premium || s.world.since(delaysDeletion) {
		entity["marked_for_deletion_at"], entity["marked_for_deletion_on"] = p.deletionDate(), p.deletionDate()
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

func (p *Project) deletionDate() any {
	if p.deletionOn == nil {
		return nil
	}
	return p.deletionOn.Format(time.DateOnly)
}

// access is a membership, not what an administrator may do without one.
func access(role Role) any {
	if role == NoRole {
		return nil
	}
	return map[string]any{"access_level": role, "notification_level": 3}
}

// registryUsableBy is about the caller, not about the project.
func (p *Project) registryUsableBy(role Role) bool {
	return p.registryLevel == "enabled" || p.registryLevel == "private" && role >= Reporter
}

func (s *Server) groupEntity(g *Group) map[string]any {
	var autoDevOps any
	if g.autoDevOps != nil {
		autoDevOps = *g.autoDevOps
	}
	return map[string]any{
		"id": g.ID, "name": lastPart(g.Path), "path": lastPart(g.Path), "full_name": spaced(g.Path), "full_path": g.Path, "description": "",
		"parent_id": g.parentID(), "visibility": g.Visibility, "web_url": s.options.externalURL + "/groups/" + g.Path, "avatar_url": nil,
		"created_at": stamp(g.createdAt), "archived": g.archived, "marked_for_deletion_on": nil, "auto_devops_enabled": autoDevOps,
	}
}
