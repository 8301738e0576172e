package gitlabtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"time"
)

// exchange is one request while it is being answered.
type exchange struct {
	http.ResponseWriter

	request *http.Request
	vars    map[string]string
	params  map[string]any
	route   *route
	user    *User
	token   *accessToken
	// job is the caller, if it came with a job's own token to its own project.
	job *Job
}

// route is one endpoint. Handlers run with the world locked.
type route struct {
	method, pattern string

	handle func(*Server, *exchange)
	// jobs says that the endpoint takes the tokens of jobs.
	jobs bool
}

const apiRoot = "/api/v4"

// dashboard is the page that maintenance mode redirects to.
const dashboard = "/dashboard"

// jwtRoute is the registry's token endpoint in the request log and in faults.
const jwtRoute = "/jwt/auth"

func (s *Server) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.EscapedPath(), s.options.relativeRoot)
		if s.control(w, r, path) {
			return
		}
		entry := Request{Method: r.Method, Path: path, Query: r.URL.RawQuery, Header: withoutCredentials(r.Header)}
		found, vars := match(r.Method, path)
		switch {
		case path == jwtRoute:
			entry.Route = jwtRoute
		case found != nil:
			entry.Route, entry.Path = found.pattern, strings.TrimPrefix(path, apiRoot)
		default:
			entry.Route = path
		}

		s.mu.Lock()
		before, after := slices.Clone(s.asked), slices.Clone(s.done)
		asked := entry
		latency := s.options.latency
		fault := s.takeFault(entry)
		logged := &entry
		s.log = append(s.log, logged)
		s.mu.Unlock()
		for _, hook := range before {
			hook(asked)
		}
		if latency > 0 {
			select {
			case <-r.Context().Done():
			case <-time.After(latency):
			}
		}

		answer := httptest.NewRecorder()
		body, _ := io.ReadAll(r.Body)
		s.carryOut(fault, answer, func() {
			r.Body = io.NopCloser(bytes.NewReader(body))
			s.answer(answer, r, path, found, vars)
		})
		s.mu.Lock()
		logged.Status = answer.Code
		logged.Cut = fault != nil && fault.cuts()
		answered := *logged
		s.mu.Unlock()
		for _, hook := range after {
			hook(answered)
		}
		s.send(w, answer, fault)
	})
}

// answer is what GitLab says to the request.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, path string, found *route, vars map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.banned(r) {
		x := &exchange{ResponseWriter: w, request: r}
		x.text(http.StatusForbidden, "Forbidden\n")
		return
	}
	if path == jwtRoute {
		s.jwtAuth(w, r)
		return
	}
	if path == dashboard && r.Method == http.MethodGet {
		(&exchange{ResponseWriter: w, request: r}).text(http.StatusOK, "<html><body>GitLab</body></html>")
		return
	}
	x := &exchange{ResponseWriter: w, request: r, route: found, vars: vars}
	if s.world.maintenance && r.Method != http.MethodGet && r.Method != http.MethodHead {
		s.refuseWrite(x)
		return
	}
	if found == nil || s.world.missing(found) {
		x.json(http.StatusNotFound, map[string]any{"error": "404 Not Found"})
		return
	}
	s.tellLimits(x)
	if !x.readParams() || !s.authenticate(x) || s.throttled(x, found.pattern) || !s.permitted(x) {
		return
	}
	found.handle(s, x)
}

// refuseWrite is maintenance mode: JSON is told so, anything else is sent to a page.
func (s *Server) refuseWrite(x *exchange) {
	if strings.HasPrefix(x.request.Header.Get("Content-Type"), "application/json") {
		x.message(http.StatusServiceUnavailable, "GitLab Maintenance: system is in maintenance mode")
		return
	}
	x.Header().Set("Location", s.URL+dashboard)
	x.text(http.StatusMovedPermanently, "<html><body>You are being redirected.</body></html>")
}

// match finds the endpoint. HEAD is answered as GET, without a body.
func match(method, path string) (*route, map[string]string) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	rest, isAPI := strings.CutPrefix(path, apiRoot)
	if !isAPI {
		return nil, nil
	}
	parts := strings.Split(rest, "/")
	for i := range routes {
		r := &routes[i]
		pattern := strings.Split(r.pattern, "/")
		if r.method != method || len(pattern) != len(parts) {
			continue
		}
		vars := map[string]string{}
		matches := true
		for j, p := range pattern {
			if name, isVar := strings.CutPrefix(p, ":"); isVar {
				vars[name], _ = url.PathUnescape(parts[j])
			} else if p != parts[j] {
				matches = false
			}
		}
		if matches {
			return r, vars
		}
	}
	return nil, nil
}

// authenticate finds the caller. Most endpoints do not take the tokens of jobs: with
// one, a request is anonymous.
func (s *Server) authenticate(x *exchange) bool {
	if token := x.request.Header.Get("Job-Token"); token != "" {
		return s.acceptJob(x, token)
	}
	value, isBearer := strings.CutPrefix(x.request.Header.Get("Authorization"), "Bearer ")
	if !isBearer {
		value = x.request.Header.Get("Private-Token")
	}
	if value == "" {
		return true
	}
	for _, t := range s.world.accessTokens {
		// PRIVATE-TOKEN is not for OAuth tokens.
		if t.value == value && (isBearer || !t.oauth) {
			return s.acceptToken(x, t)
		}
	}
	for _, j := range s.world.jobs {
		if j.Token == value {
			return true
		}
	}
	x.message(http.StatusUnauthorized, "401 Unauthorized")
	return false
}

