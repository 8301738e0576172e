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
)

// call is one request while it is made, with its retries.
type call struct {
	policy retryPolicy
	method string
	// paused is the sum of the longest pauses made without a hint.
	paused time.Duration
	// tries counts the requests that were sent.
	tries int
}

// retryPolicy decides which requests are repeated, and when.
type retryPolicy struct {
	retries  int
	pause    func(time.Duration) time.Duration
	redactor redactor
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
func (c *call) check(ctx context.Context, resp *http.Response, err error) (bool, error) {
	c.tries++
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if !repeatable(c.method, resp, err) || c.tries > c.policy.retries {
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
		c.logRetry(ctx, resp, err)
		return true, nil
	}
	if c.paused += unhintedPause(c.tries); c.paused > patience {
		return false, nil
	}
	c.logRetry(ctx, resp, err)
	return true, nil
}

// logRetry logs why a request is made again.
func (c *call) logRetry(ctx context.Context, resp *http.Response, err error) {
	fields := map[string]any{"method": c.method, "tries": c.tries}
	if resp != nil {
		fields["status"] = resp.StatusCode
	}
	if err != nil {
		fields["error"] = c.policy.redactor.hide(reasonOf(err))
	}
	tflog.Debug(ctx, "GitLab: the request will be repeated", fields)
}

// backoff is a retryablehttp.Backoff. Jitter keeps the ten requests that Terraform
// makes at once from coming back at once.
func (c *call) backoff(_, _ time.Duration, attempt int, resp *http.Response) time.Duration {
	if wait, spread, hinted := hintedPause(resp, attempt+1); hinted {
		return c.policy.pause(wait + jitter(spread))
	}
	wait := unhintedPause(attempt + 1)
	return c.policy.pause(wait/2 + jitter(wait/2))
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
		return idempotent || peek(resp).isRefusal()
	}
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusConflict: // the latter is a resource lock
		return idempotent
	}
	return idempotent && resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented
}

// peek returns an answer without using up its body, which is in memory already.
func peek(resp *http.Response) answer {
	body, _ := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return answer{status: resp.StatusCode, header: resp.Header, body: body}
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

// retryHint is how long the server asks to wait. Retry-After comes first: the limits of
// single endpoints send nothing else (lib/gitlab/application_rate_limiter.rb), and
// RateLimit-Reset, which newer servers add to every answer, is about the throttle
// (lib/gitlab/rack_attack.rb).
func retryHint(resp *http.Response, now time.Time) (time.Duration, bool) {
	if resp == nil {
		return 0, false
	}
	if after := resp.Header.Get("Retry-After"); after != "" {
		if seconds, err := strconv.ParseInt(after, 10, 32); err == nil && seconds >= 0 {
			return time.Duration(seconds) * time.Second, true
		}
		if at, err := http.ParseTime(after); err == nil {
			if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
				now = date
			}
			return max(0, at.Sub(now)), true
		}
	}
	if reset := resp.Header.Get("RateLimit-Reset"); reset != "" && resp.StatusCode == http.StatusTooManyRequests {
		if unix, err := strconv.ParseInt(reset, 10, 64); err == nil {
			if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
				now = date // the server's clock need not be ours
			}
			return max(0, time.Unix(unix, 0).Sub(now)), true
		}
	}
	return 0, false
}
