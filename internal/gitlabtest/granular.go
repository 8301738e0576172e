package gitlabtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// FineGrained is one grant of a fine-grained access token: permissions as GitLab names
// them ("Deploy Token: Create") for a project, or for a group and all below it. With
// neither, they are about the user and the instance ("User: Read", "Metadata: Read").
type FineGrained struct {
	Project     *Project
	Group       *Group
	Permissions []string
}

// CreateFineGrainedToken makes a fine-grained personal access token, which has no
// scopes but grants. Its user's role counts as well.
func (s *Server) CreateFineGrainedToken(u *User, grants ...FineGrained) string {
	value := s.CreateAccessToken(u, "granular")
	s.editAccessToken(value, func(t *accessToken) { t.granular, t.grants = true, grants })
	return value
}

// RequireFineGrained makes a top-level group accept only fine-grained tokens, for
// itself and for all below it.
func (s *Server) RequireFineGrained(g *Group, required bool) {
	s.edit(func() { g.fineGrainedOnly = required })
}

// boundary is where a permission must be held.
type boundary string

const (
	boundaryProject  boundary = "project"
	boundaryGroup    boundary = "group"
	boundaryUser     boundary = "user"
	boundaryInstance boundary = "instance"
)

// permission is what an endpoint wants of a fine-grained token.
type permission struct {
	at   boundary
	name string
}

// permissionOf follows the names of GitLab's permissions
// (config/authz/permission_groups); those of CI/CD are inferred. An endpoint without
// one does not take fine-grained tokens.
func (r *route) permission() *permission {
	for path, p := range map[string]permission{
		"/user":                        {boundaryUser, "User"},
		"/personal_access_tokens/self": {boundaryUser, "Personal Access Token"},
		"/version":                     {boundaryInstance, "Metadata"},
		"/metadata":                    {boundaryInstance, "Metadata"},
		"/projects/:id":                {boundaryProject, "Project"},
		"/groups/:id":                  {boundaryGroup, "Group"},
		"/groups/:id/projects":         {boundaryGroup, "Project"},
	} {
		if r.pattern == path {
			return &permission{p.at, p.name + ": " + r.verb()}
		}
	}
	for segment, name := range map[string]string{
		"deploy_tokens": "Deploy Token", "variables": "Variable", "environments": "Environment", "deployments": "Deployment",
	} {
		switch {
		case strings.HasPrefix(r.pattern, "/projects/:id/"+segment):
			return &permission{boundaryProject, name + ": " + r.verb()}
		case strings.HasPrefix(r.pattern, "/groups/:id/"+segment):
			return &permission{boundaryGroup, name + ": " + r.verb()}
		}
	}
	return nil
}

func (r *route) verb() string {
	if strings.HasSuffix(r.pattern, "/stop") {
		return "Stop"
	}
	return map[string]string{http.MethodGet: "Read", http.MethodPost: "Create", http.MethodPut: "Update", http.MethodDelete: "Delete"}[r.method]
}

// permitted checks the token's grants before anything else about the request
// (app/services/authz/tokens/authorize_granular_scopes_service.rb). Ordinary tokens are
// checked only below a group that requires fine-grained ones, and have no grants.
func (s *Server) permitted(x *exchange) bool {
	enforced := slices.ContainsFunc(s.world.groups, func(g *Group) bool { return g.fineGrainedOnly })
	if x.token == nil || !x.token.granular && !enforced {
		return true
	}
	needed := x.route.permission()
	p, g, found := s.boundaryOf(x, needed)
	if !x.token.granular && !requiresFineGrained(p, g) {
		return true
	}
	switch {
	case needed == nil:
		x.granularRefusal("Access denied: This operation doesn't support fine-grained personal access tokens.")
	case !found:
		x.message(http.StatusNotFound, "404 Not Found")
	case x.token.holds(needed, p, g):
		return true
	case s.hidden(x, p, g):
		x.message(http.StatusNotFound, "404 Not Found")
	default:
		x.granularRefusal(fmt.Sprintf(
			"Access denied: This operation requires a fine-grained personal access token with the following %s permissions: [%s].", needed.at, needed.name))
	}
	return false
}

// boundaryOf finds the project or group that the request is about.
func (s *Server) boundaryOf(x *exchange, needed *permission) (p *Project, g *Group, found bool) {
	if needed == nil {
		return nil, nil, true
	}
	switch needed.at {
	case boundaryProject:
		p, _ = s.world.find(x.vars["id"])
		return p, nil, p != nil
	case boundaryGroup:
		g = s.world.findGroup(x.vars["id"])
		return nil, g, g != nil
	case boundaryUser, boundaryInstance:
	}
	return nil, nil, true
}

func requiresFineGrained(p *Project, g *Group) bool {
	if p != nil {
		g = p.group
	}
	for ; g != nil; g = g.parent {
		if g.parent == nil && g.fineGrainedOnly {
			return true
		}
	}
	return false
}

// covers says whether the grant is about the project or group.
func (f FineGrained) covers(p *Project, g *Group) bool {
	if f.Project == nil && f.Group == nil {
		return p == nil && g == nil
	}
	if p != nil {
		if f.Project == p {
			return true
		}
		g = p.group
	}
	for ; g != nil && f.Group != nil; g = g.parent {
		if g == f.Group {
			return true
		}
	}
	return false
}

func (t *accessToken) covers(p *Project, g *Group) bool {
	return slices.ContainsFunc(t.grants, func(f FineGrained) bool { return f.covers(p, g) })
}

func (t *accessToken) holds(needed *permission, p *Project, g *Group) bool {
	return slices.ContainsFunc(t.grants, func(f FineGrained) bool {
		return f.covers(p, g) && slices.Contains(f.Permissions, needed.name)
	})
}

// hidden: what the token's user cannot see is not found, and neither is what no grant
// of a fine-grained token is about, unless everybody can see it (inferred: the policy
// of read_boundary was not read).
func (s *Server) hidden(x *exchange, p *Project, g *Group) bool {
	switch {
	case p != nil:
		return !p.visibleTo(x.user) || x.token.granular && p.visibility != "public" && !x.token.covers(p, nil)
	case g != nil:
		return !s.seesGroup(g, x.user) || x.token.granular && g.Visibility != "public" && !x.token.covers(nil, g)
	}
	return false
}

func (x *exchange) granularRefusal(description string) {
	x.json(http.StatusForbidden, map[string]any{"error": "insufficient_granular_scope", "error_description": description})
}
