package gitlab

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind sorts the answers by what they prove.
type Kind int

// The kinds of an Error.
const (
	// KindOther proves nothing.
	KindOther Kind = iota
	// KindProjectNotFound: the project does not exist, or the caller cannot see it. GitLab does not tell which.
	KindProjectNotFound
	// KindTokenNotFound: the project is there and the deploy token is not.
	KindTokenNotFound
	// KindTooLate: GitLab asked for a longer wait than the operation may take.
	KindTooLate
	// KindNoRegistry: the registry is off for the instance.
	KindNoRegistry
	// KindNotProven: a fresh token could not show that it pulls.
	KindNotProven
	// KindUncertain: a deploy token may have been made, and nobody has its secret.
	KindUncertain
	// KindForbidden: the caller's role in the project is too low.
	KindForbidden
)

// Error is a request that did not succeed. It never holds a secret.
type Error struct {
	// Action is what was tried, as in "read project acme/shop".
	Action string
	Kind   Kind
	// Status is GitLab's HTTP status; 0 if there was no answer.
	Status int
	// Said is GitLab's message, in whichever of its shapes it came.
	Said string
	// Advice is what the user can do about it.
	Advice string
	// TokenIDs are deploy tokens that may live on because of the error.
	TokenIDs []int64
	cause    error
}

func (e *Error) Error() string {
	parts := []string{"could not " + e.Action}
	switch {
	case e.Status != 0 && strings.HasPrefix(e.Said, strconv.Itoa(e.Status)+" "):
		parts = append(parts, "GitLab answered "+e.Said)
	case e.Status != 0 && e.Said != "":
		parts = append(parts, fmt.Sprintf("GitLab answered %d: %s", e.Status, e.Said))
	case e.Status != 0:
		parts = append(parts, fmt.Sprintf("GitLab answered %d %s", e.Status, http.StatusText(e.Status)))
	case e.Said != "":
		parts = append(parts, e.Said)
	}
	return strings.Join(parts, ": ")
}

func (e *Error) Unwrap() error { return e.cause }

// IsKind reports whether the error, or one below it, is of that kind.
func IsKind(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}

// noAnswer is the error of a request that got none.
func (c *Client) noAnswer(action string, err error) *Error {
	e := &Error{Action: action, Said: "no answer from " + c.root.Host + ": " + reasonOf(err), cause: err}
	var late *hintTooLateError
	switch {
	case errors.As(err, &late):
		e.Kind, e.Status = KindTooLate, late.status
		e.Said = fmt.Sprintf("it asks to wait %s, longer than this operation may take", late.wait.Round(time.Second))
		e.Advice = "Apply again later, raise the timeouts of the resource, or lower -parallelism."
	case errors.Is(err, context.DeadlineExceeded):
		e.Advice = "The operation ran out of time. Raise the timeouts of the resource if GitLab is slow."
	case isDNS(err):
		e.Advice = "Check base_url: its host name does not resolve."
	case isPlainHTTP(err):
		e.Advice = "Check base_url: the host answers in plain HTTP. Use http:// if that is meant."
	case permanent(err):
		e.Advice = "Check base_url, cacert_file and the certificate of the GitLab instance."
	default:
		e.Advice = "Check base_url and the network between here and GitLab."
	}
	return e
}

func isDNS(err error) bool {
	_, ok := errors.AsType[*net.DNSError](err)
	return ok
}

