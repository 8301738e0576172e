//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// theirMark is in every value that somebody else has written into a CI/CD variable.
const theirMark = "value-of-somebody-else"

// otherKey is a variable that nothing is ever published in.
const otherKey = "DATABASE_URL"

// otherScope is a more exact scope than that of the publication.
const otherScope = "qa"

// margin is for how long after a publication the queue time of a job tells nothing.
const margin = 2 * time.Minute

// jobSecret is the Secret that a deploy job has written for an environment.
type jobSecret struct {
	username, password string
	// tokenID is 0 if it is not a deploy token.
	tokenID int64
	// published: the job took it from the variables that the provider keeps.
	published bool
}

// environments that are deployed. Each has a namespace of its name.
func environments() []string { return []string{"production", "staging", "review/x"} }

// moveJobs lets something happen in the project's CI/CD.
func (w *world) moveJobs(r *rand.Rand) (string, error) {
	choice, environment, key := r.IntN(16), pick(r, environments()...), pick(r, access.UserVariable, access.PasswordVariable)
	prompt := chance(r, 4)
	switch {
	case choice < 7 && w.noCI, choice == 7 && w.noCI:
		return "no job runs, as CI/CD is off", nil
	case choice < 7:
		if !prompt {
			if err := w.pass(margin); err != nil {
				return "", err
			}
		}
		return w.deploy(environment), nil
	case choice == 7:
		job := w.gitlab.QueueJob(w.project, gitlabtest.JobOptions{Name: "production", Environment: "production"})
		w.gitlab.PickUp(job)
		w.late = append(w.late, job)
		return "a deploy job of production is taken, and hangs", nil
	case choice < 10:
		return w.endLateJobs(), nil
	case choice == 10:
		w.setCI(w.noCI)
		return fmt.Sprint("CI/CD on: ", !w.noCI), nil
	case choice == 11:
		w.gitlab.DeleteVariable(w.project, key, access.DefaultScope)
		return "somebody removes " + key, nil
	case choice == 12:
		w.editVariable(access.PasswordVariable, func(v *gitlabtest.Variable) { v.Masked = false })
		return "somebody makes the variable visible in logs", nil
	case choice == 13:
		w.editVariable(key, func(v *gitlabtest.Variable) { v.Value = w.theirValue() })
		return "somebody changes " + key + ", and leaves its description", nil
	case choice == 14:
		w.gitlab.SetVariable(w.project, gitlabtest.Variable{Key: key, Value: w.theirValue()})
		return "somebody sets " + key, nil
	default:
		w.gitlab.SetVariable(w.project, gitlabtest.Variable{Key: key, Scope: otherScope, Value: w.theirValue()})
		return fmt.Sprintf("somebody sets %s for %q", key, otherScope), nil
	}
}

func (w *world) theirValue() string {
	w.values++
	return fmt.Sprintf("%s-%d", theirMark, w.values)
}

func (w *world) editVariable(key string, edit func(*gitlabtest.Variable)) {
	for _, v := range w.gitlab.Variables(w.project) {
		if v.Key == key && v.Scope == access.DefaultScope {
			edit(&v)
			w.gitlab.SetVariable(w.project, v)
		}
	}
}

func (w *world) setCI(on bool) {
	w.noCI = !on
	w.gitlab.SetCIEnabled(w.project, on)
}

// deploy runs the deploy job of an environment.
func (w *world) deploy(environment string) string {
	job := w.gitlab.Deploy(w.project, environment)
	w.noteSecret(environment, job)
	w.deployed[environment] = true
	return fmt.Sprintf("%s is deployed, and holds token %d", environment, w.written[environment].tokenID)
}

// endLateJobs lets jobs that hang do their work with what they were given.
func (w *world) endLateJobs() string {
	if len(w.late) == 0 {
		return "no job hangs"
	}
	for _, job := range w.late {
		if w.gitlab.JobStatus(job) != "running" {
			continue
		}
		w.gitlab.CreateSecret(job, "production")
		w.gitlab.FinishJob(job, "failed")
		w.noteSecret("production", job)
	}
	w.late = nil
	return fmt.Sprintf("the late job of production writes token %d, and fails", w.written["production"].tokenID)
}

// noteSecret remembers what the Secret of an environment holds after a job.
func (w *world) noteSecret(environment string, job *gitlabtest.Job) {
	username, password, ok := w.gitlab.ClusterSecret(w.project, environment)
	if !ok || job.Variables[access.PasswordVariable] != password {
		delete(w.written, environment) // its own token, or nothing
		return
	}
	secret := jobSecret{username: username, password: password}
	for _, t := range w.gitlab.Tokens(w.project) {
		if t.Secret == password && t.Username == username && !w.others[t.ID] {
			secret.tokenID = t.ID
		}
	}
	secret.published = slices.Contains(w.givenOut, password)
	w.written[environment] = secret
}

// noteVariables remembers what jobs can have got from the variables that the provider keeps.
func (w *world) noteVariables() {
	for _, v := range w.gitlab.Variables(w.project) {
		if v.Key == access.PasswordVariable && v.Scope == access.DefaultScope && !slices.Contains(w.givenOut, v.Value) {
			w.givenOut = append(w.givenOut, v.Value)
		}
	}
}

// cleanUp is what people do so that a publication can begin or reach every job.
func (w *world) cleanUp(everything bool) {
	for _, v := range w.gitlab.Variables(w.project) {
		ours := v.Key == access.UserVariable || v.Key == access.PasswordVariable
		if ours && (v.Scope != access.DefaultScope || everything && strings.Contains(v.Value, theirMark)) {
			w.gitlab.DeleteVariable(w.project, v.Key, v.Scope)
		}
	}
	if everything {
		// A username alone, whose password somebody else had.
		var keys []string
		for _, v := range w.gitlab.Variables(w.project) {
			if v.Key == access.UserVariable || v.Key == access.PasswordVariable {
				keys = append(keys, v.Key)
			}
		}
		if len(keys) == 1 {
			w.gitlab.DeleteVariable(w.project, keys[0], access.DefaultScope)
		}
	}
}
