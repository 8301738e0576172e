package foreign_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
)

const tokensSource, tokenModel = "lib/api/deploy_tokens.rb, spec/requests/api/deploy_tokens_spec.rb", "app/models/deploy_token.rb"

func (w *stage) tokenRows() []row {
	return append(w.tokenCreations(), w.tokenReads()...)
}

// creation asks for a token of the project.
func (w *stage) creation(name, source, as string, attrs args, want want) row {
	return row{name: name, source: source, as: as, op: "create_token", args: args{"project": w.shop.ID, "attrs": attrs}, want: want}
}

func (w *stage) tokenCreations() []row {
	read := []string{"read_registry"}
	expiry := w.g.Clock.Now().AddDate(1, 0, 0).Truncate(24 * time.Hour)
	made := shows(map[string]any{"name": "pull", "username": "autodevops-1", "scopes": read, "expires_at": expiry, "revoked": false, "expired": false})
	made.then = func(token map[string]any) error {
		secret := fmt.Sprint(token["token"])
		if !strings.HasPrefix(secret, "gldt-") || !w.g.CanPull(w.shop, "autodevops-1", secret) {
			return errors.New("the token cannot pull")
		}
		return nil
	}
	missing := refused(400, "is missing")
	rows := []row{
		w.creation("a token", tokensSource, "maintainer", args{"name": "pull", "username": "autodevops-1", "scopes": read, "expires_at": expiry}, made),
		w.creation("a token like another", tokenModel+": nothing is unique but the secret", "maintainer",
			args{"name": "pull", "username": "autodevops-1", "scopes": read}, shows(map[string]any{"username": "autodevops-1", "expires_at": nil})),
		w.creation("a token that has expired", tokenModel+": no rule against it", "maintainer",
			args{"name": "past", "scopes": read, "expires_at": w.g.Clock.Now().AddDate(0, 0, -7)}, shows(map[string]any{"expired": true})),
		w.creation("scopes in GitLab's order", tokenModel, "maintainer", args{"name": "both", "scopes": []string{"write_registry", "read_registry"}},
			shows(map[string]any{"scopes": []string{"read_registry", "write_registry"}})),
		w.creation("name is missing", tokensSource, "maintainer", args{"scopes": read}, missing),
		w.creation("project scopes missing", tokensSource, "maintainer", args{"name": "n"}, missing),
		w.creation("no such scope", tokensSource, "maintainer", args{"name": "n", "scopes": []string{"read_everything"}}, refused(400, "scopes does not have a valid value")),
		w.creation("a username with a space", tokenModel, "maintainer", args{"name": "n", "username": "a b", "scopes": read},
			refused(400, "Username can contain only letters, digits, '_', '-', '+', and '.'")),
		w.creation("a long name", tokenModel, "maintainer", args{"name": strings.Repeat("n", 256), "scopes": read}, refused(400, "Name is too long (maximum is 255 characters)")),
		w.creation("expires_at is no date", tokensSource, "maintainer", args{"name": "n", "scopes": read, "expires_at": "foo"}, refused(400, "expires_at is invalid")),
		w.creation("a token by a developer", tokensSource, "developer", args{"name": "n", "scopes": read}, refused(403, "403 Forbidden")),
		w.creation("a token by an outsider", tokensSource, "outsider", args{"name": "n", "scopes": read}, refused(404, "404 Project Not Found")),
		w.creation("a token by nobody", tokensSource, "nobody", args{"name": "n", "scopes": read}, refused(404, "404 Project Not Found")),
		w.creation("a token with read_api", "lib/gitlab/auth/auth_finders.rb", "reader", args{"name": "n", "scopes": read},
			refused(403, "insufficient_scope", "The request requires higher privileges than provided by the access token.")),
	}
	short := w.creation("a token without the permission", "lib/api/helpers.rb, config/authz/permissions/deploy_token", "reads tokens", args{"name": "n", "scopes": read}, refused(403, granular("Create")...))
	short.before = w.fineGrained("reads tokens", "Deploy Token: Read")
	elsewhere := row{name: "a fine-grained token for another project", source: granularSource + ": as if there were none", as: "reads tokens", op: "tokens", args: args{"project": w.fleet.ID}, want: refused(404, "404 Not Found")}
	long := w.creation("a token with the permission", "config/authz/permissions/deploy_token/create.yml", "creates tokens", args{"name": "granular", "scopes": read}, shows(map[string]any{"name": "granular"}))
	long.before = w.fineGrained("creates tokens", "Deploy Token: Create")
	return append(rows, short, elsewhere, long)
}

const granularSource = "app/services/authz/tokens/authorize_granular_scopes_service.rb"

// granular is the refusal of a token without that permission.
func granular(verb string) []string {
	return []string{
		"insufficient_granular_scope",
		"Access denied: This operation requires a fine-grained personal access token with the following project permissions: [Deploy Token: " + verb + "].",
	}
}