func isPlainHTTP(err error) bool {
	_, ok := errors.AsType[tls.RecordHeaderError](err)
	return ok || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

// reasonOf is the innermost part of a network error: the outer ones repeat the URL.
func reasonOf(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// refused is the error of an answer that is not the hoped-for one.
func (c *Client) refused(action string, got answer) *Error {
	e := &Error{Action: action, Status: got.status, Said: c.redact(said(got))}
	message := messageOf(got)
	switch {
	case got.status == http.StatusNotFound && message == "404 Project Not Found":
		e.Kind = KindProjectNotFound
		e.Advice = "The project does not exist, or the token's user is not a member of it. " +
			"If Terraform creates the project, reference that resource's attributes here."
	case got.status == http.StatusNotFound && message == "404 Not found":
		// Only this wording, from the handler of missing records, speaks of the token.
		e.Kind = KindTokenNotFound
	case got.status == http.StatusNotFound && message == "404 Group Not Found":
		e.Advice = "The group does not exist, or the token's user cannot see it."
	case got.status == http.StatusNotFound:
		e.Advice = "This is not how GitLab says that something is missing. Check base_url."
	case got.status == http.StatusUnauthorized:
		e.Advice = "GitLab does not accept the provider's token. It must be a valid access token with the api scope."
	case got.status == http.StatusForbidden && strings.Contains(e.Said, "insufficient_scope"):
		e.Advice = "The provider's token needs the api scope."
	case got.status == http.StatusForbidden && strings.Contains(e.Said, "read-only"):
		e.Advice = "The GitLab instance accepts no changes at the moment. Apply again later."
	case got.status == http.StatusForbidden:
		if message == "403 Forbidden" {
			e.Kind = KindForbidden
		}
		e.Advice = "The provider's token needs the api scope, and its user the Maintainer role in the project."
	case got.status == http.StatusMethodNotAllowed:
		e.Advice = "The project was renamed or moved. Use its numeric id or its new path."
	case got.status >= 300 && got.status < 400:
		e.Said = "a redirect to " + redirectTarget(got)
		e.Advice = "Credentials follow no redirect. Set base_url to the address that GitLab itself uses; " +
			"a GitLab in maintenance mode redirects as well."
	case got.status == http.StatusTooManyRequests:
		e.Advice = "GitLab's rate limit was still reached after the retries. Lower -parallelism or apply again later."
	case got.status >= 500:
		e.Advice = "GitLab has a problem of its own or is in maintenance. Apply again later."
	}
	return e
}

func redirectTarget(got answer) string {
	target, err := url.Parse(got.header.Get("Location"))
	if err != nil || target.String() == "" {
		return "nowhere"
	}
	path, _, _ := strings.Cut(target.Path, ";")
	return (&url.URL{Scheme: target.Scheme, Host: target.Host, Path: path}).String()
}

// messageOf is the text under "message" of a JSON body. What is missing is
// believed only in this shape: a proxy can answer anything else.
func messageOf(got answer) string {
	var body struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(got.body, &body) != nil {
		return ""
	}
	return body.Message
}

// said reads GitLab's message from any of its body shapes: message as text or as
// an object, error as text, with or without a description, and errors as the
// registry token endpoint has them. Plain text and HTML are cut short.
func said(got answer) string {
	var body struct {
		Message     any    `json:"message"`
		Error       any    `json:"error"`
		Description string `json:"error_description"`
		Errors      []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(got.body, &body) != nil {
		text := strings.Join(strings.Fields(string(got.body)), " ")
		if strings.HasPrefix(text, "<") {
			return "an HTML page"
		}
		return short(text)
	}
	var parts []string
	for _, part := range []string{flatten(body.Message), flatten(body.Error), body.Description} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	for _, e := range body.Errors {
		parts = append(parts, strings.Trim(e.Code+": "+e.Message, ": "))
	}
	return short(strings.TrimRight(strings.Join(parts, ": "), "."))
}

// flatten writes an error value of any shape on one line, fields in order.
func flatten(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case string:
		return value
	case []any:
		parts := make([]string, 0, len(value))
		for _, v := range value {
			parts = append(parts, flatten(v))
		}
		return strings.Join(parts, ", ")
	case map[string]any:
		parts := make([]string, 0, len(value))
		for k, v := range value {
			parts = append(parts, k+" "+flatten(v))
		}
		slices.Sort(parts)
		return strings.Join(parts, "; ")
	default:
		return fmt.Sprint(value)
	}
}

func short(text string) string {
	const most = 300
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
