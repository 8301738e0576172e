package gitlabtest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// SetJobsGetNewest makes jobs get the newest of several equals instead of the oldest:
// of several tokens of GitLab's own name, and of several variables whose scopes match
// equally well. GitLab does not order them, so both are right.
func (s *Server) SetJobsGetNewest(newest bool) {
	s.edit(func() { s.world.jobsGetNewest = newest })
}

// jobVariables puts the job's variables together; the later one of a name wins
// (app/models/ci/build.rb, lib/gitlab/ci/variables/builder.rb).
func (s *Server) jobVariables(j *Job) map[string]string {
	p := j.project
	v := s.persistedVariables(j)
	if t := s.tokenForJobs(p); t != nil {
		v["CI_DEPLOY_USER"] = t.username
		v["CI_DEPLOY_PASSWORD"] = t.secret
	}
	maps.Copy(v, s.predefinedVariables(j))
	maps.Copy(v, j.options.YAML)
	maps.Copy(v, j.options.Dotenv)
	// Variables of the instance have no scope.
	s.copyRows(v, j, s.world.variables, false)
	for _, g := range p.groupsFromRoot() {
		s.copyRows(v, j, g.variables, true)
	}
	s.copyRows(v, j, p.variables, true)
	maps.Copy(v, j.options.Pipeline)
	maps.Copy(v, j.options.Schedule)
	maps.Copy(v, j.options.Manual)
	if j.environment != nil {
		v["CI_ENVIRONMENT_SLUG"] = j.environment.slug
	}
	maps.Copy(v, j.options.Policy)
	return v
}

func (s *Server) persistedVariables(j *Job) map[string]string {
	return map[string]string{
		"CI_PIPELINE_ID": fmt.Sprint(j.pipeline.id), "CI_JOB_ID": fmt.Sprint(j.ID), "CI_JOB_TOKEN": j.Token,
		"CI_REGISTRY_USER": "gitlab-ci-token", "CI_REGISTRY_PASSWORD": j.Token,
	}
}

func (s *Server) predefinedVariables(j *Job) map[string]string {
	p := j.project
	v := map[string]string{
		"CI_JOB_NAME": j.Name, "CI_COMMIT_REF_NAME": j.pipeline.ref, "CI_COMMIT_SHA": j.pipeline.sha,
		"CI_PROJECT_ID": fmt.Sprint(p.ID), "CI_PROJECT_PATH": p.path, "CI_PROJECT_PATH_SLUG": p.slug(), "CI_PROJECT_VISIBILITY": p.visibility,
	}
	if s.world.registryEnabled && p.registryLevel != "disabled" {
		v["CI_REGISTRY"] = s.options.registryHost
	}
	if j.Environment != "" {
		v["CI_ENVIRONMENT_NAME"] = j.Environment
	}
	return v
}

// groupsFromRoot are the groups above the project. The closest is last, so that it wins
// whatever the scopes are (lib/gitlab/ci/variables/builder/group.rb).
func (p *Project) groupsFromRoot() []*Group {
	var groups []*Group
	for g := p.group; g != nil; g = g.parent {
		groups = append(groups, g)
	}
	slices.Reverse(groups)
	return groups
}

// copyRows adds the rows of one owner that reach the job.
func (s *Server) copyRows(v map[string]string, j *Job, rows []*variableRow, scoped bool) {
	best := map[string]int{}
	rows = slices.Clone(rows)
	if s.world.jobsGetNewest {
		slices.Reverse(rows)
	}
	for _, row := range rows {
		rank := exactScope
		if scoped {
			rank = scopeRank(row.Scope, j.Environment)
		}
		if rank <= best[row.Key] || row.Protected && !j.options.Protected {
			continue
		}
		best[row.Key] = rank
		v[row.Key] = row.inJob(v)
	}
}

// inJob is the value that the job sees: the path of a file, and text whose references
// are resolved unless it is raw.
func (v *variableRow) inJob(known map[string]string) string {
	if v.Type == "file" {
		return "/builds/project.tmp/" + v.Key
	}
	if v.Raw {
		return v.Value
	}
	return reference.ReplaceAllStringFunc(v.Value, func(ref string) string { return known[strings.Trim(ref, "${}")] })
}

var reference = regexp.MustCompile(`\$(\w+|\{\w+\})`)

// How well a scope fits; the zero value does not.
const (
	_ = iota
	anyScope
	globScope
	exactScope
)

// scopeRank: an exact scope beats a pattern, a pattern beats "*". A job without an
// environment gets only "*" (app/models/concerns/has_environment_scope.rb).
func scopeRank(scope, environment string) int {
	switch {
	case scope == "*":
		return anyScope
	case environment == "":
		return 0
	case scope == environment:
		return exactScope
	case matchesScope(scope, environment):
		return globScope
	}
	return 0
}

// matchesScope: the star is the only wildcard, and stands for slashes too.
func matchesScope(scope, environment string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(scope), `\*`, ".*")
	return regexp.MustCompile(`(?s)\A` + pattern + `\z`).MatchString(environment)
}

// tokenForJobs: any active token of the name, the project's before its own group's.
func (s *Server) tokenForJobs(p *Project) *deployToken {
	tokens := slices.Clone(s.world.tokens)
	if s.world.jobsGetNewest {
		slices.Reverse(tokens)
	}
	holders := []func(*deployToken) bool{func(t *deployToken) bool { return t.project == p }}
	if s.world.since(givesGroupTokens) {
		holders = append(holders, func(t *deployToken) bool { return t.group != nil && t.group == p.group })
	}
	for _, belongs := range holders {
		for _, t := range tokens {
			if belongs(t) && t.name == automaticTokenName && t.active(s.Clock.Now()) {
				return t
			}
		}
	}
	return nil
}
