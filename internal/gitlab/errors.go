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
	"regexp"
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
	// KindScope: GitLab knows the provider's token, whose scopes do not allow the request.
	KindScope
	// KindGranularScope: GitLab knows the provider's token, whose permissions do not allow
	// the request here, or the group accepts only fine-grained tokens.
	KindGranularScope
	// KindNotFound: the answer does not say whether the project or the deploy token is
	// missing, nor whether it is only hidden. Fine-grained tokens get it.
	KindNotFound
	// KindClock: GitLab's clock and this machine's are too far apart.
	KindClock
	// KindUnreadable: a list has a row that cannot be told from anybody's.
	KindUnreadable
	// KindUnsupported: the GitLab is too old.
	KindUnsupported
	// KindVariableNotFound: the project is there and the CI/CD variable is not.
	KindVariableNotFound
	// KindConflict: somebody else's CI/CD variable is in the way.
	KindConflict
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

// IsHidden reports whether GitLab does not show something to the provider's user or token.
func IsHidden(err error) bool {
	return slices.ContainsFunc([]Kind{KindForbidden, KindProjectNotFound, KindNotFound, KindGranularScope}, func(kind Kind) bool { return IsKind(err, kind) })
}

// reporter makes errors of answers, with nothing secret in them.
type reporter struct {
	root     *url.URL
	redactor redactor
}

// noAnswer is the error of a request that got none.
func (r reporter) noAnswer(action string, err error) *Error {
	e := &Error{Action: action, Said: "no answer from " + r.root.Host + ": " + r.quote(reasonOf(err)), cause: err}
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
		e.Advice = "Check base_url: the host answers in plain HTTP. Use http:// if that is intended."
	case permanent(err):
		e.Advice = "Check base_url, cacert_file and the certificate of the GitLab instance."
	default:
		e.Advice = "Check base_url and the network between this machine and GitLab."
	}
	return e
}

// quote makes text from outside fit for a message. Secrets are hidden before anything is
// cut, because a part of one is hard to recognise.
func (r reporter) quote(text string) string { return short(r.redactor.hide(text)) }

// Quote makes a name or another text of GitLab's fit for a message.
func (r reporter) Quote(text string) string { return r.quote(text) }

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

// refused is the error of an answer that is not the expected one.
func (r reporter) refused(action string, got answer) *Error {
	e := &Error{Action: action, Status: got.status, Said: r.quote(message(got))}
	switch {
	case got.status >= 300 && got.status < 400:
		e.Said = "a redirect to " + r.quote(redirectTarget(got))
		e.Advice = "The provider does not follow redirects, so its token is never sent to another host. " +
			"Set base_url to the address that GitLab itself uses. A GitLab in maintenance mode redirects as well."
	case got.status == http.StatusTooManyRequests:
		e.Advice = "GitLab's rate limit was still exceeded after the retries. Lower -parallelism or apply again later."
	case got.status >= 500:
		e.Advice = "GitLab has an internal problem or is in maintenance. Apply again later."
	case !isErrorBody(got.body):
		e.Advice = adviceForForeignAnswer(got.status)
	case got.status == http.StatusNotFound:
		e.Kind, e.Advice = sortNotFound(got)
	case got.status == http.StatusUnauthorized:
		e.Advice = "GitLab does not accept the provider's token. It must be a valid access token with the api scope."
	case got.status == http.StatusForbidden:
		e.Kind, e.Advice = sortForbidden(got)
	case got.status == http.StatusMethodNotAllowed:
		e.Advice = "The project was renamed or moved. Use its numeric id or its new path."
	}
	return e
}

// adviceForForeignAnswer is about answers that no part of GitLab's API gives. The text
// "Forbidden" is how GitLab answers an address that it has banned.
func adviceForForeignAnswer(status int) string {
	const between = "a proxy, a firewall or a login page in front of GitLab. Check base_url and what lies between this machine and GitLab."
	switch status {
	case http.StatusNotFound:
		return "This 404 does not come from the GitLab API. Check base_url. If the project is given by its path, use its numeric id: " +
			"some proxies do not pass on the %2F in a path."
	case http.StatusUnauthorized, http.StatusProxyAuthRequired:
		return fmt.Sprintf("This %d does not come from the GitLab API: a proxy in front of GitLab wants credentials of its own. "+
			"Set headers, and token_header if the proxy uses the Authorization header, in the provider's configuration.", status)
	case http.StatusForbidden:
		return "This 403 does not come from the GitLab API, but from " + between +
			" GitLab itself answers like this to an address that it has banned after failed logins."
	}
	return fmt.Sprintf("This %d does not come from the GitLab API, but from %s", status, between)
}

