package gitlab

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflog"
)

// pacer holds requests back until GitLab will take them, so that many resources at
// once do not each find out for themselves that a limit is used up.
//
// GitLab has two kinds of limits. The throttles of whole areas, such as the API, tell
// on every answer what is left of them. The limits of single endpoints are told
// nowhere: their first refusal closes the endpoint for everybody, for as long as it
// says; what then passes in a whole window is what the endpoint's limit must be.
type pacer struct {
	next  http.RoundTripper
	pause func(time.Duration) time.Duration

	mu sync.Mutex
	// api is the throttle of the API, other that of everything else.
	api, other *throttle
	endpoints  []*endpoint
}

// turn is a queue: who waits for GitLab holds it, and the others wait for him, in the
// order in which they came.
type turn chan struct{}

// throttle is that of an area.
type throttle struct {
	turn turn
	// left may be sent until resets, by this machine's clock.
	left     int
	resets   time.Time
	inFlight int
}

// endpoint is one that has a limit of its own.
type endpoint struct {
	path        *regexp.Regexp
	turn        turn
	closedUntil time.Time
	// window is its length, as a refusal has told it; zero before that.
	window time.Duration
	// begun is when the current window began, if it began with a request of ours.
	begun time.Time
	// sent and passed count the current window's requests.
	sent, passed int
	// limit is what may be sent in a window; zero is unknown. learned is what passed
	// before the last refusal.
	limit, learned int
	// content is for how many windows the limit is not questioned, since refusals have
	// confirmed it; contentNext is what it will be if another one does.
	content, contentNext int
}

const (
	// mostContent bounds for how long a limit that was confirmed again and again is
	// not questioned: others who share it may have gone.
	mostContent = 15
	// longestThrottle is the longest period that a throttle can sensibly have.
	longestThrottle = time.Hour
)

var limitedPaths = []*regexp.Regexp{
	regexp.MustCompile(`/api/v4/projects/[^/]+$`),
	regexp.MustCompile(`/api/v4/groups/[^/]+/projects$`),
}

func newPacer(next http.RoundTripper, pause func(time.Duration) time.Duration) *pacer {
	p := &pacer{next: next, pause: pause, api: &throttle{turn: make(turn, 1)}, other: &throttle{turn: make(turn, 1)}}
	for _, path := range limitedPaths {
		p.endpoints = append(p.endpoints, &endpoint{path: path, turn: make(turn, 1)})
	}
	return p
}

// RoundTrip implements http.RoundTripper. The error is a *hintTooLateError if the
// operation's time does not reach until GitLab takes requests again.
func (p *pacer) RoundTrip(req *http.Request) (*http.Response, error) {
	t, e := p.limitsOf(req)
	if err := p.await(req.Context(), t, e); err != nil {
		return nil, err
	}
	resp, err := p.next.RoundTrip(req)
	p.learn(t, e, resp)
	return resp, err
}

// limitsOf returns the throttle of the request's area, and its endpoint; nil if that
// has no limit of its own.
func (p *pacer) limitsOf(req *http.Request) (*throttle, *endpoint) {
	path := req.URL.EscapedPath()
	if !strings.Contains(path, "/api/v4/") {
		return p.other, nil
	}
	if req.Method == http.MethodGet {
		for _, e := range p.endpoints {
			if e.path.MatchString(path) {
				return p.api, e
			}
		}
	}
	return p.api, nil
}

// await waits until nothing speaks against the request, and counts it.
func (p *pacer) await(ctx context.Context, t *throttle, e *endpoint) error {
	if err := tooLate(ctx, p.admit(t, e, false)); err != nil {
		return err // no need to queue for that
	}
	queue := t.turn
	if e != nil {
		queue = e.turn
	}
	select {
	case queue <- struct{}{}:
		defer func() { <-queue }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		wait := p.admit(t, e, true)
		if wait <= 0 {
			return nil
		}
		if err := tooLate(ctx, wait); err != nil {
			return err
		}
		tflog.Debug(ctx, "GitLab: waiting until its limit allows more requests", map[string]any{"seconds": int(wait.Seconds()) + 1})
		made := p.pause(wait)
		if err := sleep(ctx, made); err != nil {
			return err
		}
		if made < wait { // whoever shortens pauses wants no more of this one
			p.reopen(t, e)
		}
	}
}

func tooLate(ctx context.Context, wait time.Duration) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		return &hintTooLateError{status: http.StatusTooManyRequests, wait: wait}
	}
	return nil
}

// admit says how long to wait; if not at all, it counts the request if asked to.
func (p *pacer) admit(t *throttle, e *endpoint, count bool) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if t.left <= 0 && now.Before(t.resets) {
		return t.resets.Sub(now)
	}
	if e != nil {
		if wait := e.admit(now, count); wait > 0 {
			return wait
		}
	}
	if count {
		t.left--
		t.inFlight++
	}
	return 0
}

func (e *endpoint) admit(now time.Time, count bool) time.Duration {
	if now.Before(e.closedUntil) {
		return e.closedUntil.Sub(now)
	}
	another := e.window > 0 && now.Sub(e.begun) >= e.window
	if !another && e.limit > 0 && e.sent >= e.limit {
		return e.begun.Add(e.window).Sub(now)
	}
	if !count {
		return 0
	}
	if another {
		e.grow()
		e.begun, e.sent, e.passed = now, 0, 0
	}
	e.sent++
	return 0
}

// grow questions the limit after a window in which all of it was sent and nothing
// refused: others may have used some of it when it was learned.
func (e *endpoint) grow() {
	switch {
	case e.limit == 0 || e.sent < e.limit || e.begun.IsZero():
	case e.content > 0:
		e.content--
	default:
		e.limit *= 2
	}
}

// reopen forgets what a request is waiting for.
func (p *pacer) reopen(t *throttle, e *endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.resets = time.Time{}
	if e != nil {
		e.closedUntil, e.limit = time.Time{}, 0
	}
}

// learn takes from an answer what it says about limits.
func (p *pacer) learn(t *throttle, e *endpoint, resp *http.Response) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.inFlight--
	if resp == nil {
		return
	}
	now := time.Now()
	left, resets, told := throttleOf(resp, now)
	switch {
	case !told || resets.Before(t.resets.Add(-time.Second)): // of a window that is over
	case resets.After(t.resets.Add(time.Second)):
		t.left, t.resets = left-t.inFlight, resets
	default:
		t.left = min(t.left, left-t.inFlight)
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
	hint = min(hint, maxHint)
	if !e.begun.IsZero() && e.passed > 0 {
		e.content = 0
		if near(e.passed, e.learned) {
			e.content, e.contentNext = e.contentNext, min(2*e.contentNext+1, mostContent)
		} else {
			e.contentNext = 1
		}
		e.limit, e.learned = e.passed, e.passed
	}
	e.closedUntil, e.window, e.begun = now.Add(hint), hint, time.Time{}
}

func near(a, b int) bool { return 10*a >= 9*b && 9*a <= 10*b }

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
	if after := resets.Sub(now); after > longestThrottle {
		return 0, time.Time{}, false // nobody's throttle
	}
	return left, resets, true
}
