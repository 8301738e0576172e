package gitlab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	gogitlab "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

const (
	perPage = 100
	// maxPages bounds a list whose server never says that it ends.
	maxPages = 1000
)

// forever is how GitLab stores "no expiry"; it gives it back as null.
var forever = time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)

type tokenJSON struct {
	ID        *int64     `json:"id"`
	Name      string     `json:"name"`
	Username  string     `json:"username"`
	Scopes    []string   `json:"scopes"`
	ExpiresAt *time.Time `json:"expires_at"`
	Revoked   *bool      `json:"revoked"`
	Token     string     `json:"token"`
}

// deployToken returns the token; false if the answer lacks what makes one.
func (t tokenJSON) deployToken() (access.DeployToken, bool) {
	if t.ID == nil || *t.ID <= 0 || t.Revoked == nil {
		return access.DeployToken{}, false
	}
	token := access.DeployToken{ID: *t.ID, Name: t.Name, Username: t.Username, Scopes: t.Scopes, Revoked: *t.Revoked}
	if t.ExpiresAt != nil && t.ExpiresAt.Before(forever) {
		token.ExpiresAt = t.ExpiresAt.UTC()
	}
	return token, true
}

// listTries: a list that changes while its pages are read is read again.
const listTries = 3

// DeployTokens lists all deploy tokens of a project, dead ones included. The list is complete or an error.
func (c *Client) DeployTokens(ctx context.Context, projectID int64) ([]access.DeployToken, error) {
	action := fmt.Sprintf("list the deploy tokens of project %d", projectID)
	for range listTries {
		tokens, steady, err := c.listTokens(ctx, action, projectID)
		if err != nil {
			return nil, err
		}
		if steady {
			return tokens, nil
		}
	}
	return nil, unsteady(action, "Apply again.")
}

// listTokens reads all pages. The list is not steady if its length changed
// between two pages: a row may then have moved to a page already read.
func (c *Client) listTokens(ctx context.Context, action string, projectID int64) (tokens []access.DeployToken, steady bool, err error) {
	var total string
	steady = true
	for page := 1; page <= maxPages; page++ {
		query := &gogitlab.ListOptions{Page: int64(page), PerPage: perPage}
		got, err := c.request(ctx, http.MethodGet, tokensPath(projectID), query)
		if err != nil {
			return nil, false, c.noAnswer(action, err)
		}
		if got.status != http.StatusOK {
			return nil, false, c.refused(action, got)
		}
		rows, ok := readTokens(got.body)
		if !ok {
			return nil, false, c.garbled(action, got)
		}
		tokens = append(tokens, rows...)
		if page > 1 && got.header.Get("X-Total") != total {
			steady = false
		}
		total = got.header.Get("X-Total")
		// Links carry the host that GitLab thinks it has, so pages go by number.
		if !moreAfter(got, len(rows)) {
			return withoutRepeats(tokens), steady, nil
		}
	}
	return nil, false, endless(action)
}

// moreAfter reports whether a page is not the last. A full one is followed also when
// a proxy dropped the header.
func moreAfter(got answer, rows int) bool {
	return got.header.Get("X-Next-Page") != "" || rows == perPage
}

func endless(action string) *Error {
	return &Error{Action: action, Said: fmt.Sprintf("the list did not end after %d pages", maxPages)}
}

func unsteady(action, advice string) *Error {
	return &Error{Action: action, Said: "the list kept changing while it was read", Advice: advice}
}

func readTokens(body []byte) ([]access.DeployToken, bool) {
	var rows []tokenJSON
	if err := json.Unmarshal(body, &rows); err != nil || rows == nil {
		return nil, false
	}
	tokens := make([]access.DeployToken, 0, len(rows))
	for _, row := range rows {
		token, ok := row.deployToken()
		if !ok {
			return nil, false
		}
		tokens = append(tokens, token)
	}
	return tokens, true
}

// withoutRepeats drops rows that two pages share because the list grew in between.
func withoutRepeats(tokens []access.DeployToken) []access.DeployToken {
	slices.SortStableFunc(tokens, func(a, b access.DeployToken) int { return int(a.ID - b.ID) })
	return slices.CompactFunc(tokens, func(a, b access.DeployToken) bool { return a.ID == b.ID })
}

// DeployToken reads one deploy token. The error is of KindTokenNotFound only if
// GitLab says so of the token while the project stands.
func (c *Client) DeployToken(ctx context.Context, projectID, tokenID int64) (access.DeployToken, error) {
	action := fmt.Sprintf("read deploy token %d of project %d", tokenID, projectID)
	got, err := c.request(ctx, http.MethodGet, tokenPath(projectID, tokenID), nil)
	if err != nil {
		return access.DeployToken{}, c.noAnswer(action, err)
	}
	if got.status != http.StatusOK {
		return access.DeployToken{}, c.refused(action, got)
	}
	var row tokenJSON
	if err := json.Unmarshal(got.body, &row); err != nil {
		return access.DeployToken{}, c.garbled(action, got)
	}
	token, ok := row.deployToken()
	if !ok || token.ID != tokenID {
		return access.DeployToken{}, c.garbled(action, got)
	}
	return token, nil
}

// RevokeDeployToken deletes a deploy token. A token that is already gone counts as
// deleted. The error is of KindProjectNotFound if the project is gone or hidden.
func (c *Client) RevokeDeployToken(ctx context.Context, projectID, tokenID int64) error {
	action := fmt.Sprintf("revoke deploy token %d of project %d", tokenID, projectID)
	// Without this type, a GitLab in maintenance mode redirects to a page.
	got, err := c.request(ctx, http.MethodDelete, tokenPath(projectID, tokenID), nil,
		gogitlab.WithHeader("Content-Type", "application/json"))
	if err != nil {
		return c.noAnswer(action, err)
	}
	if got.status == http.StatusNoContent {
		return nil
	}
	refusal := c.refused(action, got)
	if refusal.Kind == KindTokenNotFound {
		return nil
	}
	return refusal
}

func tokensPath(projectID int64) string {
	return fmt.Sprintf("projects/%d/deploy_tokens", projectID)
}

func tokenPath(projectID, tokenID int64) string {
	return fmt.Sprintf("projects/%d/deploy_tokens/%d", projectID, tokenID)
}
