package gitlab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	gogitlab "gitlab.com/gitlab-org/api/client-go/v2"
)

// maxBody bounds what is read of an answer. A page of 100 projects has about 400 KiB.
const maxBody = 32 << 20

// answer is what came back for a request, success or not.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// request makes one API request with its retries. The answer is returned for every
// status; the error is only for no answer at all.
func (c *Client) request(ctx context.Context, method, path string, body any, options ...gogitlab.RequestOptionFunc) (answer, error) {
	req, err := c.api.NewRequest(method, path, body, append(options, gogitlab.WithContext(ctx)))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set(c.auth.name, c.auth.value)
	return c.send(req)
}

// send sends a request, as often as the retry policy says, and returns the last answer.
func (c *Client) send(req *retryablehttp.Request) (answer, error) {
	// GitLab would take these for a request to repeat; Go's transport does as well.
	req.Header.Del("Idempotency-Key")
	req.Header.Del("X-Idempotency-Key")
	call := &call{policy: c.retry, method: req.Method}
	client := &retryablehttp.Client{
		HTTPClient: c.http, RetryMax: c.retry.retries,
		CheckRetry: call.check, Backoff: call.backoff, ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	resp, err := client.Do(req)
	if late, ok := errors.AsType[*hintTooLateError](err); ok {
		return answer{}, late
	}
	if resp == nil {
		if ctxErr := req.Context().Err(); ctxErr != nil {
			err = ctxErr
		}
		return answer{}, err
	}
	// An answer counts also if the operation has ended meanwhile: it may be a fresh token.
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return answer{status: resp.StatusCode, header: resp.Header, body: body}, err
}

// wholeAnswers is a transport that reads the whole body inside the round trip, so that
// a connection that is cut in the middle counts as broken, and one that stalls runs
// into the timeout. It also hears GitLab's clock.
type wholeAnswers struct {
	next    http.RoundTripper
	timeout time.Duration
	clock   *clock
}

// RoundTrip implements http.RoundTripper.
func (t wholeAnswers) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), t.timeout)
	defer cancel()
	sent := t.clock.machine()
	resp, body, err := t.readWhole(req.WithContext(ctx))
	if err != nil {
		if ctx.Err() != nil && req.Context().Err() == nil {
			err = fmt.Errorf("no complete answer within %s", t.timeout)
		}
		return nil, err
	}
	if strings.Contains(req.URL.Path, "/api/v4/") && fromGitLab(resp, body) {
		t.clock.hear(sent, t.clock.machine(), resp)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

func (t wholeAnswers) readWhole(req *http.Request) (*http.Response, []byte, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	_ = resp.Body.Close()
	if err == nil && len(body) > maxBody {
		err = errTooLarge
	}
	return resp, body, err
}

var errTooLarge = errors.New("the answer is larger than any of GitLab's")

// fromGitLab reports whether an answer has the shape of GitLab's API and is fresh: JSON,
// an error only in GitLab's own form, and from no cache.
func fromGitLab(resp *http.Response, body []byte) bool {
	if resp.Header.Get("Age") != "" || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		return false
	}
	if resp.StatusCode >= 300 {
		return isErrorBody(body)
	}
	body = bytes.TrimSpace(body)
	return len(body) > 0 && (body[0] == '{' || body[0] == '[')
}

// isErrorBody reports whether a body is an error as GitLab's API writes it: an object
// with a message or an error (lib/api/helpers.rb, lib/gitlab/rack_attack).
func isErrorBody(body []byte) bool {
	var shape struct {
		Message json.RawMessage `json:"message"`
		Error   json.RawMessage `json:"error"`
	}
	return json.Unmarshal(body, &shape) == nil && (len(shape.Message) > 0 || len(shape.Error) > 0)
}

// isRefusal reports whether an answer proves that GitLab did not carry the request out: a
// 4xx in one of GitLab's own error shapes, or its throttle's plain text. Anything on the
// way can answer anything else, after GitLab has done the work.
func (a answer) isRefusal() bool {
	if a.status < 400 || a.status >= 500 || a.status == http.StatusRequestTimeout {
		return false
	}
	return isErrorBody(a.body) || a.isThrottle()
}

// isThrottle reports whether the answer is the request throttle's: text, with a header
// that says how long to wait (config/initializers/rack_attack.rb).
func (a answer) isThrottle() bool {
	return a.status == http.StatusTooManyRequests && !a.isHTML() &&
		(a.header.Get("Retry-After") != "" || a.header.Get("RateLimit-Remaining") != "")
}

func (a answer) isHTML() bool { return bytes.HasPrefix(bytes.TrimSpace(a.body), []byte("<")) }
