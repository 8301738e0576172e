package gitlabtest

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

// controlRoot is where a server that runs as a process of its own is steered.
const controlRoot = "/-/stand-in"

// WithControl serves the control endpoints, which need no token:
//
//	GET    /-/stand-in/requests   the request log
//	POST   /-/stand-in/clock      {"advance_days": 7}, {"advance_seconds": 60} or {"now": "2027-01-15T00:00:00Z"}
//	POST   /-/stand-in/faults     a Fault, as in {"Match": "POST /projects/:id/deploy_tokens", "Status": 502, "When": 1}
//	DELETE /-/stand-in/faults     removes all faults
//	POST   /-/stand-in/maintenance {"on": true}
//
// What happens in a project's CI/CD is played with these; "project" is a path or an id:
//
//	POST   /-/stand-in/deploy            {"project": "acme/shop", "environment": "production"}: an Auto DevOps deployment, at once
//	POST   /-/stand-in/pull              the same; answers {"allowed": true} if a pod of that environment can pull
//	GET    /-/stand-in/variables?project= the variables, without their values
//	POST   /-/stand-in/variables         {"project": …, "key": …, "value": …, "scope": …}: somebody sets one by hand
//	DELETE /-/stand-in/variables?project=&key=&scope=
//	POST   /-/stand-in/jobs              {"project": …, "name": …, "environment": …, "action": …}: queues a job, answers with its id
//	GET    /-/stand-in/jobs?project=     the jobs
//	POST   /-/stand-in/jobs/pick-up      {"job": 7}: a runner takes it; {"job": 7, "two_phases": true} without starting it
//	POST   /-/stand-in/jobs/run          {"job": 7}: starts a job that was picked up in two phases
//	POST   /-/stand-in/jobs/secret       {"job": 7, "namespace": …}: the job writes its Secret
//	POST   /-/stand-in/jobs/finish       {"job": 7, "status": "success"}
//	POST   /-/stand-in/jobs/retry        {"job": 7}: answers with the new job's id
//	POST   /-/stand-in/environments/stop {"project": …, "environment": …}
//	DELETE /-/stand-in/environments?project=&environment=
//	POST   /-/stand-in/ci                {"project": …, "on": false}: switches CI/CD
func WithControl() Option { return func(o *options) { o.control = true } }

// controls are the control endpoints.
var controls = map[string]func(*Server, *http.Request) (any, error){
	"GET requests":     (*Server).controlRequests,
	"POST clock":       (*Server).controlClock,
	"POST faults":      (*Server).controlFaults,
	"DELETE faults":    (*Server).controlNoFaults,
	"POST maintenance": (*Server).controlMaintenance,

	"POST deploy":            (*Server).controlDeploy,
	"POST pull":              (*Server).controlPull,
	"GET variables":          (*Server).controlVariables,
	"POST variables":         (*Server).controlSetVariable,
	"DELETE variables":       (*Server).controlDeleteVariable,
	"POST jobs":              (*Server).controlQueue,
	"GET jobs":               (*Server).controlJobs,
	"POST jobs/pick-up":      (*Server).controlPickUp,
	"POST jobs/run":          (*Server).controlRun,
	"POST jobs/secret":       (*Server).controlSecret,
	"POST jobs/finish":       (*Server).controlFinish,
	"POST jobs/retry":        (*Server).controlRetry,
	"POST environments/stop": (*Server).controlStop,
	"DELETE environments":    (*Server).controlDeleteEnvironment,
	"POST ci":                (*Server).controlCI,
}

// controlError is a refusal of a control endpoint.
type controlError struct {
	status int
	text   string
}

func (e controlError) Error() string { return e.text }

// control answers a request to a control endpoint; false if it is none.
func (s *Server) control(w http.ResponseWriter, r *http.Request, path string) bool {
	name, isControl := strings.CutPrefix(path, controlRoot+"/")
	if !isControl || !s.options.control {
		return false
	}
	handle := controls[r.Method+" "+name]
	if handle == nil {
		http.NotFound(w, r)
		return true
	}
	result, err := handle(s, r)
	var refused controlError
	switch {
	case errors.As(err, &refused):
		http.Error(w, refused.text, refused.status)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case result == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(result)
	}
	return true
}

// body reads the JSON of a control request.
func body[T any](r *http.Request) (T, error) {
	var value T
	err := json.NewDecoder(r.Body).Decode(&value)
	return value, err
}

func (s *Server) controlRequests(*http.Request) (any, error) { return s.Requests(), nil }

func (s *Server) controlClock(r *http.Request) (any, error) {
	b, err := body[struct {
		Now            time.Time `json:"now"`
		AdvanceDays    int       `json:"advance_days"`
		AdvanceSeconds int       `json:"advance_seconds"`
	}](r)
	if err != nil {
		return nil, err
	}
	if !b.Now.IsZero() {
		s.Clock.Set(b.Now)
	}
	s.Clock.AdvanceDays(b.AdvanceDays)
	s.Clock.Advance(time.Duration(b.AdvanceSeconds) * time.Second)
	return nil, nil
}

func (s *Server) controlFaults(r *http.Request) (any, error) {
	fault, err := body[Fault](r)
	if err != nil {
		return nil, err
	}
	s.Inject(fault)
	return nil, nil
}

func (s *Server) controlNoFaults(*http.Request) (any, error) {
	s.ClearFaults()
	return nil, nil
}

func (s *Server) controlMaintenance(r *http.Request) (any, error) {
	b, err := body[struct {
		On bool `json:"on"`
	}](r)
	if err != nil {
		return nil, err
	}
	s.SetMaintenance(b.On)
	return nil, nil
}
