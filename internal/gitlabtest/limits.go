package gitlabtest

import (
	"fmt"
	"net/http"
	"time"
)

// Rate is a number of requests in a time; none at all is no limit. Limits go by
// real time, whatever the server's clock says.
type Rate struct {
	Requests int
	Per      time.Duration
}

// Limits are the request limits of an instance, for each user.
type Limits struct {
	// All limits every request with a token. It is announced on each answer.
	All Rate
	// Project limits GET /projects/:id, GroupProjects GET /groups/:id/projects. They
	// are announced nowhere: only the refusal says how long to wait.
	Project, GroupProjects Rate
}

// GitLabCom are the limits of GitLab.com (documentation of 2026).
func GitLabCom() Limits {
	return Limits{
		All:           Rate{2000, time.Minute},
		Project:       Rate{400, time.Minute},
		GroupProjects: Rate{600, time.Minute},
	}
}

// WithLimits limits requests. Without it, nothing is refused.
func WithLimits(limits Limits) Option { return func(o *options) { o.limits = limits } }

// SetLimits changes the limits.
func (s *Server) SetLimits(limits Limits) {
	s.edit(func() { s.options.limits = limits })
}

// window counts the requests of one limit.
type window struct {
	ends time.Time
	n    int
}

// throttled answers a request beyond a limit; false if it may go on. All of the
// caller's requests count, also refused ones.
func (s *Server) throttled(x *exchange, route string) bool {
	now := time.Now()
	if all := s.options.limits.All; all.Requests > 0 {
		w := s.window("all", x.user)
		// The throttle's windows are aligned to the clock.
		w.count(now, now.Truncate(all.Per).Add(all.Per))
		if s.tellThrottle(x, all, w, now) {
			x.Header().Set("Retry-After", fmt.Sprint(int(w.ends.Sub(now).Seconds())+1))
			x.text(http.StatusTooManyRequests, "Retry later\n")
			return true
		}
	}
	limits := map[string]Rate{"/projects/:id": s.options.limits.Project, "/groups/:id/projects": s.options.limits.GroupProjects}
	limit := limits[route]
	if x.route.method != http.MethodGet || limit.Requests == 0 {
		return false
	}
	// An endpoint's window begins with its first request.
	w := s.window(route, x.user)
	w.count(now, now.Add(limit.Per))
	if w.n <= limit.Requests {
		return false
	}
	x.Header().Set("Retry-After", fmt.Sprint(int(limit.Per.Seconds())))
	for _, name := range []string{"Name", "Limit", "Observed", "Remaining", "Reset"} {
		x.Header().Del("RateLimit-" + name)
	}
	x.json(http.StatusTooManyRequests, map[string]any{"message": map[string]any{
		"error": "This endpoint has been requested too many times. Try again later.",
	}})
	return true
}

// tellThrottle writes the throttle's headers, and reports whether it refuses.
func (s *Server) tellThrottle(x *exchange, limit Rate, w *window, now time.Time) bool {
	perMinute := int64(limit.Requests) * int64(time.Minute) / int64(limit.Per)
	h := x.Header()
	h.Set("RateLimit-Limit", fmt.Sprint(perMinute))
	h.Set("RateLimit-Observed", fmt.Sprint(w.n))
	h.Set("RateLimit-Remaining", fmt.Sprint(max(0, limit.Requests-w.n)))
	// Windows go by real time, and the header by the instance's clock, as Date does.
	h.Set("RateLimit-Reset", fmt.Sprint(s.Clock.Now().Add(w.ends.Sub(now)+time.Second-1).Unix()))
	return w.n > limit.Requests
}

func (w *window) count(now, ends time.Time) {
	if !now.Before(w.ends) {
		*w = window{ends: ends}
	}
	w.n++
}

func (s *Server) window(name string, u *User) *window {
	key := name
	if u != nil {
		key += fmt.Sprint(u.ID)
	}
	if s.world.windows[key] == nil {
		s.world.windows[key] = &window{}
	}
	return s.world.windows[key]
}
