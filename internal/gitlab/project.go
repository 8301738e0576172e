package gitlab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
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

// projectJSON is decoded by hand: to the Go client, a missing flag is a false one.
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
		// Servers before 14 have only this flag. False says nothing: it is about the caller.
		facts.RegistryAccessLevel = access.RegistryEnabled
	}
	return facts
}

func (p projectJSON) project() Project { return Project{ID: p.ID, Path: p.Path, Facts: p.facts()} }

var movedTo = regexp.MustCompile(`/projects/([0-9]+)$`)

// Project reads a project by its numeric id or full path. An old path of a
// renamed project finds it as well.
func (c *Client) Project(ctx context.Context, ref string) (Project, error) {
	action := "read project " + ref
	got, err := c.getProject(ctx, ref)
	if err != nil {
		return Project{}, c.noAnswer(action, err)
	}
	if got.status == http.StatusMovedPermanently {
		// The new place is named by the numeric id, on a host that need not be ours.
		if target, err := url.Parse(got.header.Get("Location")); err == nil {
			if id := movedTo.FindStringSubmatch(target.Path); id != nil {
				if got, err = c.getProject(ctx, id[1]); err != nil {
					return Project{}, c.noAnswer(action, err)
				}
			}
		}
	}
	if got.status != http.StatusOK {
		return Project{}, c.refused(action, got)
	}

	var body projectJSON
	if err := json.Unmarshal(got.body, &body); err != nil || body.ID == 0 || body.Path == "" {
		return Project{}, c.garbled(action, got)
	}
	return body.project(), nil
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

// garbled is the error of a success that is not what GitLab sends.
func (c *Client) garbled(action string, got answer) *Error {
	what := "an answer that is not GitLab's"
	if strings.HasPrefix(strings.TrimSpace(string(got.body)), "<") {
		what = "an HTML page"
	}
	return &Error{
		Action: action, Status: got.status, Said: what,
		Advice: fmt.Sprintf("Check base_url: is %s the GitLab instance itself?", c.root),
		cause:  errors.New("unreadable answer"),
	}
}
