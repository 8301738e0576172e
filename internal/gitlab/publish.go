package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	gogitlab "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

// publishTries: a write that is not certain is repeated only after the variable itself shows
// that nothing came of it.
const publishTries = 3

// PublishRequest describes credentials to publish in CI/CD variables.
type PublishRequest struct {
	ProjectID   int64
	Scope       string
	Credentials access.Credentials
	// Existing are the variables of the project as they were listed in this call.
	Existing access.Variables
	// Renew writes the password also if it is there already, so that its description tells when
	// the pair was repaired.
	Renew bool
}

// publishing is one PublishVariables while it runs.
type publishing struct {
	*Client
	// reporter also hides the credentials: an answer can echo what was sent.
	reporter

	projectID int64
	action    string
	existing  access.Variables
	renew     bool
}

// PublishVariables writes a pair of CI/CD variables: the user first, so that no job gets a
// password without its user. A variable that holds what is wanted already is not written. It
// returns when GitLab certainly had both, by its clock, rounded up. After a refusal the
// variables are as they were before, and the error names what could not be undone. An error of
// KindUncertain says that the credentials may be published.
func (c *Client) PublishVariables(ctx context.Context, request PublishRequest) (time.Time, error) {
	p := publishing{
		Client: c, projectID: request.ProjectID, existing: request.Existing, renew: request.Renew,
		reporter: reporter{root: c.root, redactor: c.redactor.withPair(request.Credentials.Username, request.Credentials.Secret)},
		action:   fmt.Sprintf("publish the credentials in CI/CD variables of project %d", request.ProjectID),
	}
	for _, v := range request.Existing.At(request.Scope) {
		if v.Key == access.PasswordVariable {
			p.redactor = p.redactor.withPair("", v.Value) // it may be put back
		}
	}
	pair := access.NewPair(request.Scope, request.Credentials, c.Now())
	user, password := pair[0], pair[1]

	at, err := p.put(ctx, user)
	if err != nil {
		return time.Time{}, p.afterFailure(ctx, err, user)
	}
	passwordAt, err := p.put(ctx, password)
	if err != nil {
		return time.Time{}, p.afterFailure(ctx, err, password, user)
	}
	if _, said, _ := password.Described(); passwordAt.Sub(said) > staleDescription {
		// The request had to wait, as for a rate limit. The credentials are published whatever
		// comes of the description.
		_, _ = p.send1(ctx, access.NewPair(request.Scope, request.Credentials, passwordAt)[1], true)
	}
	if passwordAt.After(at) {
		at = passwordAt
	}
	return at, nil
}

// staleDescription is from when on a description says the wrong time: jobs that are queued a
// minute later count as having got the credentials.
const staleDescription = 30 * time.Second

// afterFailure puts back what a refused publication has changed, the last write first.
func (p *publishing) afterFailure(ctx context.Context, err error, written ...access.Variable) error {
	if IsKind(err, KindUncertain) {
		return err
	}
	ctx, cancel := outlive(ctx)
	defer cancel()
	for _, v := range written {
		if undoErr := p.restore(ctx, v); undoErr != nil {
			// The new credentials may be published, so nobody may revoke them.
			cause := p.asError(err)
			return &Error{
				Action: p.action, Kind: KindUncertain, Status: cause.Status, cause: err,
				Said:   joinSaid(cause, undoErr),
				Advice: fmt.Sprintf("The variable %s could not be given its old value back. The next apply publishes the credentials again.", v.Key),
			}
		}
	}
	return err
}

// asError is the error of GitLab's in an error.
func (p *publishing) asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Action: p.action, Said: p.quote(err.Error())}
}

// restore makes a variable what it was before.
func (p *publishing) restore(ctx context.Context, v access.Variable) error {
	now, err := p.variable(ctx, p.projectID, v.Key, v.Scope)
	before, existed := p.existing.Find(v.Key, v.Scope)
	switch {
	case IsKind(err, KindVariableNotFound) && !existed:
		return nil
	case err != nil && !IsKind(err, KindVariableNotFound):
		return err
	case existed && (before.Hidden || err == nil && now.Holds(before)):
		return nil
	case !existed && now.Value != v.Value:
		return nil // somebody else has written it meanwhile
	case !existed:
		return p.remove(ctx, v.Key, v.Scope)
	}
	got, err := p.send1(ctx, before, err == nil)
	if err != nil {
		return p.noAnswer(p.action, err)
	}
	if got.status >= 300 {
		return p.refused(fmt.Sprintf("give the CI/CD variable %s its old value back", v.Key), got)
	}
	return nil
}

