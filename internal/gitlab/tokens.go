package gitlab

import (
	"context"
	"encoding/json"
	"errors"
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

// forever is how GitLab stores "no expiry"; it gives it back as null (lib/forever.rb).
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

// deployToken returns the token; false if the answer lacks what makes one. GitLab tells
// whether a token is revoked since gitlab-org/gitlab issue 292433.
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

// TokenList is the complete list of a project's deploy tokens.
type TokenList struct {
	Tokens []access.DeployToken
	// Unreadable are rows that are not as GitLab writes them. Their ids are known, so
	// that whoever owns none of them can go on.
	Unreadable []UnreadableToken
}

// UnreadableToken is a row of a list that is not a deploy token as GitLab writes it. What
// could not be read of it is empty.
type UnreadableToken struct {
	ID             int64
	Name, Username string
}

// Err is the error for a caller whom the row concerns.
func (u UnreadableToken) Err() error {
	return fmt.Errorf("GitLab's answer about deploy token %d cannot be read", u.ID)
}

const (
	// listTries: a list that changes while its pages are read is read again.
	listTries = 10
	// listPause is the first pause before that; it doubles up to maxListPause.
	listPause    = 250 * time.Millisecond
	maxListPause = 4 * time.Second
)

// DeployTokens lists all deploy tokens of a project, also revoked and expired ones. The list is
// complete or an error; a list that others keep changing is read again with patience.
func (c *Client) DeployTokens(ctx context.Context, projectID int64) (TokenList, error) {
	action := fmt.Sprintf("list the deploy tokens of project %d", projectID)
	var list TokenList
	err := c.steadily(ctx, action, "Apply again.", func() (bool, error) {
		list = TokenList{}
		return c.eachPage(ctx, action, tokensPath(projectID), list.read, nil)
	})
	if err != nil {
		return TokenList{}, err
	}
	list.Tokens = withoutRepeats(list.Tokens)
	return list, nil
}

// steadily reads a list until its length has not changed meanwhile, with patience.
func (c *Client) steadily(ctx context.Context, action, advice string, read func() (steady bool, err error)) error {
	for try := range listTries {
		if try > 0 {
			if err := sleep(ctx, c.retry.pause(min(listPause<<try, maxListPause))); err != nil {
				return c.noAnswer(action, err)
			}
		}
		if steady, err := read(); err != nil || steady {
			return err
		}
	}
	return unsteady(action, advice)
}

var errRowWithoutID = errors.New("a row of the list has no id, so it could be any token")

// read adds a row.
func (l *TokenList) read(raw json.RawMessage) error {
	var row tokenJSON
	if json.Unmarshal(raw, &row) == nil {
		if token, ok := row.deployToken(); ok {
			l.Tokens = append(l.Tokens, token)
			return nil
		}
	}
	unreadable, ok := readMark(raw)
	if !ok {
		return errRowWithoutID
	}
	l.Unreadable = append(l.Unreadable, unreadable)
	return nil
}

// readMark reads what tells whose token a row is about; false if it has no id.
func readMark(row []byte) (UnreadableToken, bool) {
	var fields map[string]json.RawMessage
	var mark UnreadableToken
	if json.Unmarshal(row, &fields) != nil || json.Unmarshal(fields["id"], &mark.ID) != nil || mark.ID <= 0 {
		return UnreadableToken{}, false
	}
	_ = json.Unmarshal(fields["name"], &mark.Name)
	_ = json.Unmarshal(fields["username"], &mark.Username)
	return mark, true
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
	switch {
	case !ok:
		return access.DeployToken{}, c.garbled(action, got)
	case token.ID != tokenID:
		return access.DeployToken{}, c.mistaken(action, fmt.Sprintf("deploy token %d", token.ID))
	}
	return token, nil
}

// RevokeDeployToken deletes a deploy token. A token that is already gone counts as
// deleted. The error is of KindProjectNotFound if the project is gone or hidden.
func (c *Client) RevokeDeployToken(ctx context.Context, projectID, tokenID int64) error {
	// A list of the project that is being read elsewhere must not shift under its reader.
	unlock, err := c.minting.lock(ctx, projectID)
	if err != nil {
		return c.noAnswer(fmt.Sprintf("revoke deploy token %d of project %d", tokenID, projectID), err)
	}
	defer unlock()
	return c.deleteToken(ctx, projectID, tokenID)
}

// deleteToken counts a token that is already gone as deleted.
func (c *Client) deleteToken(ctx context.Context, projectID, tokenID int64) error {
	_, err := c.deleteExisting(ctx, projectID, tokenID)
	return err
}

// deleteExisting reports whether the token was there.
func (c *Client) deleteExisting(ctx context.Context, projectID, tokenID int64) (existed bool, err error) {
	action := fmt.Sprintf("revoke deploy token %d of project %d", tokenID, projectID)
	// Without this type, a GitLab in maintenance mode redirects to a page
	// (lib/gitlab/middleware/read_only/controller.rb).
	got, err := c.request(ctx, http.MethodDelete, tokenPath(projectID, tokenID), nil,
		gogitlab.WithHeader("Content-Type", "application/json"))
	if err != nil {
		return false, c.noAnswer(action, err)
	}
	if got.status == http.StatusNoContent {
		return true, nil
	}
	refusal := c.refused(action, got)
	if refusal.Kind == KindTokenNotFound {
		return false, nil
	}
	return false, refusal
}

func tokensPath(projectID int64) string {
	return fmt.Sprintf("projects/%d/deploy_tokens", projectID)
}

func tokenPath(projectID, tokenID int64) string {
	return fmt.Sprintf("projects/%d/deploy_tokens/%d", projectID, tokenID)
}