func (w *stage) tokenReads() []row {
	inShop := func(more args) args {
		all := args{"project": w.shop.ID}
		maps.Copy(all, more)
		return all
	}
	own, pull := "gitlab-deploy-token", w.tokenNamed("pull")
	return []row{
		{name: "tokens page by page", source: tokensSource, as: "maintainer", op: "tokens", args: inShop(args{"query": args{"per_page": 2}}),
			want: lists("name", own, "pull", "pull", "past", "both", "granular")},
		{name: "tokens by keyset", source: "lib/api/deploy_tokens.rb uses paginate: no keyset", as: "maintainer", op: "tokens", args: inShop(args{"query": args{"pagination": "keyset", "per_page": 2}}),
			want: lists("name", own, "pull", "pull", "past", "both", "granular")},
		{name: "active tokens", source: "app/finders/deploy_tokens/tokens_finder.rb", as: "maintainer", op: "tokens", args: inShop(args{"query": args{"active": true}}),
			want: lists("name", own, "pull", "pull", "both", "granular")},
		{name: "active=false filters nothing", source: "app/finders/deploy_tokens/tokens_finder.rb", as: "reader", op: "tokens", args: inShop(args{"query": args{"active": false}}),
			want: lists("name", own, "pull", "pull", "past", "both", "granular")},
		{name: "tokens by a developer", source: tokensSource, as: "developer", op: "tokens", args: inShop(nil), want: refused(403, "403 Forbidden")},
		{name: "tokens of a public project by nobody", source: tokensSource, as: "nobody", op: "tokens", args: args{"project": w.open.ID}, want: refused(403, "403 Forbidden")},
		{name: "one token", source: "lib/api/entities/deploy_token.rb: no secret", as: "maintainer", op: "token", args: inShop(args{"id": pull}),
			want: shows(map[string]any{"name": "pull", "username": "autodevops-1", "revoked": false}, "token")},
		{name: "no such token", source: "lib/api/api.rb: another text than that of a missing project", as: "maintainer", op: "token", args: inShop(args{"id": 999_999}), want: refused(404, "404 Not found")},
		{name: "a token's id is no number", source: tokensSource, as: "maintainer", op: "token", args: inShop(args{"id": "123abc"}), want: refused(400, "token_id is invalid")},
		{name: "a token of a project that there is not", source: tokensSource, as: "maintainer", op: "token", args: args{"project": "acme/none", "id": 1}, want: refused(404, "404 Project Not Found")},
		{name: "a token revoked in the settings", source: tokenModel, as: "maintainer", op: "token", args: inShop(args{"id": w.tokenNamed("both")}),
			before: func() { w.g.RevokeInSettings(w.tokenNamed("both")().(int64)) }, want: shows(map[string]any{"revoked": true})},
		{name: "a token deleted by a developer", source: tokensSource, as: "developer", op: "delete_token", args: inShop(args{"id": pull}), want: refused(403, "403 Forbidden")},
		{name: "a token deleted", source: tokensSource, as: "maintainer", op: "delete_token", args: inShop(args{"id": w.tokenNamed("past")}), want: done(func() error {
			if w.tokenNamed("past")() != int64(0) {
				return errors.New("the token is still there")
			}
			return nil
		})},
		{name: "a token deleted that there is not", source: tokensSource, as: "maintainer", op: "delete_token", args: inShop(args{"id": 999_999}), want: refused(404, "404 Not found")},
		{name: "all tokens by a maintainer", source: tokensSource, as: "maintainer", op: "all_tokens", args: args{}, want: refused(403, "403 Forbidden")},
		{name: "all tokens by nobody", source: tokensSource, as: "nobody", op: "all_tokens", args: args{}, want: refused(401, "401 Unauthorized")},
		{name: "all tokens", source: tokensSource, as: "admin", op: "all_tokens", args: args{}, want: lists("name", "gitlab-deploy-token", "late", "pull", "pull", "both", "granular")},
	}
}

func (w *stage) groupTokenRows() []row {
	attrs := args{"name": "of the group", "scopes": []string{"read_registry"}}
	inGroup := args{"group": "acme"}
	made := shows(map[string]any{"name": "of the group"})
	var id any
	made.then = func(token map[string]any) error {
		id = token["id"]
		if !w.g.CanPull(w.fleet, fmt.Sprint(token["username"]), fmt.Sprint(token["token"])) {
			return errors.New("the group's token does not reach a project below")
		}
		return nil
	}
	created := func() any { return id }
	return []row{
		{name: "a group's token by a maintainer", source: tokensSource + ": Owner", as: "maintainer", op: "create_token", args: args{"group": "acme", "attrs": attrs}, want: refused(403, "403 Forbidden")},
		{name: "a group's token by an owner", source: tokensSource, as: "owner", op: "create_token", args: args{"group": "acme", "attrs": attrs}, want: made},
		{name: "a group's tokens by a maintainer", source: tokensSource, as: "maintainer", op: "tokens", args: inGroup, want: lists("name", "of the group")},
		{name: "a group's tokens by a developer", source: tokensSource, as: "developer", op: "tokens", args: inGroup, want: refused(403, "403 Forbidden")},
		{name: "one token of a group", source: tokensSource, as: "maintainer", op: "token", args: args{"group": "acme", "id": created}, want: shows(map[string]any{"name": "of the group"}, "token")},
		{name: "a group's token is none of the project's", source: tokensSource, as: "maintainer", op: "token", args: args{"project": w.shop.ID, "id": created}, want: refused(404, "404 Not found")},
		{name: "a group's token deleted by a maintainer", source: tokensSource, as: "maintainer", op: "delete_token", args: args{"group": "acme", "id": created}, want: refused(403, "403 Forbidden")},
		{name: "a group's token deleted", source: tokensSource, as: "owner", op: "delete_token", args: args{"group": "acme", "id": created}, want: done(func() error { return nil })},
		{name: "a group that takes fine-grained tokens only", source: granularSource, as: "maintainer", op: "tokens", args: args{"project": w.shop.ID},
			before: func() { w.g.RequireFineGrained(w.group, true) }, want: refused(403, granular("Read")...)},
		{name: "a fine-grained token where they are enforced", source: granularSource, as: "reads there", op: "tokens", args: args{"project": w.shop.ID},
			before: w.fineGrained("reads there", "Deploy Token: Read"), want: lists("name", "gitlab-deploy-token", "pull", "pull", "both", "granular")},
		{name: "no group enforces anything", source: tokensSource, as: "maintainer", op: "tokens", args: args{"group": "acme"},
			before: func() { w.g.RequireFineGrained(w.group, false) }, want: lists("name")},
	}
}
