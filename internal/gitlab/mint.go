package gitlab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

const (
	// mintTries: an ambiguous POST is repeated only after the token list shows that it
	// created nothing.
	mintTries = 3
	// sharedTries: a token that another run may have created is left alone, so there is
	// one repetition only.
	sharedTries = 2
	// reconcileLooks and reconcilePause: a server whose answer did not arrive may still
	// be at work on the request.
	reconcileLooks = 3
	reconcilePause = 3 * time.Second
	// cleanupTime bounds what is still done for an operation that was interrupted or
	// ran out of time: long enough for one hint of a throttle.
	cleanupTime = 90 * time.Second
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
	// Expiry gives the expiry of a token that is minted at a time of GitLab's clock; the
	// zero time for a permanent token.
	Expiry func(mintedAt time.Time) time.Time
	// Known are tokens that cannot come from this request, whatever a list says.
	Known []int64
}

// Minted is a fresh deploy token with its secret.
type Minted struct {
	access.DeployToken

	Secret access.Secret
	// CreatedAt is the time of the POST by GitLab's clock, in whole seconds.
	CreatedAt time.Time
	// WantedExpiry is the expiry that GitLab was asked for.
	WantedExpiry time.Time
	// Listed is what GitLab listed before the POST.
	Listed TokenList
	// Orphans carry the same generated username and appeared meanwhile: tokens of
	// earlier tries, whose secrets are lost, or of another run, which has published
	// them. Nothing tells these apart, so they live on.
	Orphans []access.Orphan
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
	listed  TokenList
	// newest is the highest id before the first POST: ids ascend.
	newest int64
}

// MintDeployToken creates a deploy token, once. If GitLab's answer is lost, or if
// something on the way answers in GitLab's place, the token list tells what became of
// the request. A token that was created without its secret becoming known is revoked if
// a fresh username proves that it is this request's, or becomes an orphan if another run
// with the same generated username may have created it; then another is minted. The
// error is of KindUncertain, with the ids as far as they are known, if a token may live
// whose secret nobody has. One call at a time works on a project.
func (c *Client) MintDeployToken(ctx context.Context, request MintRequest) (Minted, error) {
	m := minting{Client: c, request: request, action: fmt.Sprintf("mint a deploy token in project %d", request.ProjectID)}
	unlock, err := c.minting.lock(ctx, request.ProjectID)
	if err != nil {
		return Minted{}, c.noAnswer(m.action, err)
	}
	defer unlock()
	if err := m.prepare(ctx); err != nil {
		return Minted{}, err
	}
	return m.mint(ctx)
}

// prepare makes sure that a token could be recognised before one is created.
func (m *minting) prepare(ctx context.Context) error {
	if err := m.checkVersion(ctx, m.action); err != nil {
		return err
	}
	listed, err := m.DeployTokens(ctx, m.request.ProjectID)
	if err != nil {
		return err
	}
	if err := m.CheckClock(); err != nil {
		return err
	}
	if len(listed.Tokens) == 0 && len(listed.Unreadable) > 0 {
		return unsupported(m.action, "its list of deploy tokens does not say which are revoked")
	}
	for _, row := range listed.Unreadable {
		m.newest = max(m.newest, row.ID)
	}
	for _, token := range listed.Tokens {
		m.newest = max(m.newest, token.ID)
	}
	m.listed = listed
	return nil
}

func (m *minting) mint(ctx context.Context) (Minted, error) {
	tries := mintTries
	if m.usernameShared() {
		tries = sharedTries
	}
	var (
		failure *Error
		orphans []access.Orphan
	)
	for try := 1; try <= tries; try++ {
		minted, got, err := m.post(ctx)
		if err == nil {
			if try > 1 {
				minted.Orphans = m.laterDuplicates(ctx, minted.ID, orphans)
			}
			return minted, nil
		}
		failure = err
		if failure.Kind != KindUncertain {
			return Minted{}, failure
		}
		var reconcileErr error
		if orphans, reconcileErr = m.reconcile(ctx, failure); reconcileErr != nil {
			return Minted{}, reconcileErr
		}
		if ctx.Err() != nil {
			failure.Advice = "The operation ended before GitLab answered. GitLab lists no deploy token of it now; if one appears later, the next plan names it."
			return Minted{}, m.name(orphans, failure)
		}
		if got.status >= 300 && got.status < 500 {
			break // something on the way refuses the request, and would again
		}
		if try < tries {
			if err := m.pauseBefore(ctx, got, try); err != nil {
				return Minted{}, m.noAnswer(m.action, err)
			}
		}
	}
	failure.Kind = KindOther
	return Minted{}, m.name(orphans, failure)
}

