package gitlabtest

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// controlRoot is where a server that runs as a process of its own is steered.
const controlRoot = "/-/stand-in"

// WithControl serves the control endpoints, which need no token:
//
//	GET    /-/stand-in/requests   the request log
//	POST   /-/stand-in/clock      {"advance_days": 7} or {"now": "2027-01-15T00:00:00Z"}
//	POST   /-/stand-in/faults     a Fault, as in {"Match": "POST /projects/:id/deploy_tokens", "Status": 502, "When": 1}
//	DELETE /-/stand-in/faults     removes all faults
//	POST   /-/stand-in/maintenance {"on": true}
func WithControl() Option { return func(o *options) { o.control = true } }

// control answers a request to a control endpoint; false if it is none.
func (s *Server) control(w http.ResponseWriter, r *http.Request, path string) bool {
	name, isControl := strings.CutPrefix(path, controlRoot+"/")
	if !isControl || !s.options.control {
		return false
	}
	var body struct {
		Fault

		Now         time.Time `json:"now"`
		AdvanceDays int       `json:"advance_days"`
		On          bool      `json:"on"`
	}
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return true
		}
	}
	switch r.Method + " " + name {
	case "GET requests":
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.Requests())
		return true
	case "POST clock":
		if !body.Now.IsZero() {
			s.Clock.Set(body.Now)
		}
		s.Clock.AdvanceDays(body.AdvanceDays)
	case "POST faults":
		s.Inject(body.Fault)
	case "DELETE faults":
		s.ClearFaults()
	case "POST maintenance":
		s.SetMaintenance(body.On)
	default:
		http.NotFound(w, r)
		return true
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}
