package gitlab

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflog"
)

const (
	// patience bounds all pauses of one request while the server gives no hint.
	patience = 30 * time.Second
	// firstPause doubles with each retry.
	firstPause = 250 * time.Millisecond
	maxPause   = 8 * time.Second
	// maxHint bounds a server's hint for operations without a deadline.
	maxHint = 5 * time.Minute
	// maxBody bounds what is read of an answer. A page of 100 projects has about 400 KiB.
	maxBody = 32 << 20
)

// call follows one request through its retries.
type call struct {
	method string
	last   *answer
	// paused is the sum of the longest pauses made without a hint.
	paused time.Duration
	// tries counts the requests that were sent.
	tries int
}

type callKey struct{}

func withCall(ctx context.Context, method string) (context.Context, *call) {
	c := &call{method: method}
	return context.WithValue(ctx, callKey{}, c), c
}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// result sorts an outcome: an answer if the server gave one and nothing broke
// afterwards, else the error.
func (c *call) result(ctx context.Context, err error) (answer, error) {
	if late, ok := errors.AsType[*hintTooLateError](err); ok {
		return answer{}, late
	}
	if c.last != nil {
		return *c.last, nil
	}
	if err == nil {
		err = errors.New("no answer")
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return answer{}, err
}

// recorder keeps the last answer of each call. It reads the whole body inside the
// round trip, so that a connection cut in the middle of it counts as broken and a
// stalled one runs into the timeout.
type recorder struct {
	next    http.RoundTripper
	timeout time.Duration
}

// RoundTrip implements http.RoundTripper.
func (r recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	c := callOf(req.Context())
	if c != nil {
		c.last = nil
		c.tries++
	}
	ctx, cancel := context.WithTimeout(req.Context(), r.timeout)
	defer cancel()
	resp, body, err := r.readWhole(req.WithContext(ctx))
	if err != nil {
		if ctx.Err() != nil && req.Context().Err() == nil {
			err = fmt.Errorf("no whole answer within %s", r.timeout)
		}
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if c != nil {
		c.last = &answer{status: resp.StatusCode, header: resp.Header, body: body}
	}
	return resp, nil
}

func (r recorder) readWhole(req *http.Request) (*http.Response, []byte, error) {
	// Go's transport repeats even a POST with one of these.
	req.Header.Del("Idempotency-Key")
	req.Header.Del("X-Idempotency-Key")
	resp, err := r.next.RoundTrip(req)
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

// retryPolicy decides which requests are repeated, and when.
type retryPolicy struct {
	retries int
	pause   func(time.Duration) time.Duration
}

// hintTooLateError: the server named a time that lies beyond the operation's own.
type hintTooLateError struct {
	status int
	wait   time.Duration
}

func (e *hintTooLateError) Error() string {
	return fmt.Sprintf("GitLab answered %d and asked to wait %s, longer than this operation may take",
		e.status, e.wait.Round(time.Second))
}

// check is a retryablehttp.CheckRetry.
func (p retryPolicy) check(ctx context.Context, resp *http.Response, err error) (bool, error) {
	c := callOf(ctx)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if c == nil || !repeatable(c.method, resp, err) || c.tries > p.retries {
		return false, nil
	}

	if wait, spread, hinted := hintedPause(resp, c.tries); hinted {
		limit := maxHint
		if deadline, ok := ctx.Deadline(); ok {
			limit = time.Until(deadline)
		}
		if wait+spread > limit {
			return false, &hintTooLateError{status: resp.StatusCode, wait: wait}
		}
		c.tellRetry(ctx, resp, err)
		return true, nil
	}
	if c.paused += unhintedPause(c.tries); c.paused > patience {
		return false, nil
	}
	c.tellRetry(ctx, resp, err)
	return true, nil
}

// tellRetry logs why a request is made again.
func (c *call) tellRetry(ctx context.Context, resp *http.Response, err error) {
	fields := map[string]any{"method": c.method, "tries": c.tries}
	if resp != nil {
		fields["status"] = resp.StatusCode
	}
	if err != nil {
		fields["error"] = reasonOf(err)
	}
	tflog.Debug(ctx, "GitLab: the request will be repeated", fields)
}

// backoff is a retryablehttp.Backoff. Jitter keeps the ten requests that Terraform
// makes at once from coming back at once.
func (p retryPolicy) backoff(_, _ time.Duration, attempt int, resp *http.Response) time.Duration {
	if wait, spread, hinted := hintedPause(resp, attempt+1); hinted {
		return p.pause(wait + jitter(spread))
	}
	wait := unhintedPause(attempt + 1)
	return p.pause(wait/2 + jitter(wait/2))
}

// hintedPause is at least what the server asks for, and never less than without a
// hint: a clock that is ahead makes a hint that is over. The spread comes on top.
func hintedPause(resp *http.Response, tries int) (wait, spread time.Duration, hinted bool) {
	hint, hinted := retryHint(resp, time.Now())
	wait = max(hint, unhintedPause(tries))
	return wait, wait / 10, hinted
}

// unhintedPause is the longest pause after that many tries.
func unhintedPause(tries int) time.Duration {
	return min(firstPause<<min(tries-1, 16), maxPause)
}

func jitter(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return rand.N(most) //nolint:gosec // nobody gains by guessing a pause
}

// repeatable: a throttled request was not carried out, and neither was one whose
// connection was never made. Anything else is repeated only if doing it twice is
// the same as doing it once.
func repeatable(method string, resp *http.Response, err error) bool {
	idempotent := method == http.MethodGet || method == http.MethodDelete
	if err != nil {
		return !permanent(err) && (idempotent || neverSent(err))
	}
	if resp.StatusCode == http.StatusTooManyRequests {
		return true
	}
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusConflict: // the latter is a resource lock
		return idempotent
	}
	return idempotent && resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented
}

func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect")
}

// permanent errors do not go away by trying again.
func permanent(err error) bool {
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		plain     tls.RecordHeaderError
		dns       *net.DNSError
		late      *hintTooLateError
	)
	return errors.As(err, &late) || errors.Is(err, errTooLarge) || errors.As(err, &plain) || errors.As(err, &authority) || errors.As(err, &hostname) || errors.As(err, &invalid) ||
		errors.As(err, &dns) && dns.IsNotFound
}

// retryHint is how long the server asks to wait. Retry-After comes first: the
// limits of the project endpoints send nothing else, and RateLimit-Reset, which
// newer servers add to every answer, speaks of another limit.
func retryHint(resp *http.Response, now time.Time) (time.Duration, bool) {
	if resp == nil {
		return 0, false
	}
	if after := resp.Header.Get("Retry-After"); after != "" {
		if seconds, err := strconv.ParseInt(after, 10, 32); err == nil && seconds >= 0 {
			return time.Duration(seconds) * time.Second, true
		}
		if at, err := http.ParseTime(after); err == nil {
			return max(0, at.Sub(now)), true
		}
	}
	if reset := resp.Header.Get("RateLimit-Reset"); reset != "" && resp.StatusCode == http.StatusTooManyRequests {
		if unix, err := strconv.ParseInt(reset, 10, 64); err == nil {
			return max(0, time.Unix(unix, 0).Sub(now)), true
		}
	}
	return 0, false
}
