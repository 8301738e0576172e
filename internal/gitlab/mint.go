package gitlab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

const (
	// mintTries: a POST whose fate is unknown is looked into, and made again only
	// once its token is known not to live.
	mintTries = 3
	// sharedTries: what such a POST has made is left to live, so there is one more try.
	sharedTries = 2
	// inquestLooks and inquestPause: a server whose answer did not arrive may still
	// be at work on the request.
	inquestLooks = 3
	inquestPause = 3 * time.Second
	// afterwards bounds what is still done for an operation that was interrupted or
	// ran out of time: long enough for one hint of a throttle.
	afterwards = 90 * time.Second
)

// MintRequest describes a deploy token to mint.
type MintRequest struct {
	ProjectID int64
	Name      string
	Username  string
	// FreshUsername says that the username was generated for this request alone.
	// Otherwise another run may be minting with it, whatever locks say.
	FreshUsername bool
	Scopes        []string
	// ExpiresAt is zero for a permanent token.
	ExpiresAt time.Time
	// Known are tokens that cannot come from this request, whatever a list says.
	Known []int64
}

// Minted is a fresh deploy token with its secret.
type Minted struct {
	access.DeployToken

	Secret access.Secret
	// Strays carry the same generated username and appeared meanwhile: tokens of
	// earlier tries, whose secrets got lost, or of another run, which has published
	// them. Nothing tells these apart, so they live on.
	Strays []access.Stray
}

type mintBody struct {
	Name      string   `json:"name"`
	Username  string   `json:"username,omitempty"`
	Scopes    []string `json:"scopes"`
	ExpiresAt string   `json:"expires_at,omitempty"`
}

// gitlabTime has the precision that GitLab gives back.
const gitlabTime = "2006-01-02T15:04:05.000Z"

// minting is one MintDeployToken while it runs.
type minting struct {
	*Client

	request MintRequest
	action  string
	// newest is the highest id before the first POST: ids ascend.
	newest int64
}

// MintDeployToken makes a deploy token, once. When the answer of GitLab gets lost,
// the token list tells what became of the request: a token that was made without
// us learning its secret is revoked, if a fresh username proves that it is this
// request's, or is left as a stray, if a generated one says that some run of this
// access has made it; then another is minted. The error is of KindUncertain, with
// the ids as far as they are known, if a token may live whose secret nobody has.
func (c *Client) MintDeployToken(ctx context.Context, request MintRequest) (Minted, error) {
	m := minting{Client: c, request: request, action: fmt.Sprintf("mint a deploy token in project %d", request.ProjectID)}
	before, err := c.DeployTokens(ctx, request.ProjectID)
	if err != nil {
		return Minted{}, err
	}
	for _, token := range before {
		m.newest = max(m.newest, token.ID)
	}

	tries := mintTries
	if m.usernameShared() {
		tries = sharedTries
	}
	var (
		failure *Error
		strays  []access.Stray
	)
	for try := 1; try <= tries; try++ {
		minted, got, err := m.post(ctx)
		if err == nil {
			if try > 1 {
				minted.Strays = m.others(ctx, minted.ID, strays)
			}
			return minted, nil
		}
		failure = err
		if failure.Kind != KindUncertain {
			return Minted{}, failure
		}
		var inquestErr error
		if strays, inquestErr = m.inquest(ctx, failure); inquestErr != nil {
			return Minted{}, inquestErr
		}
		if ctx.Err() != nil {
			failure.Advice = "The operation was over before GitLab answered. No deploy token of it lives now; if one appears later, the next plan lists it."
			return Minted{}, m.name(strays, failure)
		}
		if try < tries {
			if err := c.pauseBefore(ctx, got, try); err != nil {
				return Minted{}, c.noAnswer(m.action, err)
			}
		}
	}
	failure.Kind = KindOther
	return Minted{}, m.name(strays, failure)
}

// name makes the error name tokens that may be the request's and live.
func (m minting) name(strays []access.Stray, failure *Error) *Error {
	if len(strays) == 0 {
		return failure
	}
	failure.Kind, failure.TokenIDs = KindUncertain, strayIDs(strays)
	failure.Advice = fmt.Sprintf("Deploy tokens that may come from this request, or from another run of this access: %v. "+
		"They are left alone; the next plan retires them with a full overlap.", failure.TokenIDs)
	return failure
}

func strayIDs(strays []access.Stray) []int64 {
	ids := make([]int64, 0, len(strays))
	for _, stray := range strays {
		ids = append(ids, stray.TokenID)
	}
	return ids
}

// usernameShared reports whether tokens with the request's username are this access's, but
// not certainly this request's.
func (m minting) usernameShared() bool {
	return !m.request.FreshUsername && access.GeneratedUsername(m.request.Username, m.request.ProjectID)
}

// pauseBefore waits before another try, as long as the server asks for.
func (c *Client) pauseBefore(ctx context.Context, got answer, tries int) error {
	resp := &http.Response{StatusCode: got.status, Header: got.header}
	wait, spread, hinted := hintedPause(resp, tries)
	if deadline, ok := ctx.Deadline(); ok && hinted && time.Until(deadline) < wait+spread {
		return &hintTooLateError{status: got.status, wait: wait}
	}
	return sleep(ctx, c.pause(wait+jitter(spread)))
}