// sortNotFound tells GitLab's four kinds of 404 apart (lib/api/helpers.rb and the
// handler of missing records in lib/api/api.rb).
func sortNotFound(got answer) (Kind, string) {
	switch messageOf(got) {
	case "404 Project Not Found":
		return KindProjectNotFound, "The project does not exist, or the token's user is not a member of it. " +
			"If Terraform creates the project, reference that resource's attributes here."
	case "404 Not found":
		// Only this wording, with a small f, speaks of the deploy token.
		return KindTokenNotFound, ""
	case "404 Variable Not Found":
		return KindVariableNotFound, ""
	case "404 Group Not Found":
		return KindOther, "The group does not exist, or the token's user cannot see it."
	case "404 Not Found":
		return KindNotFound, "GitLab answers a fine-grained access token like this for whatever is missing or beyond the token's permissions, " +
			"so nothing can be concluded. Add the project and the permissions to the token. " +
			"If the project is gone, remove this resource from the state, or destroy it with -refresh=false."
	}
	return KindOther, "GitLab does not know this request: it is older than " + MinVersion + ", or base_url is not its address."
}

func sortForbidden(got answer) (Kind, string) {
	text := message(got)
	switch {
	case strings.Contains(text, "insufficient_granular_scope"):
		return KindGranularScope, "The provider's token is a fine-grained one without a permission that this needs, or the group accepts only fine-grained tokens. " +
			"Give the token the permissions that the guide on permissions lists, for this project."
	case strings.Contains(text, "insufficient_scope"):
		return KindScope, "The provider's token needs the api scope."
	case strings.Contains(text, "read-only"):
		return KindOther, "The GitLab instance accepts no changes at the moment. Apply again later."
	case messageOf(got) == "403 Forbidden":
		return KindForbidden, "The provider's token needs the api scope, and its user the Maintainer role in the project."
	}
	return KindOther, "The provider's token needs the api scope, and its user the Maintainer role in the project."
}

// plainPath matches the path of a page. Anything longer may quote the request.
var plainPath = regexp.MustCompile(`^[A-Za-z0-9/_.-]{0,60}$`)

// redirectTarget is where a redirect leads, without what may hold credentials.
func redirectTarget(got answer) string {
	target, err := url.Parse(got.header.Get("Location"))
	if err != nil || target.String() == "" {
		return "nowhere"
	}
	place := url.URL{Scheme: target.Scheme, Host: target.Host}
	if path, _, _ := strings.Cut(target.Path, ";"); plainPath.MatchString(path) {
		place.Path = path
	}
	if place == (url.URL{}) {
		return "another page"
	}
	return place.String()
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

// message reads GitLab's message from any of its body shapes: message as text or as
// an object, error as text, with or without a description, and errors as the
// registry token endpoint has them. It may hold secrets; see quote.
func message(got answer) string {
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
		if got.isHTML() {
			return "an HTML page"
		}
		return strings.Join(strings.Fields(string(got.body)), " ")
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
	return strings.TrimRight(strings.Join(parts, ": "), ".")
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

// garbled is the error of a success that is not what GitLab sends.
func (r reporter) garbled(action string, got answer) *Error {
	what := "a response that is not from the GitLab API"
	if got.isHTML() {
		what = "an HTML page"
	}
	return &Error{
		Action: action, Status: got.status, Said: what,
		Advice: fmt.Sprintf("Check base_url: is %s the GitLab instance itself?", r.root),
		cause:  errors.New("unreadable answer"),
	}
}

// mistaken is the error of an answer about something else than was asked for, as a
// cache or a proxy can give it.
func (r reporter) mistaken(action, about string) *Error {
	return &Error{
		Action: action, Said: "the answer is about " + about,
		Advice: "Something between this machine and GitLab mixes up answers, such as a cache. Nothing was changed because of this answer.",
	}
}