func (s *Server) acceptToken(x *exchange, t *accessToken) bool {
	invalid := func(description string) bool {
		x.json(http.StatusUnauthorized, map[string]any{"error": "invalid_token", "error_description": description})
		return false
	}
	switch {
	case t.revoked:
		return invalid("Token was revoked. You have to re-authorize from the user.")
	case !t.expiresAt.IsZero() && !s.Clock.Now().Before(t.expiresAt):
		return invalid("Token is expired. You can either do re-authorization or token refresh.")
	case t.user.Blocked:
		x.message(http.StatusForbidden, "403 Forbidden - Your account has been blocked.")
		return false
	}
	reads := x.route.method == http.MethodGet
	self := x.route.pattern == "/user" && hasAny(t.scopes, "read_user") || x.route.pattern == "/personal_access_tokens/self"
	enough := t.granular || hasAny(t.scopes, "api") || reads && hasAny(t.scopes, "read_api") || self
	if !enough {
		scope := "api"
		if reads {
			scope = "api read_api"
		}
		x.json(http.StatusForbidden, map[string]any{
			"error": "insufficient_scope", "error_description": "The request requires higher privileges than provided by the access token.",
			"scope": scope,
		})
		return false
	}
	x.user, x.token = t.user, t
	return true
}

func hasAny(scopes []string, wanted ...string) bool {
	return slices.ContainsFunc(scopes, func(scope string) bool { return slices.Contains(wanted, scope) })
}

func (x *exchange) json(status int, body any) {
	x.Header().Set("Content-Type", "application/json")
	x.WriteHeader(status)
	_ = json.NewEncoder(x).Encode(body)
}

func (x *exchange) message(status int, message string) {
	x.json(status, map[string]any{"message": message})
}

func (x *exchange) text(status int, body string) {
	contentType := "text/plain"
	if strings.HasPrefix(body, "<") {
		contentType = "text/html"
	}
	x.Header().Set("Content-Type", contentType)
	x.WriteHeader(status)
	_, _ = io.WriteString(x, body)
}

// project finds the project of the request, or answers why not. A moved project
// is only found by its new place.
func (s *Server) project(x *exchange) *Project {
	p, moved := s.world.find(x.vars["id"])
	if p == nil || !p.visibleTo(x.user) && (x.job == nil || x.job.project != p) {
		x.message(http.StatusNotFound, "404 Project Not Found")
		return nil
	}
	if !moved {
		return p
	}
	if x.route.method != http.MethodGet {
		x.message(http.StatusMethodNotAllowed, "Non GET methods are not allowed for moved projects")
		return nil
	}
	// The place is made of the request's own URL, not of the one that GitLab believes it has.
	_, rest, _ := strings.Cut(x.request.URL.EscapedPath(), "/projects/")
	_, rest, _ = strings.Cut(rest, "/")
	location := fmt.Sprintf("http://%s%s%s/projects/%d", x.request.Host, s.options.relativeRoot, apiRoot, p.ID)
	if rest != "" {
		location += "/" + rest
	}
	if x.request.URL.RawQuery != "" {
		location += "?" + x.request.URL.RawQuery
	}
	x.Header().Set("Location", location)
	x.json(http.StatusMovedPermanently, map[string]any{"message": "This resource has been moved permanently to " + location})
	return nil
}

func (s *Server) group(x *exchange) *Group {
	g := s.world.findGroup(x.vars["id"])
	if g == nil || !s.seesGroup(g, x.user) {
		x.message(http.StatusNotFound, "404 Group Not Found")
		return nil
	}
	return g
}

// seesGroup: who sees a project of a group sees the group (the condition has_projects
// of app/policies/group_policy.rb), but not what else is in it.
func (s *Server) seesGroup(g *Group, u *User) bool {
	if g.Visibility == "public" || g.Visibility == "internal" && u != nil || g.roleIn(u) > NoRole {
		return true
	}
	return u != nil && slices.ContainsFunc(s.world.projects, func(p *Project) bool { return s.below(g, p, true) && p.visibleTo(u) })
}

// tellLimits adds what newer servers say of the general throttle on every answer.
// It does not speak of the limits of single endpoints.
func (s *Server) tellLimits(x *exchange) {
	h := x.Header()
	h.Set("RateLimit-Name", "throttle_authenticated_api")
	h.Set("RateLimit-Limit", "2000")
	h.Set("RateLimit-Observed", "1")
	h.Set("RateLimit-Remaining", "1999")
	h.Set("RateLimit-Reset", fmt.Sprint(s.Clock.Now().Add(time.Minute).Unix()))
}

func withoutCredentials(h http.Header) http.Header {
	clean := h.Clone()
	for _, name := range []string{"Private-Token", "Authorization", "Job-Token"} {
		if clean.Get(name) != "" {
			clean.Set(name, "[present]")
		}
	}
	return clean
}

func clientAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