// name makes the error name tokens that may be the request's and live.
func (m *minting) name(orphans []access.Orphan, failure *Error) *Error {
	if len(orphans) == 0 {
		return failure
	}
	failure.Kind, failure.TokenIDs = KindUncertain, orphanIDs(orphans)
	failure.Advice = strings.TrimSpace(fmt.Sprintf("%s Deploy tokens that may come from this request, or from another run of the same resource: %v. "+
		"They are left alone; the next apply tracks them until they expire.", failure.Advice, failure.TokenIDs))
	return failure
}

func orphanIDs(orphans []access.Orphan) []int64 {
	ids := make([]int64, 0, len(orphans))
	for _, orphan := range orphans {
		ids = append(ids, orphan.TokenID)
	}
	return ids
}

// usernameShared reports whether tokens with the request's username are this resource's,
// but not certainly this request's.
func (m *minting) usernameShared() bool {
	return !m.request.FreshUsername && access.GeneratedUsername(m.request.Username, m.request.ProjectID)
}

// usernameIsProof reports whether a token with the request's username comes from this
// request and from no other.
func (m *minting) usernameIsProof() bool {
	return m.request.FreshUsername && access.GeneratedUsername(m.request.Username, m.request.ProjectID)
}

// pauseBefore waits before another try, as long as the server asks for.
func (c *Client) pauseBefore(ctx context.Context, got answer, tries int) error {
	resp := &http.Response{StatusCode: got.status, Header: got.header}
	wait, spread, hinted := hintedPause(resp, tries)
	if deadline, ok := ctx.Deadline(); ok && hinted && time.Until(deadline) < wait+spread {
		return &hintTooLateError{status: got.status, wait: wait}
	}
	return sleep(ctx, c.retry.pause(wait+jitter(spread)))
}

// post makes one POST. The error is of KindUncertain if the token may exist: only a
// refusal in GitLab's own shape says that it does not.
func (m *minting) post(ctx context.Context) (Minted, answer, *Error) {
	now := m.Now().UTC().Truncate(time.Second)
	wanted := m.request.Expiry(now)
	body := mintBody{Name: m.request.Name, Username: m.request.Username, Scopes: m.request.Scopes}
	if !wanted.IsZero() {
		body.ExpiresAt = wanted.UTC().Format(gitlabTime)
	}
	got, err := m.Client.request(ctx, http.MethodPost, tokensPath(m.request.ProjectID), body)
	if err != nil {
		failure := m.noAnswer(m.action, err)
		if failure.Kind != KindTooLate && !neverSent(err) {
			failure.Kind = KindUncertain
		}
		return Minted{}, got, failure
	}
	if got.isRefusal() {
		return Minted{}, got, m.refused(m.action, got)
	}
	if got.status >= 300 {
		failure := m.refused(m.action, got)
		failure.Kind = KindUncertain
		if !isErrorBody(got.body) && !got.isHTML() && got.status >= 400 {
			failure.Said = "" // it may quote the answer that did not reach us, with the secret
		}
		return Minted{}, got, failure
	}
	var row tokenJSON
	if json.Unmarshal(got.body, &row) == nil && got.status == http.StatusCreated {
		token, ok := row.deployToken()
		// A cache can replay the answer to an earlier POST of the same resource.
		asked := token.Name == m.request.Name && token.Username == m.request.Username &&
			token.ID > m.newest && !slices.Contains(m.request.Known, token.ID)
		if ok && row.Token != "" && asked {
			return Minted{
				DeployToken: token, Secret: access.Secret(row.Token), CreatedAt: now, WantedExpiry: wanted, Listed: m.listed,
			}, got, nil
		}
	}
	return Minted{}, got, m.unreadable(ctx, got)
}

