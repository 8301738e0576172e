package gitlab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

const (
	// mintTries: a POST whose fate is unknown is looked into, and made again only
	// once its token is known not to live.
	mintTries = 3
	// inquestTimeout bounds the search for a token that may have been made, also
	// after the operation itself was interrupted.
	inquestTimeout = 30 * time.Second
)

// MintRequest describes a deploy token to mint.
type MintRequest struct {
	ProjectID int64
	Name      string
	Username  string
	Scopes    []string
	// ExpiresAt is zero for a permanent token.
	ExpiresAt time.Time
}

// Minted is a fresh deploy token with its secret.
type Minted struct {
	access.DeployToken
	Secret access.Secret
}

type mintBody struct {
	Name      string   `json:"name"`
	Username  string   `json:"username,omitempty"`
	Scopes    []string `json:"scopes"`
	ExpiresAt string   `json:"expires_at,omitempty"`
}

// gitlabTime has the precision that GitLab gives back.
const gitlabTime = "2006-01-02T15:04:05.000Z"

// MintDeployToken makes a deploy token, once. When the answer of GitLab gets lost,
// the token list tells what became of the request: a token that was made without
// us learning its secret is revoked, if its generated username proves it ours, and
// minted again. The error is of KindUncertain, with the ids, if it cannot be.
func (c *Client) MintDeployToken(ctx context.Context, request MintRequest) (Minted, error) {
	action := fmt.Sprintf("mint a deploy token in project %d", request.ProjectID)
	before, err := c.DeployTokens(ctx, request.ProjectID)
	if err != nil {
		return Minted{}, err
	}
	known := make(map[int64]bool, len(before))
	for _, token := range before {
		known[token.ID] = true
	}

	var lastErr *Error
	for range mintTries {
		minted, err := c.postToken(ctx, action, request)
		if err == nil {
			return minted, nil
		}
		if !errors.As(err, &lastErr) || lastErr.Kind != KindUncertain {
			return Minted{}, err
		}
		if err := c.inquest(ctx, request, known, lastErr); err != nil {
			return Minted{}, err
		}
		if ctx.Err() != nil {
			break
		}
	}
	lastErr.Kind = KindOther
	return Minted{}, lastErr
}

// postToken makes one POST. The error is of KindUncertain if the token may exist.
func (c *Client) postToken(ctx context.Context, action string, request MintRequest) (Minted, error) {
	body := mintBody{Name: request.Name, Username: request.Username, Scopes: request.Scopes}
	if !request.ExpiresAt.IsZero() {
		body.ExpiresAt = request.ExpiresAt.UTC().Format(gitlabTime)
	}
	got, err := c.request(ctx, http.MethodPost, tokensPath(request.ProjectID), body)
	if err != nil {
		failure := c.noAnswer(action, err)
		if failure.Kind != KindTooLate && !neverSent(err) {
			failure.Kind = KindUncertain
		}
		return Minted{}, failure
	}
	switch {
	case got.status >= 500, got.status == http.StatusRequestTimeout:
		failure := c.refused(action, got)
		failure.Kind = KindUncertain
		return Minted{}, failure
	case got.status != http.StatusCreated && got.status >= 300:
		return Minted{}, c.refused(action, got)
	}
	var row tokenJSON
	if err := json.Unmarshal(got.body, &row); err == nil {
		if token, ok := row.deployToken(); ok && row.Token != "" && got.status == http.StatusCreated {
			return Minted{DeployToken: token, Secret: access.Secret(row.Token)}, nil
		}
	}
	failure := c.garbled(action, got)
	failure.Kind = KindUncertain
	return Minted{}, failure
}

// inquest finds out what an uncertain POST did. Nil means that no token of it
// lives, so that it may be made again.
func (c *Client) inquest(ctx context.Context, request MintRequest, known map[int64]bool, cause *Error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), inquestTimeout)
	defer cancel()

	after, err := c.DeployTokens(ctx, request.ProjectID)
	if err != nil {
		return &Error{
			Action: cause.Action, Kind: KindUncertain, Status: cause.Status,
			Said:   fmt.Sprintf("%s; then %v", cause.Said, err),
			Advice: "A deploy token may have been made whose secret nobody has. The next plan lists it if so.",
			cause:  cause,
		}
	}
	var made []int64
	for _, token := range after {
		if !known[token.ID] && token.Name == request.Name && token.Username == request.Username {
			made = append(made, token.ID)
		}
	}
	generated := access.GeneratedUsername(request.Username, request.ProjectID)
	switch {
	case len(made) == 0:
		return nil
	case len(made) == 1 && generated:
		if err := c.RevokeDeployToken(ctx, request.ProjectID, made[0]); err != nil {
			return uncertain(cause, made, err)
		}
		return nil
	default:
		return uncertain(cause, made, nil)
	}
}

func uncertain(cause *Error, made []int64, because error) *Error {
	e := &Error{
		Action: cause.Action, Kind: KindUncertain, Status: cause.Status, Said: cause.Said, TokenIDs: made,
		Advice: fmt.Sprintf("Deploy tokens that may come from this request and whose secret nobody has: %v. "+
			"They were left alone, because they cannot be told from somebody else's. Revoke them in GitLab if they are not in use.", made),
		cause: cause,
	}
	if because != nil {
		e.Said += "; then " + because.Error()
	}
	return e
}
