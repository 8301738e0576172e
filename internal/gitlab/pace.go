package gitlab

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// pacer holds requests back until GitLab will take them, so that many resources at
// once do not each find out for themselves that a limit is used up.
//
// GitLab has two kinds of limits. The general throttle tells on every answer what
// is left of it. The limits of single endpoints are told nowhere: their first
// refusal closes the endpoint for everybody, for as long as it says; what then
// passes in a whole window is what the endpoint's limit must be.
type pacer struct {
	next  http.RoundTripper
	pause func(time.Duration) time.Duration

	mu        sync.Mutex
	throttle  throttle
	inFlight  int
	endpoints map[string]*endpoint
}

// throttle is the general one.
type throttle struct {
	// left may be sent until resets, by this machine's clock.
	left   int
	resets time.Time
}

// endpoint is one that has a limit of its own.
type endpoint struct {
	closedUntil time.Time
	// window is its length, as a refusal has told it; zero before that.
	window time.Duration
	// begun is when the current window began, if it began with a request of ours.
	begun time.Time
	// sent and passed count the current window's requests.
	sent, passed int
	// limit is what passed in a whole window before a refusal; zero is unknown.
	limit int
}

var limitedEndpoints = map[string]*regexp.Regexp{
	"project":        regexp.MustCompile(`/api/v4/projects/[^/]+$`),
	"group projects": regexp.MustCompile(`/api/v4/groups/[^/]+/projects$`),
}

func newPacer(next http.RoundTripper, pause func(time.Duration) time.Duration) *pacer {
	p := &pacer{next: next, pause: pause, endpoints: map[string]*endpoint{}}
	for name := range limitedEndpoints {
		p.endpoints[name] = &endpoint{}
	}
	return p
}

// RoundTrip implements http.RoundTripper. The error is a *hintTooLateError if the
// operation's time does not reach until GitLab takes requests again.
func (p *pacer) RoundTrip(req *http.Request) (*http.Response, error) {
	e := p.endpointOf(req)
	if err := p.await(req.Context(), e); err != nil {
		return nil, err
	}
	resp, err := p.next.RoundTrip(req)
	p.learn(e, resp)
	return resp, err
}

// endpointOf is nil for requests that have no limit of their own.
func (p *pacer) endpointOf(req *http.Request) *endpoint {
	if req.Method != http.MethodGet {
		return nil
	}
	for name, path := range limitedEndpoints {
		if path.MatchString(req.URL.EscapedPath()) {
			return p.endpoints[name]
		}
	}
	return nil
}

// await waits until nothing speaks against the request, and counts it.
func (p *pacer) await(ctx context.Context, e *endpoint) error {
	for {
		wait := p.admit(e)
		if wait <= 0 {
			return nil
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return &hintTooLateError{status: http.StatusTooManyRequests, wait: wait}
		}
		made := p.pause(wait)
		if err := sleep(ctx, made); err != nil {
			return err
		}
		if made < wait { // whoever shortens pauses wants no more of this one
			p.reopen(e)
		}
	}
}

// admit counts the request if it may be sent now, else says how long to wait.
func (p *pacer) admit(e *endpoint) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.throttle.left <= 0 && now.Before(p.throttle.resets) {
		return p.throttle.resets.Sub(now)
	}
	if e != nil {
		if wait := e.admit(now); wait > 0 {
			return wait
		}
	}
	p.throttle.left--
	p.inFlight++
	return 0
}

func (e *endpoint) admit(now time.Time) time.Duration {
	if now.Before(e.closedUntil) {
		return e.closedUntil.Sub(now)
	}
	if e.window > 0 && now.Sub(e.begun) >= e.window {
		if e.limit > 0 && e.sent >= e.limit && !e.begun.IsZero() {
			e.limit += max(1, e.limit/10) // nothing was refused: others may have left some
		}
		e.begun, e.sent, e.passed = now, 0, 0
	}
	if e.limit > 0 && e.sent >= e.limit {
		return e.begun.Add(e.window).Sub(now)
	}
	e.sent++
	return 0
}

// reopen forgets what a request is waiting for.
func (p *pacer) reopen(e *endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.throttle.resets = time.Time{}
	if e != nil {
		e.closedUntil, e.limit = time.Time{}, 0
	}
}

// learn takes from an answer what it says about limits.
func (p *pacer) learn(e *endpoint, resp *http.Response) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight--
	if resp == nil {
		return
	}
	now := time.Now()
	left, resets, told := throttleOf(resp, now)
	switch {
	case told && resets.After(p.throttle.resets.Add(time.Second)):
		p.throttle = throttle{left: left - p.inFlight, resets: resets}
	case told:
		p.throttle.left = min(p.throttle.left, left-p.inFlight)
	}
	switch refused := resp.StatusCode == http.StatusTooManyRequests; {
	case e == nil:
	case !refused:
		e.passed++
	case !told || left > 0: // not the throttle's
		e.refused(resp, now)
	}
}

func (e *endpoint) refused(resp *http.Response, now time.Time) {
	hint, hinted := retryHint(resp, now)
	if !hinted || now.Before(e.closedUntil) {
		return // the others that were on their way
	}
	if hint > maxHint {
		hint = maxHint
	}
	if !e.begun.IsZero() && e.passed > 0 {
		e.limit = e.passed
	}
	e.closedUntil, e.window, e.begun = now.Add(hint), hint, time.Time{}
}

// throttleOf reads what an answer says of the general throttle.
func throttleOf(resp *http.Response, now time.Time) (left int, resets time.Time, told bool) {
	left, err := strconv.Atoi(resp.Header.Get("RateLimit-Remaining"))
	if err != nil {
		return 0, time.Time{}, false
	}
	unix, err := strconv.ParseInt(resp.Header.Get("RateLimit-Reset"), 10, 64)
	if err != nil {
		return 0, time.Time{}, false
	}
	resets = time.Unix(unix, 0)
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		resets = now.Add(resets.Sub(date)) // the server's clock need not be ours
	}
	if after := resets.Sub(now); after > maxHint {
		return 0, time.Time{}, false // no throttle of GitLab's
	}
	return left, resets, true
}
