// Package gitlabtest is a stand-in for GitLab: an HTTP server that behaves as
// GitLab does wherever deploy tokens, projects, Auto DevOps, CI/CD variables, jobs,
// environments, deployments and the registry's token endpoint are concerned,
// unpleasant parts included. It holds its world in memory, takes its time from an
// injected clock, logs every request and fails on demand.
//
//	gitlab := gitlabtest.New(t)
//	project := gitlab.CreateProject("acme/shop", gitlabtest.ProjectOptions{AutoDevOps: gitlabtest.True})
//	token := gitlab.CreateAccessToken(gitlab.Maintainer(project), "api")
//
// What GitLab really does was read from its source; the tables of
// testdata/deploy-token-behaviours.json and testdata/ci-behaviours.json are checked row
// by row.
package gitlabtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is the stand-in. All methods are safe for concurrent use.
type Server struct {
	// URL is where the server listens, without /api/v4.
	URL string
	// Clock is the time of the whole instance.
	Clock *Clock

	http    *httptest.Server
	options options

	mu     sync.Mutex
	world  world
	faults []*Fault
	log    []*Request
	asked  []func(Request)
	done   []func(Request)
}

type options struct {
	clock        *Clock
	relativeRoot string
	registryHost string
	externalURL  string
	latency      time.Duration
	address      string
	control      bool
	limits       Limits
}

// Option configures a Server.
type Option func(*options)

// WithClock uses that clock instead of a new one at 2026-01-15 10:00 UTC.
func WithClock(clock *Clock) Option { return func(o *options) { o.clock = clock } }

// WithRelativeURL serves everything below a path, as an instance installed at a relative URL does.
func WithRelativeURL(root string) Option { return func(o *options) { o.relativeRoot = root } }

// WithRegistryHost sets the host[:port] of the container registry.
func WithRegistryHost(host string) Option { return func(o *options) { o.registryHost = host } }

// WithExternalURL sets the URL that GitLab believes it has, which is in its
// links. By default it is one that no client can reach.
func WithExternalURL(external string) Option { return func(o *options) { o.externalURL = external } }

// WithLatency delays every answer.
func WithLatency(latency time.Duration) Option { return func(o *options) { o.latency = latency } }

// WithAddress listens on that loopback address instead of a free port.
func WithAddress(address string) Option { return func(o *options) { o.address = address } }

// New starts a server that stops at the end of the test.
func New(tb testing.TB, opts ...Option) *Server {
	tb.Helper()
	s, err := Start(opts...)
	if err != nil {
		tb.Fatalf("start the GitLab stand-in: %v", err)
	}
	tb.Cleanup(s.Close)
	return s
}

// Start starts a server. The caller closes it.
func Start(opts ...Option) (*Server, error) {
	o := options{
		registryHost: "registry.gitlab.example.com",
		externalURL:  "https://gitlab.example.com",
		address:      "127.0.0.1:0",
	}
	for _, opt := range opts {
		opt(&o)
	}
	if o.clock == nil {
		o.clock = NewClock(time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC))
	}
	host, _, err := net.SplitHostPort(o.address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("the stand-in listens on a loopback address only, not on %q", o.address)
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", o.address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}

	s := &Server{Clock: o.clock, options: o, world: newWorld()}
	s.http = httptest.NewUnstartedServer(s.handler())
	_ = s.http.Listener.Close()
	s.http.Listener = listener
	s.http.Start()
	s.URL = s.http.URL + o.relativeRoot
	return s, nil
}

// Close stops the server and cuts what is still connected.
func (s *Server) Close() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// SetRegistryHost changes the host[:port] of the container registry.
func (s *Server) SetRegistryHost(host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.registryHost = host
}

// SetLatency changes the delay of every answer.
func (s *Server) SetLatency(latency time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.latency = latency
}

// Clock is a clock that stands still until it is moved.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands at that time.
func NewClock(now time.Time) *Clock { return &Clock{now: now.UTC()} }

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Set moves the clock to that time.
func (c *Clock) Set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now.UTC()
}

// Advance moves the clock forward.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// AdvanceDays moves the clock forward by whole days.
func (c *Clock) AdvanceDays(days int) { c.Advance(time.Duration(days) * 24 * time.Hour) }

// Request is one entry of the request log.
type Request struct {
	Method string
	// Route is the path with its variables named: "/projects/:id/deploy_tokens/:token_id".
	Route string
	// Path is the path as asked, below /api/v4 for API requests.
	Path   string
	Query  string
	Status int
	// Header of the request, without credentials.
	Header http.Header
	// Cut says that the client got no whole answer.
	Cut bool
}

func (r Request) String() string { return r.Method + " " + r.Route }

// Requests returns the request log.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := make([]Request, 0, len(s.log))
	for _, r := range s.log {
		requests = append(requests, *r)
	}
	return requests
}

// ForgetRequests empties the request log.
func (s *Server) ForgetRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
}

// CountRequests counts the log's requests whose "METHOD /route" is that one.
func (s *Server) CountRequests(methodAndRoute string) int {
	n := 0
	for _, r := range s.Requests() {
		if r.String() == methodAndRoute {
			n++
		}
	}
	return n
}

// Writes counts the log's requests that could have changed something.
func (s *Server) Writes() int {
	n := 0
	for _, r := range s.Requests() {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			n++
		}
	}
	return n
}

// OnRequest calls the function before each request is handled, outside of any
// lock: it may change the world, as somebody else would.
func (s *Server) OnRequest(hook func(Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, hook)
}

// OnAnswer calls the function after each request was handled and before the
// client hears of it, outside of any lock. The request has its status.
func (s *Server) OnAnswer(hook func(Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, hook)
}

func randomText(prefix string, length int) string {
	text := ""
	for len(text) < length {
		text += rand.Text()
	}
	return prefix + strings.ToLower(text[:length/2]) + text[length/2:length]
}