// put writes one variable, and returns when GitLab had it.
func (p *publishing) put(ctx context.Context, wanted access.Variable) (time.Time, error) {
	before, exists := p.existing.Find(wanted.Key, wanted.Scope)
	renew := p.renew && wanted.Key == access.PasswordVariable
	if exists && before.Holds(wanted) && sameToken(before, wanted) && !renew {
		return dateOf(answer{}, p.Now()), nil
	}
	if exists && before.Hidden {
		// A hidden variable cannot be made visible, only replaced
		// (app/models/concerns/ci/hidable.rb).
		if err := p.remove(ctx, wanted.Key, wanted.Scope); err != nil {
			return time.Time{}, err
		}
		exists = false
	}
	var failure *Error
	for try := 1; try <= publishTries; try++ {
		got, err := p.send1(ctx, wanted, exists)
		if err == nil && got.status < 300 {
			at, problem := p.confirm(ctx, got, wanted, exists)
			if problem == nil || IsKind(problem, KindUnsupported) {
				return at, problem
			}
		}
		failure = p.failure(got, err)
		if failure.Kind == KindVariableNotFound && exists {
			exists = false // somebody has removed it meanwhile
			continue
		}
		if failure.Kind != KindUncertain && !taken(got) {
			return time.Time{}, failure
		}
		found, at, err := p.look(ctx, wanted)
		switch {
		case err != nil:
			failure.Kind = KindUncertain
			failure.Said = joinSaid(failure, err)
			return time.Time{}, failure
		case found == foundWanted:
			return at, nil
		case found == foundOther && !exists:
			failure.Kind = KindConflict
			failure.Advice = "Somebody else has created the variable in this moment. Plan again."
			return time.Time{}, failure
		case found == foundNone:
			exists = false
		}
		if failure.Kind != KindUncertain {
			return time.Time{}, failure
		}
		if sleep(ctx, p.retry.pause(reconcilePause)) != nil {
			break
		}
	}
	if failure.Kind == KindUncertain {
		failure.Advice = strings.TrimSpace(failure.Advice + " The variable may still be written. The next apply publishes again.")
	}
	return time.Time{}, failure
}

// failure is the error of an answer to a write. Only a refusal in GitLab's own shape is certain.
func (p *publishing) failure(got answer, err error) *Error {
	if err != nil {
		failure := p.noAnswer(p.action, err)
		if failure.Kind != KindTooLate && !neverSent(err) {
			failure.Kind = KindUncertain
		}
		return failure
	}
	failure := p.refused(p.action, got)
	if got.status < 300 {
		failure = p.garbled(p.action, got)
	}
	if !got.isRefusal() {
		failure.Kind = KindUncertain
	}
	return failure
}

// taken reports whether GitLab refused to create a variable because it has it.
func taken(got answer) bool {
	return got.status == http.StatusBadRequest && strings.Contains(message(got), "has already been taken")
}

// send1 makes one write.
func (p *publishing) send1(ctx context.Context, v access.Variable, exists bool) (answer, error) {
	body := bodyOf(v)
	if !exists {
		return p.request(ctx, http.MethodPost, variablesPath(p.projectID), body)
	}
	body.Key = ""
	return p.request(ctx, http.MethodPut, variablePath(p.projectID, v.Key), body, inScope(v.Scope))
}

