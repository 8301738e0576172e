package gitlabtest

import (
	"net/http"
	"slices"
)

// controlBody are the fields of the control requests about CI/CD.
type controlBody struct {
	Project     string `json:"project"`
	Environment string `json:"environment"`
	Namespace   string `json:"namespace"`
	Name        string `json:"name"`
	Action      string `json:"action"`
	Status      string `json:"status"`
	Job         int64  `json:"job"`
	TwoPhases   bool   `json:"two_phases"`
	Protected   bool   `json:"protected"`
	On          bool   `json:"on"`
}

// projectNamed finds a project by path or id.
func (s *Server) projectNamed(name string) (*Project, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, _ := s.world.find(name)
	if p == nil {
		return nil, controlError{http.StatusNotFound, "no such project: " + name}
	}
	return p, nil
}

// projectOf is the project that the body of the request names.
func (s *Server) projectOf(r *http.Request) (*Project, controlBody, error) {
	b, err := body[controlBody](r)
	if err != nil {
		return nil, b, err
	}
	p, err := s.projectNamed(b.Project)
	return p, b, err
}

// jobOf is the job that the body of the request names.
func (s *Server) jobOf(r *http.Request) (*Job, controlBody, error) {
	b, err := body[controlBody](r)
	if err != nil {
		return nil, b, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.world.jobs, func(j *Job) bool { return j.ID == b.Job })
	if i < 0 {
		return nil, b, controlError{http.StatusNotFound, "no such job"}
	}
	return s.world.jobs[i], b, nil
}

// controlJob is a job as the control endpoints tell it: no variable, no token.
type controlJob struct {
	ID          int64  `json:"job"`
	Name        string `json:"name"`
	Environment string `json:"environment"`
	Status      string `json:"status"`
}

func (s *Server) told(j *Job) (any, error) {
	return controlJob{ID: j.ID, Name: j.Name, Environment: j.Environment, Status: s.JobStatus(j)}, nil
}

// pipelineIn refuses where no pipeline can be made.
func (s *Server) pipelineIn(p *Project) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if why := p.withoutPipelines(); why != "" {
		return controlError{http.StatusConflict, "no pipeline in " + p.path + ": " + why}
	}
	return nil
}

func (s *Server) controlDeploy(r *http.Request) (any, error) {
	p, b, err := s.projectOf(r)
	if err == nil {
		err = s.pipelineIn(p)
	}
	if err == nil && b.Environment == "" {
		err = controlError{http.StatusBadRequest, "environment is missing"}
	}
	if err != nil {
		return nil, err
	}
	return s.told(s.Deploy(p, b.Environment))
}

func (s *Server) controlPull(r *http.Request) (any, error) {
	p, b, err := s.projectOf(r)
	if err != nil {
		return nil, err
	}
	return map[string]bool{"allowed": s.ClusterPulls(p, orElse(b.Namespace, b.Environment))}, nil
}

// controlVariable is a variable without its value.
type controlVariable struct {
	Key         string `json:"key"`
	Scope       string `json:"environment_scope"`
	Type        string `json:"variable_type"`
	Description string `json:"description"`
	Protected   bool   `json:"protected"`
	Masked      bool   `json:"masked"`
	Hidden      bool   `json:"hidden"`
	Raw         bool   `json:"raw"`
}

func (s *Server) controlVariables(r *http.Request) (any, error) {
	p, err := s.projectNamed(r.URL.Query().Get("project"))
	if err != nil {
		return nil, err
	}
	list := []controlVariable{}
	for _, v := range s.Variables(p) {
		list = append(list, controlVariable{v.Key, v.Scope, v.Type, v.Description, v.Protected, v.Masked, v.Hidden, v.Raw})
	}
	return list, nil
}

func (s *Server) controlSetVariable(r *http.Request) (any, error) {
	b, err := body[struct {
		Variable

		Project string `json:"project"`
	}](r)
	if err != nil {
		return nil, err
	}
	p, err := s.projectNamed(b.Project)
	if err != nil {
		return nil, err
	}
	s.SetVariable(p, b.Variable)
	return nil, nil
}

func (s *Server) controlDeleteVariable(r *http.Request) (any, error) {
	query := r.URL.Query()
	p, err := s.projectNamed(query.Get("project"))
	if err != nil {
		return nil, err
	}
	s.DeleteVariable(p, query.Get("key"), query.Get("scope"))
	return nil, nil
}

func (s *Server) controlQueue(r *http.Request) (any, error) {
	p, b, err := s.projectOf(r)
	if err == nil {
		err = s.pipelineIn(p)
	}
	if err != nil {
		return nil, err
	}
	return s.told(s.QueueJob(p, JobOptions{Name: b.Name, Environment: b.Environment, Action: b.Action, Protected: b.Protected}))
}

func (s *Server) controlJobs(r *http.Request) (any, error) {
	p, err := s.projectNamed(r.URL.Query().Get("project"))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []controlJob{}
	for _, j := range s.world.jobs {
		if j.project == p {
			list = append(list, controlJob{j.ID, j.Name, j.Environment, j.status})
		}
	}
	return list, nil
}

// changeJob finds the job, changes it, and tells what became of it.
func (s *Server) changeJob(r *http.Request, change func(*Job, controlBody)) (any, error) {
	j, b, err := s.jobOf(r)
	if err != nil {
		return nil, err
	}
	change(j, b)
	return s.told(j)
}

func (s *Server) controlPickUp(r *http.Request) (any, error) {
	return s.changeJob(r, func(j *Job, b controlBody) {
		if b.TwoPhases {
			s.PickUpInTwoPhases(j)
		} else {
			s.PickUp(j)
		}
	})
}

func (s *Server) controlRun(r *http.Request) (any, error) {
	return s.changeJob(r, func(j *Job, _ controlBody) { s.StartRunning(j) })
}

func (s *Server) controlSecret(r *http.Request) (any, error) {
	return s.changeJob(r, func(j *Job, b controlBody) { s.CreateSecret(j, orElse(b.Namespace, j.Environment)) })
}

func (s *Server) controlFinish(r *http.Request) (any, error) {
	return s.changeJob(r, func(j *Job, b controlBody) { s.FinishJob(j, orElse(b.Status, statusSuccess)) })
}

func (s *Server) controlRetry(r *http.Request) (any, error) {
	j, _, err := s.jobOf(r)
	if err != nil {
		return nil, err
	}
	return s.told(s.RetryJob(j))
}

func (s *Server) controlStop(r *http.Request) (any, error) {
	p, b, err := s.projectOf(r)
	if err != nil {
		return nil, err
	}
	s.StopEnvironment(p, b.Environment)
	return nil, nil
}

func (s *Server) controlDeleteEnvironment(r *http.Request) (any, error) {
	query := r.URL.Query()
	p, err := s.projectNamed(query.Get("project"))
	if err != nil {
		return nil, err
	}
	s.DeleteEnvironment(p, query.Get("environment"))
	return nil, nil
}

func (s *Server) controlCI(r *http.Request) (any, error) {
	p, b, err := s.projectOf(r)
	if err != nil {
		return nil, err
	}
	s.SetCIEnabled(p, b.On)
	return nil, nil
}
