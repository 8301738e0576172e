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

// gates is a transport that holds requests back while GitLab would refuse them, so that
// many resources at once do not each find out for themselves that a limit is used up.
//
// There is one gate for each limit. GitLab announces the throttles of whole areas, such as
// the API, on every answer: what is left of them and when they reset. It does not announce
// the limits of single endpoints (lib/gitlab/application_rate_limiter.rb): their first
// refusal closes the endpoint's gate for everybody, for as long as it says.
type gates struct {
	next  http.RoundTripper
	pause func(time.Duration) time.Duration
	now   func() time.Time

	// api is the throttle of the API, other that of everything else.
	api, other gate
	endpoints  []endpoint
}

// endpoint is one that has a limit of its own.
type endpoint struct {
	path *regexp.Regexp
	gate *gate
}

// longestThrottle is the longest period that a throttle can sensibly have.
const longestThrottle = time.Hour

func newGates(next http.RoundTripper, pause func(time.Duration) time.Duration) *gates {
	return &gates{next: next, pause: pause, now: time.Now, endpoints: []endpoint{
		{regexp.MustCompile(`/api/v4/projects/[^/]+$`), &gate{}},
		{regexp.MustCompile(`/api/v4/groups/[^/]+/projects$`), &gate{}},
	}}
}

// RoundTrip implements http.RoundTripper. The error is a *hintTooLateError if the
// operation's time ends before GitLab takes requests again.
func (g *gates) RoundTrip(req *http.Request) (*http.Response, error) {
	area, own := g.limitsOf(req)
	for _, limit := range []*gate{own, area} {
		if err := g.wait(req.Context(), limit); err != nil {
			return nil, err
		}
	}
	resp, err := g.next.RoundTrip(req)
	told := area.answered(resp, g.now())
	if resp != nil && resp.StatusCode == http.StatusTooManyRequests && !told {
		refused := area
		if own != nil {
			refused = own
		}
		if hint, hinted := retryHint(resp, g.now()); hinted {
			refused.close(g.now().Add(min(hint, maxHint)))
		}
	}
	return resp, err
}

// limitsOf returns the gate of the request's area, and of its endpoint; nil if that has no
// limit of its own.
func (g *gates) limitsOf(req *http.Request) (area, own *gate) {
	path := req.URL.EscapedPath()
	if !strings.Contains(path, "/api/v4/") {
		return &g.other, nil
	}
	for _, e := range g.endpoints {
		if req.Method == http.MethodGet && e.path.MatchString(path) {
			return &g.api, e.gate
		}
	}
	return &g.api, nil
}

// wait waits until the gate is open, and counts the request.
func (g *gates) wait(ctx context.Context, limit *gate) error {
	if limit == nil {
		return nil
	}
	for {
		until := limit.enter(g.now())
		if until.IsZero() {
			return nil
		}
		wait := until.Sub(g.now())
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return &hintTooLateError{status: http.StatusTooManyRequests, wait: wait}
		}
		tflog.Debug(ctx, "GitLab: waiting until its limit allows more requests", map[string]any{"seconds": int(wait.Seconds()) + 1})
		made := g.pause(wait)
		if err := sleep(ctx, made); err != nil {
			return err
		}
		if made < wait { // tests shorten pauses
			limit.open(until)
		}
	}
}

// gate is one limit.
type gate struct {
	mu sync.Mutex
	// closedUntil is zero, or when a refusal's own hint is over.
	closedUntil time.Time
	// left may be sent until resets; resets is zero while nothing is announced.
	left     int
	resets   time.Time
	inFlight int
}

// enter counts a request that may be sent now; otherwise it returns when the gate opens.
func (g *gate) enter(now time.Time) (until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Before(g.closedUntil) {
		return g.closedUntil
	}
	if g.left <= 0 && now.Before(g.resets) {
		return g.resets
	}
	g.left--
	g.inFlight++
	return time.Time{}
}

// close closes the gate until that time.
func (g *gate) close(until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if until.After(g.closedUntil) {
		g.closedUntil = until
	}
}

// open forgets why the gate was closed until that time.
func (g *gate) open(until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closedUntil.After(until) {
		g.closedUntil = time.Time{}
	}
	if !g.resets.After(until) {
		g.resets = time.Time{}
	}
}

// answered takes from an answer what it announces. It reports whether the throttle is
// used up: a refusal is then the throttle's, and not an endpoint's.
func (g *gate) answered(resp *http.Response, now time.Time) (usedUp bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight--
	if resp == nil {
		return false
	}
	left, resets, told := announced(resp, now)
	switch {
	case !told || resets.Before(g.resets.Add(-time.Second)): // of a window that is over
	case resets.After(g.resets.Add(time.Second)):
		g.left, g.resets = left-g.inFlight, resets
	default:
		g.left = min(g.left, left-g.inFlight)
	}
	return told && left == 0
}

// announced reads what an answer says of the throttle of its area.
func announced(resp *http.Response, now time.Time) (left int, resets time.Time, told bool) {
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
	if resets.Sub(now) > longestThrottle {
		return 0, time.Time{}, false // nobody's throttle
	}
	return left, resets, true
}