// confirm compares the answer with what was asked for: GitLab drops parameters that its version
// or its tier does not know, and answers with success (lib/api/ci/variables.rb).
func (p *publishing) confirm(ctx context.Context, got answer, wanted access.Variable, existed bool) (time.Time, error) {
	v, err := p.variableIn(p.action, got, wanted.Key, wanted.Scope)
	switch {
	case err == nil && v.Holds(wanted):
		return dateOf(got, p.Now()), nil
	case v.Key != wanted.Key:
		return time.Time{}, err
	}
	failure := &Error{
		Action: p.action, Status: got.status, Kind: KindUnsupported,
		Said:   fmt.Sprintf("GitLab did not keep the variable %s as it was asked for: %s", wanted.Key, p.quote(difference(v, wanted))),
		Advice: "This GitLab does not know one of the settings, or something on the way changes the request. The variables are as they were before.",
	}
	if !existed {
		cleanup, cancel := outlive(ctx)
		defer cancel()
		if err := p.remove(cleanup, v.Key, v.Scope); err != nil {
			failure.Said = joinSaid(failure, err)
			failure.Advice = fmt.Sprintf("This GitLab does not know one of the settings. Remove the variable %s in GitLab.", v.Key)
		}
	}
	return time.Time{}, failure
}

// sameToken reports whether the variable says so, on servers that have descriptions.
func sameToken(before, wanted access.Variable) bool {
	was, _, described := before.Described()
	is, _, _ := wanted.Described()
	return wanted.Key == access.UserVariable || before.Description == "" || described && was == is
}

// difference names what is not as wanted.
func difference(got, wanted access.Variable) string {
	switch {
	case got.Scope != wanted.Scope:
		return fmt.Sprintf("its environment scope is %q instead of %q", got.Scope, wanted.Scope)
	case got.Hidden:
		return "it is hidden"
	case got.Value != wanted.Value:
		return "its value is another one"
	case got.Masked != wanted.Masked:
		return "it is not masked"
	case got.Protected:
		return "it is protected"
	case got.File:
		return "it is a file"
	}
	return "it is expanded"
}

// found is what a look at a variable shows.
type found int

const (
	foundNone found = iota
	foundWanted
	foundOther
)

// look reads a variable after a write that is not certain.
func (p *publishing) look(ctx context.Context, wanted access.Variable) (found, time.Time, error) {
	ctx, cancel := outlive(ctx)
	defer cancel()
	got, err := p.variable(ctx, p.projectID, wanted.Key, wanted.Scope)
	switch {
	case IsKind(err, KindVariableNotFound):
		return foundNone, time.Time{}, nil
	case err != nil:
		return foundNone, time.Time{}, err
	case got.Holds(wanted):
		return foundWanted, p.Now().Truncate(time.Second).Add(time.Second), nil
	}
	return foundOther, time.Time{}, nil
}

// remove deletes one variable. One that is gone already counts as deleted.
func (p *publishing) remove(ctx context.Context, key, scope string) error {
	return p.removeVariable(ctx, p.projectID, key, scope)
}

func (c *Client) removeVariable(ctx context.Context, projectID int64, key, scope string) error {
	action := fmt.Sprintf("remove the CI/CD variable %s of project %d", key, projectID)
	got, err := c.request(ctx, http.MethodDelete, variablePath(projectID, key), nil,
		gogitlab.WithHeader("Content-Type", "application/json"), inScope(scope))
	if err != nil {
		return c.noAnswer(action, err)
	}
	if got.status == http.StatusNoContent {
		return nil
	}
	refusal := c.refused(action, got)
	if refusal.Kind == KindVariableNotFound {
		return nil
	}
	return refusal
}

// RemoveVariables deletes CI/CD variables, the password first: a user without a password makes
// a job fall back to its own token, or write no Secret at all. It returns when GitLab
// certainly had none of them, by its clock, rounded up.
func (c *Client) RemoveVariables(ctx context.Context, projectID int64, variables access.Variables) (time.Time, error) {
	for _, key := range []string{access.PasswordVariable, access.UserVariable} {
		for _, v := range variables {
			if v.Key != key {
				continue
			}
			if err := c.removeVariable(ctx, projectID, v.Key, v.Scope); err != nil {
				return time.Time{}, err
			}
		}
	}
	return c.Now().Truncate(time.Second).Add(time.Second), nil
}

// dateOf is the time of an answer by GitLab's clock, rounded up.
func dateOf(got answer, fallback time.Time) time.Time {
	if date, err := http.ParseTime(got.header.Get("Date")); err == nil {
		return date.UTC().Add(time.Second)
	}
	return fallback.UTC().Truncate(time.Second).Add(time.Second)
}
