package gitlab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	gogitlab "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

// Project is a project and its facts.
type Project struct {
	ID    int64
	Path  string
	Facts access.Facts
}

// projectJSON is decoded by hand: to the Go client, a missing flag is a false one. GitLab
// leaves keys out by the caller's role (lib/api/entities/project.rb).
type projectJSON struct {
	ID                  int64   `json:"id"`
	Path                string  `json:"path_with_namespace"`
	Visibility          *string `json:"visibility"`
	RegistryAccessLevel *string `json:"container_registry_access_level"`
	RegistryEnabled     *bool   `json:"container_registry_enabled"`
	ImagePrefix         *string `json:"container_registry_image_prefix"`
	AutoDevOps          *bool   `json:"auto_devops_enabled"`
	Archived            bool    `json:"archived"`
	MarkedForDeletionAt *string `json:"marked_for_deletion_at"`
	MarkedForDeletionOn *string `json:"marked_for_deletion_on"`
}

func (p projectJSON) facts() access.Facts {
	facts := access.Facts{
		AutoDevOps:        p.AutoDevOps,
		Archived:          p.Archived,
		DeletionScheduled: p.MarkedForDeletionAt != nil || p.MarkedForDeletionOn != nil,
	}
	if p.Visibility != nil {
		facts.Visibility = *p.Visibility
	}
	if p.ImagePrefix != nil {
		facts.ImagePrefix = *p.ImagePrefix
	}
	switch {
	case p.RegistryAccessLevel != nil && *p.RegistryAccessLevel != "":
		facts.RegistryAccessLevel = *p.RegistryAccessLevel
	case p.RegistryEnabled != nil && *p.RegistryEnabled:
		// Servers before 14 have only this flag. False says nothing: it is whether the
		// caller may use the registry (lib/api/entities/project.rb).
		facts.RegistryAccessLevel = access.RegistryEnabled
	}
	return facts
}

// project returns the project. Words that the provider does not know end up in messages.
func (p projectJSON) project(r reporter) Project {
	facts := p.facts()
	if !slices.Contains(access.Visibilities(), facts.Visibility) {
		facts.Visibility = r.quote(facts.Visibility)
	}
	if !slices.Contains(access.RegistryAccessLevels(), facts.RegistryAccessLevel) {
		facts.RegistryAccessLevel = r.quote(facts.RegistryAccessLevel)
	}
	return Project{ID: p.ID, Path: p.Path, Facts: facts}
}

var movedTo = regexp.MustCompile(`/projects/([0-9]+)$`)

// Project reads a project by its numeric id or full path. An old path of a
// renamed project finds it as well. An answer about another project is an error.
func (c *Client) Project(ctx context.Context, ref string) (Project, error) {
	action := "read project " + ref
	asked := ref
	got, err := c.getProject(ctx, asked)
	if err != nil {
		return Project{}, c.noAnswer(action, err)
	}
	if id, moved := newPlace(got); moved {
		asked = id
		if got, err = c.getProject(ctx, asked); err != nil {
			return Project{}, c.noAnswer(action, err)
		}
	}
	if got.status != http.StatusOK {
		return Project{}, c.refused(action, got)
	}

	var body projectJSON
	if err := json.Unmarshal(got.body, &body); err != nil || body.ID == 0 || body.Path == "" {
		return Project{}, c.garbled(action, got)
	}
	if asked != strconv.FormatInt(body.ID, 10) && !strings.EqualFold(asked, body.Path) {
		return Project{}, c.mistaken(action, fmt.Sprintf("project %s (id %d)", c.quote(body.Path), body.ID))
	}
	return body.project(c.reporter), nil
}

// newPlace is the numeric id to which GitLab redirects from the old path of a project.
// The redirect's host need not be ours (lib/api/helpers.rb, user_project).
func newPlace(got answer) (id string, moved bool) {
	if got.status != http.StatusMovedPermanently {
		return "", false
	}
	target, err := url.Parse(got.header.Get("Location"))
	if err != nil {
		return "", false
	}
	if match := movedTo.FindStringSubmatch(target.Path); match != nil {
		return match[1], true
	}
	return "", false
}

// OwnerOfPath returns the id of the project to which a full path leads now, old paths
// of renamed projects included. It makes one request.
func (c *Client) OwnerOfPath(ctx context.Context, path string) (int64, error) {
	action := "read project " + path
	got, err := c.getProject(ctx, path)
	if err != nil {
		return 0, c.noAnswer(action, err)
	}
	if id, moved := newPlace(got); moved {
		return strconv.ParseInt(id, 10, 64)
	}
	if got.status != http.StatusOK {
		return 0, c.refused(action, got)
	}
	var body projectJSON
	if err := json.Unmarshal(got.body, &body); err != nil || body.ID == 0 {
		return 0, c.garbled(action, got)
	}
	if !strings.EqualFold(path, body.Path) {
		return 0, c.mistaken(action, fmt.Sprintf("project %s (id %d)", c.quote(body.Path), body.ID))
	}
	return body.ID, nil
}

func (c *Client) getProject(ctx context.Context, ref string) (answer, error) {
	return c.request(ctx, http.MethodGet, "projects/"+gogitlab.PathEscape(ref), nil)
}

// CheckToken asks GitLab who the token's user is, and so whether the token works.
func (c *Client) CheckToken(ctx context.Context) error {
	const action = "check the provider's token"
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	got, err := c.request(ctx, http.MethodGet, "user", nil)
	switch {
	case err != nil:
		return c.noAnswer(action, err)
	case got.status != http.StatusOK:
		return c.refused(action, got)
	}
	var user struct {
		ID int64 `json:"id"`
	}
	if err := json.Unmarshal(got.body, &user); err != nil || user.ID == 0 {
		return c.garbled(action, got)
	}
	return nil
}

// KnowsToken is CheckToken for a different question: nil if GitLab knows the provider's
// token, whatever that may do. Fine-grained tokens may not read their user.
func (c *Client) KnowsToken(ctx context.Context) error {
	err := c.CheckToken(ctx)
	if IsKind(err, KindScope) || IsKind(err, KindGranularScope) {
		return nil
	}
	return err
}
