package foreign_test

import (
	"fmt"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// selfRows are about the instance and the caller.
func (w *stage) selfRows() []row {
	const auth = "lib/api/helpers.rb, lib/gitlab/auth/auth_finders.rb"
	return []row{
		{name: "version", source: "lib/api/metadata.rb", as: "outsider", op: "version", want: shows(map[string]any{"version": "19.5.0"})},
		{name: "metadata", source: "lib/api/metadata.rb", as: "outsider", op: "metadata", want: shows(map[string]any{"version": "19.5.0"})},
		{name: "version by nobody", source: "lib/api/metadata.rb", as: "nobody", op: "version", want: refused(401, "401 Unauthorized")},
		{name: "who am I", source: "lib/api/users.rb", as: "admin", op: "whoami", want: shows(map[string]any{"username": "root", "state": "active"})},
		{name: "which token is this", source: "lib/api/personal_access_tokens/self_information.rb", as: "reader", op: "own_token",
			want: shows(map[string]any{"scopes": []string{"read_api"}, "active": true, "revoked": false})},
		{name: "no such access token", source: auth, as: "stranger to GitLab", op: "project", args: args{"project": w.shop.ID}, want: refused(401, "401 Unauthorized")},
		{name: "expired access token", source: auth, as: "expired", op: "project", args: args{"project": w.shop.ID},
			want: refused(401, "invalid_token", "Token is expired. You can either do re-authorization or token refresh.")},
		{name: "revoked access token", source: auth, as: "revoked", op: "project", args: args{"project": w.shop.ID},
			want: refused(401, "invalid_token", "Token was revoked. You have to re-authorize from the user.")},
		{name: "blocked user", source: auth, as: "blocked", op: "project", args: args{"project": w.shop.ID}, want: refused(403, "403 Forbidden - Your account has been blocked.")},
		{name: "no api scope", source: auth, as: "without the api scopes", op: "project", args: args{"project": w.shop.ID},
			want: refused(403, "insufficient_scope", "The request requires higher privileges than provided by the access token.")},
	}
}

func (w *stage) projectRows() []row {
	const entity, find, change = "lib/api/entities/project.rb", "lib/api/helpers.rb", "lib/api/projects.rb"
	whole := shows(map[string]any{
		"id": w.shop.ID, "path_with_namespace": "acme/shop", "visibility": "private", "archived": false, "auto_devops_enabled": true,
		"auto_devops_deploy_strategy": "continuous", "container_registry_access_level": "enabled",
		"container_registry_image_prefix": "registry.gitlab.example.com/acme/shop", "container_registry_enabled": true,
		"web_url": w.g.URL + "/acme/shop", "name_with_namespace": "acme / shop",
	})
	return []row{
		{name: "project by id", source: entity, as: "maintainer", op: "project", args: args{"project": w.shop.ID}, want: whole},
		{name: "project by path", source: find, as: "maintainer", op: "project", args: args{"project": "acme/shop"}, want: whole},
		{name: "project by path in other case", source: find, as: "maintainer", op: "project", args: args{"project": "ACME/Shop"}, want: whole},
		{name: "project read with read_api", source: entity, as: "reader", op: "project", args: args{"project": w.shop.ID}, want: whole},
		{name: "Auto DevOps is hidden below Maintainer", source: entity + ", with_options on admin_project", as: "developer", op: "project", args: args{"project": w.shop.ID},
			want: shows(map[string]any{"id": w.shop.ID, "container_registry_access_level": "enabled"}, "auto_devops_enabled", "auto_devops_deploy_strategy")},
		{name: "public project by nobody", source: "lib/api/entities/basic_project_details.rb", as: "nobody", op: "project", args: args{"project": "zoo/open"},
			want: shows(map[string]any{"path_with_namespace": "zoo/open"}, "container_registry_access_level", "auto_devops_enabled")},
		{name: "private project by nobody", source: find, as: "nobody", op: "project", args: args{"project": w.shop.ID}, want: refused(404, "404 Project Not Found")},
		{name: "private project by an outsider", source: find, as: "outsider", op: "project", args: args{"project": w.shop.ID}, want: refused(404, "404 Project Not Found")},
		{name: "no such project", source: find, as: "maintainer", op: "project", args: args{"project": "acme/none"}, want: refused(404, "404 Project Not Found")},
		{name: "moved project by its old path", source: find + ": GET is redirected to the id", as: "maintainer", op: "project", args: args{"project": "acme/old"},
			want: shows(map[string]any{"id": w.old.ID, "path_with_namespace": "acme/new"})},
		{name: "moved project changed by its old path", source: find, as: "maintainer", op: "create_token",
			args: args{"project": "acme/old", "attrs": args{"name": "n", "scopes": []string{"read_registry"}}},
			want: refused(405, "Non GET methods are not allowed for moved projects")},

		{name: "Auto DevOps saved by a developer", source: change, as: "developer", op: "save_project",
			args: args{"project": w.shop.ID, "attrs": args{"auto_devops_enabled": true}}, want: refused(403, "403 Forbidden")},
		{name: "a visibility that there is not", source: change, as: "maintainer", op: "save_project",
			args: args{"project": w.shop.ID, "attrs": args{"visibility": "open"}}, want: refused(400, "visibility does not have a valid value")},
		{name: "Auto DevOps saved", source: "app/models/project_auto_devops.rb: GitLab makes its own token", as: "maintainer", op: "save_project",
			args: args{"project": w.shop.ID, "attrs": args{"auto_devops_enabled": true}}, want: done(w.hasOwnToken)},
		{name: "Auto DevOps off", source: change, as: "maintainer", op: "save_project",
			args: args{"project": w.old.ID, "attrs": args{"auto_devops_enabled": false}}, want: shows(map[string]any{"auto_devops_enabled": false})},
		{name: "archived project", source: entity, as: "maintainer", op: "project", args: args{"project": w.old.ID},
			before: func() { w.g.SetArchived(w.old, true) }, want: shows(map[string]any{"archived": true})},
		{name: "archived projects keep their deploy tokens", source: "config/authz/permission_groups/internal/project/archived.yml", as: "maintainer", op: "create_token",
			args: args{"project": w.old.ID, "attrs": args{"name": "late", "scopes": []string{"read_registry"}}}, want: shows(map[string]any{"name": "late"})},
		{name: "project scheduled for deletion", source: "app/services/projects/mark_for_deletion_service.rb: it is renamed", as: "maintainer", op: "project", args: args{"project": "acme/new"},
			before: func() { w.g.ScheduleDeletion(w.old) },
			want:   shows(map[string]any{"marked_for_deletion_at": w.g.Clock.Now().Format("2006-01-02"), "path_with_namespace": fmt.Sprintf("acme/new-deletion_scheduled-%d", w.old.ID)})},
	}
}

func (w *stage) hasOwnToken() error {
	for _, token := range w.g.Tokens(w.shop) {
		if token.Name == "gitlab-deploy-token" {
			return nil
		}
	}
	return fmt.Errorf("GitLab made no token of its own")
}

// listRows are about lists of projects and groups, with the clients' own iterators.
func (w *stage) listRows() []row {
	const projects, groups, keyset = "lib/api/projects.rb", "lib/api/groups.rb", "lib/gitlab/pagination/keyset/pager.rb"
	fleet := numbered("acme/web/fleet-%d", 7)
	backwards := []any{}
	for i := range fleet {
		backwards = append(backwards, fleet[len(fleet)-1-i])
	}
	byID := append([]any{"acme/shop", "zoo/open"}, fleet...)
	newest := append(append([]any{}, backwards...), "zoo/open", "acme/shop")
	return []row{
		{name: "projects by offset", source: projects, as: "maintainer", op: "projects", args: args{"query": args{"order_by": "id", "sort": "asc", "per_page": 4}}, want: lists("path_with_namespace", byID...)},
		{name: "projects, the newest first", source: projects, as: "maintainer", op: "projects", args: args{"query": args{"per_page": 5}}, want: lists("path_with_namespace", newest...)},
		{name: "projects by keyset", source: keyset, as: "maintainer", op: "projects",
			args: args{"paging": "keyset", "query": args{"order_by": "id", "sort": "asc", "per_page": 4}}, want: lists("path_with_namespace", byID...)},
		{name: "projects by keyset, downwards", source: keyset, as: "maintainer", op: "projects",
			args: args{"paging": "keyset", "query": args{"order_by": "id", "sort": "desc", "per_page": 3}}, want: lists("path_with_namespace", newest...)},
		{name: "keyset without an order", source: "lib/api/helpers/pagination_strategies.rb", as: "maintainer", op: "projects", args: args{"paging": "keyset", "query": args{"per_page": 3}},
			want: refused(405, "Keyset pagination is not yet available for this type of request")},
		{name: "projects that the caller maintains", source: projects, as: "maintainer", op: "projects",
			args: args{"query": args{"min_access_level": 40, "membership": true, "order_by": "id", "sort": "asc", "search": "fleet", "per_page": 3}}, want: lists("path_with_namespace", fleet...)},
		{name: "projects of nobody", source: projects, as: "nobody", op: "projects", args: args{}, want: lists("path_with_namespace", "zoo/open")},
		{name: "an order that there is not", source: projects, as: "maintainer", op: "projects", args: args{"query": args{"order_by": "age"}}, want: refused(400, "order_by does not have a valid value")},
		{name: "groups by keyset", source: "lib/gitlab/pagination/keyset/cursor_pager.rb", as: "maintainer", op: "groups",
			args: args{"paging": "keyset", "query": args{"order_by": "name", "sort": "asc", "per_page": 2}}, want: lists("full_path", "acme", "acme/web", "zoo")},
		{name: "groups by offset", source: groups, as: "maintainer", op: "groups", args: args{"query": args{"per_page": 1}}, want: lists("full_path", "acme", "acme/web", "zoo")},
		{name: "group by path", source: groups, as: "guest", op: "group", args: args{"group": "acme/web"}, want: shows(map[string]any{"id": w.web.ID, "full_path": "acme/web", "visibility": "private", "parent_id": w.group.ID})},
		{name: "group's own setting", source: "lib/api/entities/group.rb: raw", as: "guest", op: "group", args: args{"group": w.group.ID}, want: shows(map[string]any{"auto_devops_enabled": true})},
		{name: "group that inherits", source: "lib/api/entities/group.rb: null", as: "guest", op: "group", args: args{"group": w.web.ID}, want: shows(map[string]any{"auto_devops_enabled": nil})},
		{name: "private group by an outsider", source: groups, as: "outsider", op: "group", args: args{"group": "acme"}, want: refused(404, "404 Group Not Found")},
		{name: "projects of a group with subgroups", source: groups, as: "maintainer", op: "group_projects",
			args: args{"group": "acme", "query": args{"include_subgroups": true, "order_by": "path", "sort": "asc", "per_page": 4, "with_shared": false}},
			want: lists("path_with_namespace", append(append([]any{}, fleet...), "acme/shop")...)},
		{name: "projects of a group, Auto DevOps included", source: groups + ": the full entity", as: "maintainer", op: "group_projects",
			args: args{"group": "acme/web", "query": args{"order_by": "id", "sort": "asc", "per_page": 3}}, want: lists("auto_devops_enabled", true, true, true, true, true, true, true)},
	}
}

// fineGrained makes a caller with a fine-grained token for the project.
func (w *stage) fineGrained(name string, permissions ...string) func() {
	return func() {
		user := w.g.Maintainer(w.shop)
		w.callers[name] = w.g.CreateFineGrainedToken(user, gitlabtest.FineGrained{Project: w.shop, Permissions: permissions})
	}
}