// unreadable deals with a success that is not as GitLab writes it. What it names by id
// and by a username that only this request has was created by it, and is revoked.
func (m *minting) unreadable(ctx context.Context, got answer) *Error {
	failure := m.garbled(m.action, got)
	failure.Kind = KindUncertain
	mark, ok := readMark(got.body)
	if !ok || mark.ID <= m.newest || mark.Username != m.request.Username || m.request.Username == "" {
		return failure
	}
	if !m.usernameIsProof() {
		failure.TokenIDs = []int64{mark.ID}
		failure.Advice = fmt.Sprintf("Deploy token %d may come from this request, and its secret is lost. It was left alone, because it may be another run's.", mark.ID)
		return failure
	}
	ctx, cancel := outlive(ctx)
	defer cancel()
	existed, err := m.deleteExisting(ctx, m.request.ProjectID, mark.ID)
	switch {
	case err != nil:
		return m.leftBehind(failure, err, mark.ID)
	case !existed:
		return failure // what was created a moment ago is not gone: the list has to tell
	}
	return unsupported(m.action, "its answer about a new deploy token is incomplete")
}

// leftBehind is the error of a token that could not be revoked.
func (m *minting) leftBehind(cause *Error, err error, id int64) *Error {
	return &Error{
		Action: cause.Action, Kind: KindUncertain, Status: cause.Status, Said: joinSaid(cause, err), TokenIDs: []int64{id}, cause: cause,
		Advice: fmt.Sprintf("Deploy token %d was created, its secret is lost, and it could not be revoked. Revoke it in GitLab if no later apply does.", id),
	}
}

// reconcile finds out what an uncertain POST did. Without an error the POST may be
// repeated: no token of it lives but the orphans, which cannot be told from another
// run's.
func (m *minting) reconcile(ctx context.Context, cause *Error) ([]access.Orphan, error) {
	if len(cause.TokenIDs) > 0 {
		return nil, cause
	}
	ctx, cancel := outlive(ctx)
	defer cancel()

	var created []access.Orphan
	for look := range reconcileLooks {
		if look > 0 {
			if sleep(ctx, m.retry.pause(reconcilePause)) != nil {
				break
			}
		}
		var err error
		if created, err = m.createdSince(ctx); err != nil {
			return nil, &Error{
				Action: cause.Action, Kind: KindUncertain, Status: cause.Status, Said: joinSaid(cause, err), cause: cause,
				Advice: "A deploy token may have been created whose secret nobody has. The next plan names it if so.",
			}
		}
		// GitLab itself answers 500 after its database transaction was rolled back; anything else may
		// come from somewhere on the way while GitLab is still at it.
		if len(created) > 0 || cause.Status == http.StatusInternalServerError {
			break
		}
	}
	ids := orphanIDs(created)
	switch {
	case len(created) == 0:
		return nil, nil
	case m.usernameShared():
		return created, nil
	case len(created) == 1 && m.usernameIsProof():
		if err := m.deleteToken(ctx, m.request.ProjectID, ids[0]); err != nil {
			return nil, m.leftBehind(cause, err, ids[0])
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

// createdSince lists the tokens that may come from this request.
func (m *minting) createdSince(ctx context.Context) ([]access.Orphan, error) {
	list, err := m.DeployTokens(ctx, m.request.ProjectID)
	if err != nil {
		return nil, err
	}
	var created []access.Orphan
	add := func(id int64, name, username string, expiresAt time.Time) {
		if id > m.newest && name == m.request.Name && username == m.request.Username && !slices.Contains(m.request.Known, id) {
			created = append(created, access.Orphan{TokenID: id, Username: username, ExpiresAt: expiresAt})
		}
	}
	for _, token := range list.Tokens {
		add(token.ID, token.Name, token.Username, token.ExpiresAt)
	}
	for _, row := range list.Unreadable {
		add(row.ID, row.Name, row.Username, time.Time{})
	}
	return created, nil
}

// laterDuplicates lists what has come of earlier tries besides the token that was
// minted, and removes it if it is certainly theirs. What a list hides or a removal leaves
// carries our username, so the next plan finds it; known is what is known already.
func (m *minting) laterDuplicates(ctx context.Context, minted int64, known []access.Orphan) []access.Orphan {
	if !access.GeneratedUsername(m.request.Username, m.request.ProjectID) {
		return nil
	}
	created, err := m.createdSince(ctx)
	if err != nil {
		return known
	}
	created = slices.DeleteFunc(created, func(t access.Orphan) bool { return t.TokenID == minted })
	if !m.usernameIsProof() {
		return created
	}
	return slices.DeleteFunc(created, func(t access.Orphan) bool {
		return m.deleteToken(ctx, m.request.ProjectID, t.TokenID) == nil
	})
}

// outlive is a context for cleaning up: it goes on when the operation was
// interrupted, and lasts at least for a while.
func outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	end := time.Now().Add(cleanupTime)
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
