package gitlabtest

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// allScopes in the order in which GitLab gives them back.
var allScopes = []string{
	"read_repository", "read_registry", "write_registry", "read_package_registry",
	"write_package_registry", "read_virtual_registry", "write_virtual_registry",
}

var validUsername = regexp.MustCompile(`\A[A-Za-z0-9.+_-]+\z`)

func (s *Server) tokenEntity(t *deployToken) map[string]any {
	var expiresAt any
	if !t.expiresAt.IsZero() {
		expiresAt = t.expiresAt.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	entity := map[string]any{
		"id": t.id, "name": t.name, "username": t.username, "expires_at": expiresAt,
		"scopes": t.scopes, "revoked": t.revoked, "expired": t.expired(s.Clock.Now()),
	}
	for _, key := range s.world.tokenKeysLeftOut {
		delete(entity, key)
	}
	maps.Copy(entity, t.override)
	return entity
}

func (s *Server) listAllTokens(x *exchange) {
	switch {
	case x.user == nil:
		x.message(http.StatusUnauthorized, "401 Unauthorized")
	case !x.user.Admin:
		x.message(http.StatusForbidden, "403 Forbidden")
	default:
		s.listTokens(x, func(*deployToken) bool { return true })
	}
}

func (s *Server) listTokens(x *exchange, belongs func(*deployToken) bool) {
	p := x.declared()
	onlyActive := p.boolean("active")
	if !p.valid() {
		return
	}
	var rows []any
	for _, t := range s.world.tokens {
		if belongs(t) && (onlyActive == nil || !*onlyActive || t.active(s.Clock.Now())) {
			rows = append(rows, s.tokenEntity(t))
		}
	}
	s.page(x, rows)
}

// projectForTokens is the project if the caller may manage its deploy tokens.
func (s *Server) projectForTokens(x *exchange) *Project {
	p := s.project(x)
	if p != nil && !p.managesTokens(x.user) {
		x.message(http.StatusForbidden, "403 Forbidden")
		return nil
	}
	return p
}

func (s *Server) listProjectTokens(x *exchange) {
	if p := s.projectForTokens(x); p != nil {
		s.listTokens(x, func(t *deployToken) bool { return t.project == p })
	}
}

func (s *Server) createProjectToken(x *exchange) {
	spec, ok := s.tokenParams(x)
	if !ok {
		return
	}
	if p := s.projectForTokens(x); p != nil {
		spec.project = p
		s.createToken(x, spec)
	}
}

func (s *Server) getProjectToken(x *exchange) {
	id, ok := x.tokenID()
	if !ok {
		return
	}
	if p := s.projectForTokens(x); p != nil {
		if t := s.findToken(x, id, func(t *deployToken) bool { return t.project == p }); t != nil {
			x.json(http.StatusOK, s.tokenEntity(t))
		}
	}
}

func (s *Server) deleteProjectToken(x *exchange) {
	id, ok := x.tokenID()
	if !ok {
		return
	}
	if p := s.projectForTokens(x); p != nil {
		if t := s.findToken(x, id, func(t *deployToken) bool { return t.project == p }); t != nil {
			s.removeToken(t.id)
			x.WriteHeader(http.StatusNoContent)
		}
	}
}

// groupForTokens is the group if the caller has that role in it.
func (s *Server) groupForTokens(x *exchange, needed Role) *Group {
	g := s.group(x)
	if g != nil && g.roleIn(x.user) < needed {
		x.message(http.StatusForbidden, "403 Forbidden")
		return nil
	}
	return g
}

func (s *Server) listGroupTokens(x *exchange) {
	if g := s.groupForTokens(x, Maintainer); g != nil {
		s.listTokens(x, func(t *deployToken) bool { return t.group == g })
	}
}

func (s *Server) createGroupToken(x *exchange) {
	spec, ok := s.tokenParams(x)
	if !ok {
		return
	}
	if g := s.groupForTokens(x, Owner); g != nil {
		spec.group = g
		s.createToken(x, spec)
	}
}

func (s *Server) getGroupToken(x *exchange) {
	id, ok := x.tokenID()
	if !ok {
		return
	}
	if g := s.groupForTokens(x, Maintainer); g != nil {
		if t := s.findToken(x, id, func(t *deployToken) bool { return t.group == g }); t != nil {
			x.json(http.StatusOK, s.tokenEntity(t))
		}
	}
}

func (s *Server) deleteGroupToken(x *exchange) {
	id, ok := x.tokenID()
	if !ok {
		return
	}
	if g := s.groupForTokens(x, Owner); g != nil {
		if t := s.findToken(x, id, func(t *deployToken) bool { return t.group == g }); t != nil {
			s.removeToken(t.id)
			x.WriteHeader(http.StatusNoContent)
		}
	}
}

func (x *exchange) tokenID() (int64, bool) {
	id, err := strconv.ParseInt(x.vars["token_id"], 10, 64)
	if err != nil {
		x.json(http.StatusBadRequest, map[string]any{"error": "token_id is invalid"})
		return 0, false
	}
	return id, true
}

// findToken answers in the wording of the missing record, not of the missing project.
func (s *Server) findToken(x *exchange, id int64, belongs func(*deployToken) bool) *deployToken {
	for _, t := range s.world.tokens {
		if t.id == id && belongs(t) {
			return t
		}
	}
	x.message(http.StatusNotFound, "404 Not found")
	return nil
}

// createToken is the model's part of the validation. It has another error shape
// than the parameters' part.
func (s *Server) createToken(x *exchange, t *deployToken) {
	var problems []string
	if len(t.scopes) == 0 {
		problems = append(problems, "Scopes can't be blank")
	}
	if utf8.RuneCountInString(t.name) > 255 {
		problems = append(problems, "Name is too long (maximum is 255 characters)")
	}
	if utf8.RuneCountInString(t.username) > 255 {
		problems = append(problems, "Username is too long (maximum is 255 characters)")
	}
	if t.username != "" && !validUsername.MatchString(t.username) {
		problems = append(problems, "Username can contain only letters, digits, '_', '-', '+', and '.'")
	}
	if len(problems) > 0 {
		x.message(http.StatusBadRequest, sentence(problems))
		return
	}
	if s.world.ignoresExpiry {
		t.expiresAt = time.Time{}
	}
	if days := s.world.longestLifeDays; days > 0 {
		longest := s.Clock.Now().AddDate(0, 0, days).Truncate(24 * time.Hour)
		if t.expiresAt.IsZero() || t.expiresAt.After(longest) {
			t.expiresAt = longest
		}
	}
	t = s.addToken(t)
	entity := s.tokenEntity(t)
	entity["token"] = t.secret
	x.json(http.StatusCreated, entity)
}

// sentence joins as GitLab's framework does: "a and b", "a, b, and c".
func sentence(parts []string) string {
	if len(parts) < 3 {
		return strings.Join(parts, " and ")
	}
	return strings.Join(parts[:len(parts)-1], ", ") + ", and " + parts[len(parts)-1]
}

// tokenParams is the parameters' part of the validation, which comes before
// anybody asks for permissions.
func (s *Server) tokenParams(x *exchange) (*deployToken, bool) {
	var problems []string
	t := &deployToken{}

	if name, given := x.params["name"]; given && name != nil {
		t.name = fmt.Sprint(name)
	} else {
		problems = append(problems, "name is missing")
	}
	if given, ok := x.params["scopes"]; !ok {
		problems = append(problems, "scopes is missing")
	} else {
		asked := splitScopes(given)
		for _, scope := range allScopes {
			if slices.Contains(asked, scope) {
				t.scopes = append(t.scopes, scope)
			}
		}
		if slices.ContainsFunc(asked, func(scope string) bool { return !slices.Contains(allScopes, scope) }) {
			problems = append(problems, "scopes does not have a valid value")
		}
	}
	if expiresAt, ok := parseExpiry(x.params["expires_at"]); ok {
		t.expiresAt = expiresAt
	} else {
		problems = append(problems, "expires_at is invalid")
	}
	if username, given := x.params["username"]; given && username != nil {
		t.username = fmt.Sprint(username)
	}

	if len(problems) > 0 {
		x.json(http.StatusBadRequest, map[string]any{"error": strings.Join(problems, ", ")})
		return nil, false
	}
	return t, true
}

// splitScopes takes a list or text, each with commas.
func splitScopes(given any) []string {
	items, isList := given.([]any)
	if !isList {
		items = []any{given}
	}
	var scopes []string
	for _, item := range items {
		for scope := range strings.SplitSeq(fmt.Sprint(item), ",") {
			if scope = strings.TrimSpace(scope); scope != "" {
				scopes = append(scopes, scope)
			}
		}
	}
	return scopes
}

var forever = time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)

// parseExpiry: nothing is no expiry, and so is the year 3000, which is how GitLab
// stores that. A date alone is the start of that day.
func parseExpiry(given any) (time.Time, bool) {
	if given == nil || given == "" {
		return time.Time{}, true
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateTime, time.DateOnly} {
		if at, err := time.Parse(layout, fmt.Sprint(given)); err == nil {
			at = at.UTC().Truncate(time.Millisecond)
			if at.Equal(forever) {
				return time.Time{}, true
			}
			return at, true
		}
	}
	return time.Time{}, false
}