// post makes one POST. The error is of KindUncertain if the token may exist.
func (m minting) post(ctx context.Context) (Minted, answer, *Error) {
	body := mintBody{Name: m.request.Name, Username: m.request.Username, Scopes: m.request.Scopes}
	if !m.request.ExpiresAt.IsZero() {
		body.ExpiresAt = m.request.ExpiresAt.UTC().Format(gitlabTime)
	}
	got, err := m.Client.request(ctx, http.MethodPost, tokensPath(m.request.ProjectID), body)
	if err != nil {
		failure := m.noAnswer(m.action, err)
		if failure.Kind != KindTooLate && !neverSent(err) {
			failure.Kind = KindUncertain
		}
		return Minted{}, got, failure
	}
	switch {
	case got.status >= 500, got.status == http.StatusRequestTimeout:
		failure := m.refused(m.action, got)
		failure.Kind = KindUncertain
		return Minted{}, got, failure
	case got.status >= 300:
		return Minted{}, got, m.refused(m.action, got)
	}
	var row tokenJSON
	if err := json.Unmarshal(got.body, &row); err == nil {
		if token, ok := row.deployToken(); ok && row.Token != "" && got.status == http.StatusCreated {
			return Minted{DeployToken: token, Secret: access.Secret(row.Token)}, got, nil
		}
	}
	failure := m.garbled(m.action, got)
	failure.Kind = KindUncertain
	return Minted{}, got, failure
}

// inquest finds out what an uncertain POST did. Without an error it may be made
// again: no token of it lives but the strays, which cannot be told from another
// run's.
func (m minting) inquest(ctx context.Context, cause *Error) ([]access.Stray, error) {
	ctx, cancel := outlive(ctx)
	defer cancel()

	var made []access.Stray
	for look := range inquestLooks {
		if look > 0 {
			if sleep(ctx, m.pause(inquestPause)) != nil {
				break
			}
		}
		var err error
		if made, err = m.made(ctx); err != nil {
			return nil, &Error{
				Action: cause.Action, Kind: KindUncertain, Status: cause.Status, Said: joinSaid(cause, err), cause: cause,
				Advice: "A deploy token may have been made whose secret nobody has. The next plan lists it if so.",
			}
		}
		// GitLab itself answers 500 once the work is undone; anything else may
		// come from somewhere on the way while GitLab is still at it.
		if len(made) > 0 || cause.Status == http.StatusInternalServerError {
			break
		}
	}
	ids := strayIDs(made)
	switch {
	case len(made) == 0:
		return nil, nil
	case m.usernameShared():
		return made, nil
	case len(made) == 1 && access.GeneratedUsername(m.request.Username, m.request.ProjectID):
		if err := m.RevokeDeployToken(ctx, m.request.ProjectID, ids[0]); err != nil {
			return nil, &Error{
				Action: cause.Action, Kind: KindUncertain, Status: cause.Status, Said: joinSaid(cause, err), TokenIDs: ids, cause: cause,
				Advice: fmt.Sprintf("Deploy token %d was made, and its secret got lost. It could not be revoked again; revoke it in GitLab.", ids[0]),
			}
		}
		return nil, nil
	default:
		return nil, &Error{
			Action: cause.Action, Kind: KindUncertain, Status: cause.Status, Said: cause.Said, TokenIDs: ids, cause: cause,
			Advice: fmt.Sprintf("Deploy tokens that may come from this request and whose secret nobody has: %v. "+
				"They were left alone, because they cannot be told from somebody else's. Revoke them in GitLab if they are not in use.", ids),
		}
	}
}

// made lists the tokens that may come from this request.
func (m minting) made(ctx context.Context) ([]access.Stray, error) {
	tokens, err := m.DeployTokens(ctx, m.request.ProjectID)
	if err != nil {
		return nil, err
	}
	var made []access.Stray
	for _, token := range tokens {
		if token.ID > m.newest && token.Name == m.request.Name && token.Username == m.request.Username && !slices.Contains(m.request.Known, token.ID) {
			made = append(made, access.Stray{TokenID: token.ID, ExpiresAt: token.ExpiresAt})
		}
	}
	return made, nil
}

// others lists what has come of earlier tries besides the token that was minted,
// and removes it if it is certainly theirs. What a list hides or a removal leaves
// carries our username, so the next plan finds it; known is what is known already.
func (m minting) others(ctx context.Context, minted int64, known []access.Stray) []access.Stray {
	if !access.GeneratedUsername(m.request.Username, m.request.ProjectID) {
		return nil
	}
	made, err := m.made(ctx)
	if err != nil {
		return known
	}
	made = slices.DeleteFunc(made, func(t access.Stray) bool { return t.TokenID == minted })
	if m.usernameShared() {
		return made
	}
	for _, late := range made {
		_ = m.RevokeDeployToken(ctx, m.request.ProjectID, late.TokenID)
	}
	return nil
}

// outlive is a context for cleaning up: it goes on when the operation was
// interrupted, and lasts at least for a while.
func outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	end := time.Now().Add(afterwards)
	if deadline, ok := ctx.Deadline(); ok && deadline.After(end) && ctx.Err() == nil {
		end = deadline
	}
	return context.WithDeadline(context.WithoutCancel(ctx), end)
}

// joinSaid tells both halves of a failure.
func joinSaid(cause *Error, then error) string {
	var next *Error
	if errors.As(then, &next) && cause.Said == "" {
		return "then " + next.Error()
	}
	return cause.Said + "; then " + then.Error()
}
