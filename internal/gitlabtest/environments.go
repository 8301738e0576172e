package gitlabtest

import (
	"crypto/sha256"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"
)

// environment is an environment of a project.
type environment struct {
	id                     int64
	project                *Project
	name, slug, state      string
	externalURL, tier      string
	description, namespace string

	createdAt, updatedAt time.Time
}

// Environment is an environment as the world has it.
type Environment struct {
	ID                int64
	Name, Slug, State string
}

const (
	stateAvailable = "available"
	stateStopping  = "stopping"
	stateStopped   = "stopped"
)

// Environments lists the project's environments, the oldest first.
func (s *Server) Environments(p *Project) []Environment {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Environment
	for _, e := range p.environments {
		list = append(list, Environment{ID: e.id, Name: e.name, Slug: e.slug, State: e.state})
	}
	return list
}

// CreateEnvironment makes an environment without any deployment, as the settings page
// and jobs that only prepare one do.
func (s *Server) CreateEnvironment(p *Project, name string) Environment {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.ensureEnvironment(p, name)
	return Environment{ID: e.id, Name: e.name, Slug: e.slug, State: e.state}
}

// StopEnvironment sets the environment's state, which is all that Stop does without a
// stop job. What runs there goes on running.
func (s *Server) StopEnvironment(p *Project, name string) {
	s.edit(func() {
		if e := p.environment(name); e != nil {
			e.setState(stateStopped, s.Clock.Now())
		}
	})
}

// StoppingEnvironment sets the state while stop jobs run.
func (s *Server) StoppingEnvironment(p *Project, name string) {
	s.edit(func() {
		if e := p.environment(name); e != nil {
			e.setState(stateStopping, s.Clock.Now())
		}
	})
}

// DeleteEnvironment removes the environment with its deployments. What runs there goes
// on running, and the Secret in the cluster stays.
func (s *Server) DeleteEnvironment(p *Project, name string) {
	s.edit(func() {
		if e := p.environment(name); e != nil {
			s.deleteEnvironment(e)
		}
	})
}

func (s *Server) deleteEnvironment(gone *environment) {
	p := gone.project
	p.environments = slices.DeleteFunc(p.environments, func(e *environment) bool { return e == gone })
	p.deployments = slices.DeleteFunc(p.deployments, func(d *deployment) bool { return d.environment == gone })
	for _, j := range s.world.jobs {
		if j.environment == gone {
			j.environment = nil
		}
	}
}

// SetEnvironmentNamespace sets the namespace of the environment's cluster agent, which
// only callers who may read the agent see.
func (s *Server) SetEnvironmentNamespace(p *Project, name, namespace string) {
	s.edit(func() { s.ensureEnvironment(p, name).namespace = namespace })
}

func (p *Project) environment(name string) *environment {
	for _, e := range p.environments {
		if e.name == name {
			return e
		}
	}
	return nil
}

func (s *Server) ensureEnvironment(p *Project, name string) *environment {
	if e := p.environment(name); e != nil {
		return e
	}
	now := s.Clock.Now()
	e := &environment{
		id: s.world.nextRow(), project: p, name: name, slug: environmentSlug(name), state: stateAvailable, tier: tierOf(name),
		createdAt: now, updatedAt: now,
	}
	p.environments = append(p.environments, e)
	return e
}

func (e *environment) setState(state string, now time.Time) {
	if e.state != state {
		e.state, e.updatedAt = state, now
	}
}

// lastDeployment is the last successful one by the time of its end
// (app/models/environment.rb).
func (e *environment) lastDeployment() *deployment {
	var last *deployment
	for _, d := range e.project.deployments {
		if d.environment == e && d.status == statusSuccess && (last == nil || !d.finishedAt.Before(last.finishedAt)) {
			last = d
		}
	}
	return last
}

var (
	notInSlug = regexp.MustCompile(`[^a-z0-9]`)
	dashes    = regexp.MustCompile(`-{2,}`)
)

// environmentSlug is at most 24 characters long, and ends with a hash unless the name
// is a slug already (lib/gitlab/slug/environment.rb).
func environmentSlug(name string) string {
	slug := notInSlug.ReplaceAllString(strings.ToLower(name), "-")
	if slug == "" || slug[0] < 'a' || slug[0] > 'z' {
		slug = "env-" + slug
	}
	slug = dashes.ReplaceAllString(slug, "-")
	if len(slug) <= 24 && slug == name {
		return strings.TrimSuffix(slug, "-")
	}
	sum := sha256.Sum256([]byte(name))
	hash := new(big.Int).SetBytes(sum[:]).Text(36)
	return strings.TrimSuffix(slug[:min(len(slug), 17)], "-") + "-" + hash[len(hash)-6:]
}

var tiers = []struct {
	tier string
	name *regexp.Regexp
}{
	{"development", regexp.MustCompile(`(?i)dev|review|trunk`)},
	{"testing", regexp.MustCompile(`(?i)test|tst|int|accept|qa|qc|control|quality`)},
	{"staging", regexp.MustCompile(`(?i)stg|stag|model|pre|demo|non`)},
	{"production", regexp.MustCompile(`(?i)prod|prd|live`)},
}

// tierOf guesses the tier from the name, as GitLab does.
func tierOf(name string) string {
	for _, t := range tiers {
		if t.name.MatchString(name) {
			return t.tier
		}
	}
	return "other"
}
