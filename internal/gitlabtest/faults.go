package gitlabtest

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

// Fault makes requests fail. Without a When, it strikes before the request is
// carried out.
type Fault struct {
	// Match is the "METHOD /route" to strike, as in the request log; empty strikes all.
	Match string
	// Skip lets that many matching requests pass first.
	Skip int
	// Times is how many requests it strikes; 0 means one, Always means every one.
	Times int
	When  When
	// Status and Body are the answer; without a Status the connection is cut.
	Status int
	Body   string
	Header map[string]string
	// Pause stops the request for real time at the moment of the fault: before it is
	// carried out, or before it is answered. The client may give up meanwhile; the
	// request goes on. Without a Status, the connection is then not cut.
	Pause time.Duration

	seen, struck int
}

// Always is for Fault.Times.
const Always = -1

// When says at which moment of a request a fault strikes.
type When int

// The moments of a fault.
const (
	// Before: nothing has happened.
	Before When = iota
	// After: the request was carried out, and the client is not told.
	After
	// During: the request was carried out, and the answer breaks off in the middle.
	During
)

func (f *Fault) String() string {
	when := [...]string{"before", "after", "during"}[f.When]
	what := "cut"
	if f.Status != 0 {
		what = fmt.Sprint(f.Status)
	}
	return fmt.Sprintf("%s %s %s", what, when, orElse(f.Match, "any request"))
}

func (f *Fault) cuts() bool { return f.Status == 0 && f.Pause == 0 || f.When == During }

// Inject adds a fault. The first one that matches a request strikes.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// ClearFaults removes all faults.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Throttled is the answer of the request throttle: plain text, with all headers.
func (s *Server) Throttled(match string, after time.Duration) Fault {
	reset := s.Clock.Now().Add(after)
	seconds := fmt.Sprint(int(after.Seconds()))
	return Fault{
		Match: match, Status: http.StatusTooManyRequests, Body: "Retry later\n",
		Header: map[string]string{
			"Content-Type": "text/plain", "Retry-After": seconds,
			"RateLimit-Name": "throttle_authenticated_api", "RateLimit-Limit": "2000", "RateLimit-Observed": "2001",
			"RateLimit-Remaining": "0", "RateLimit-Reset": fmt.Sprint(reset.Unix()),
			"RateLimit-ResetTime": reset.UTC().Format(http.TimeFormat),
		},
	}
}

// EndpointLimited is the answer of an endpoint's own limit: message is an object,
// and Retry-After is the only header.
func EndpointLimited(match string, after time.Duration) Fault {
	return Fault{
		Match: match, Status: http.StatusTooManyRequests,
		Body:   `{"message":{"error":"This endpoint has been requested too many times. Try again later."}}`,
		Header: map[string]string{"Content-Type": "application/json", "Retry-After": fmt.Sprint(int(after.Seconds()))},
	}
}

// takeFault returns the fault that strikes this request. The lock is held.
func (s *Server) takeFault(r Request) *Fault {
	for _, f := range s.faults {
		if f.Match != "" && f.Match != r.String() {
			continue
		}
		f.seen++
		if f.seen <= f.Skip || f.Times != Always && f.struck >= max(1, f.Times) {
			continue
		}
		f.struck++
		return f
	}
	return nil
}

// carryOut lets the fault have its way with the answer.
func (s *Server) carryOut(f *Fault, answer *httptest.ResponseRecorder, handle func()) {
	if f == nil {
		handle()
		return
	}
	if f.When != Before {
		handle()
	}
	time.Sleep(f.Pause)
	if f.When == Before && f.Status == 0 && f.Pause > 0 {
		handle()
	}
	if f.Status != 0 && f.When != During {
		*answer = *httptest.NewRecorder()
		for name, value := range f.Header {
			answer.Header().Set(name, value)
		}
		if answer.Header().Get("Content-Type") == "" && strings.HasPrefix(f.Body, "{") {
			answer.Header().Set("Content-Type", "application/json")
		}
		answer.WriteHeader(f.Status)
		_, _ = io.WriteString(answer, f.Body)
	}
}

// send passes the answer on, or as much of it as the fault lets through. Every answer
// carries the instance's own time, which a fault can replace.
func (s *Server) send(w http.ResponseWriter, answer *httptest.ResponseRecorder, f *Fault) {
	body := answer.Body.Bytes()
	if answer.Header().Get("Date") == "" {
		answer.Header().Set("Date", s.Clock.Now().UTC().Format(http.TimeFormat))
	}
	if f != nil && f.cuts() {
		if f.When == During && len(body) > 0 {
			maps.Copy(w.Header(), answer.Header())
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			w.WriteHeader(answer.Code)
			_, _ = w.Write(body[:len(body)/2])
			_ = http.NewResponseController(w).Flush()
		}
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(body)
}
