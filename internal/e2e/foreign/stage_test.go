package foreign_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// stage is a GitLab with what the rows are about. Each client has one of its own.
type stage struct {
	g                      *gitlabtest.Server
	group, web             *gitlabtest.Group
	shop, open, old, fleet *gitlabtest.Project
	// callers are access tokens by who has them.
	callers map[string]string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	g := gitlabtest.New(t)
	// Some clients follow links to the next page, and so must reach what is in them.
	g.SetExternalURL(g.URL)
	w := &stage{g: g, callers: map[string]string{"nobody": "", "stranger to GitLab": "glpat-unknown"}}
	w.group = g.CreateGroup("acme", gitlabtest.GroupOptions{AutoDevOps: gitlabtest.True})
	w.web = g.CreateGroup("acme/web", gitlabtest.GroupOptions{})
	g.CreateGroup("zoo", gitlabtest.GroupOptions{Visibility: "public"})
	w.shop = g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	w.open = g.CreateProject("zoo/open", gitlabtest.ProjectOptions{Visibility: "public"})
	w.old = g.CreateProject("acme/old", gitlabtest.ProjectOptions{})
	g.RenameProject(w.old, "acme/new")
	for i := range 7 {
		w.fleet = g.CreateProject(fmt.Sprintf("acme/web/fleet-%d", i), gitlabtest.ProjectOptions{})
		g.Clock.Advance(time.Minute)
	}
	w.addCallers()
	return w
}

func (w *stage) addCallers() {
	g := w.g
	maintainer := g.GroupMember(w.group, gitlabtest.Maintainer)
	for name, user := range map[string]*gitlabtest.User{
		"maintainer": maintainer,
		"owner":      g.GroupMember(w.group, gitlabtest.Owner),
		"developer":  g.GroupMember(w.group, gitlabtest.Developer),
		"reporter":   g.GroupMember(w.group, gitlabtest.Reporter),
		"guest":      g.GroupMember(w.group, gitlabtest.Guest),
		"outsider":   g.CreateUser("outsider"),
		"admin":      g.CreateAdmin("root"),
	} {
		w.callers[name] = g.CreateAccessToken(user, "api")
	}
	w.callers["reader"] = g.CreateAccessToken(maintainer, "read_api")
	w.callers["without the api scopes"] = g.CreateAccessToken(maintainer, "read_user")
	w.callers["expired"] = g.CreateAccessToken(maintainer, "api")
	g.ExpireAccessToken(w.callers["expired"])
	w.callers["revoked"] = g.CreateAccessToken(maintainer, "api")
	g.RevokeAccessToken(w.callers["revoked"])
	blocked := g.GroupMember(w.group, gitlabtest.Maintainer)
	w.callers["blocked"] = g.CreateAccessToken(blocked, "api")
	g.BlockUser(blocked)
}

// tokenNamed is the id of the project's deploy token of that name, when it is asked.
func (w *stage) tokenNamed(name string) func() any {
	return func() any {
		for _, token := range w.g.Tokens(w.shop) {
			if token.Name == name {
				return token.ID
			}
		}
		return int64(0)
	}
}

// numbered are n names.
func numbered(format string, n int) []any {
	var names []any
	for i := range n {
		names = append(names, fmt.Sprintf(format, i))
	}
	return names
}
