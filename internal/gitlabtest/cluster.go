package gitlabtest

import "strings"

// clusterSecret is a Secret for the registry in the cluster.
type clusterSecret struct{ server, username, password string }

// secretKey is where the Secret of a project is: deployments of environments that share
// a namespace write the same one.
type secretKey struct{ namespace, name string }

// CreateSecret is the step create_secret of Auto DevOps' deployment: it replaces the
// project's Secret in the namespace, before anything else is deployed. The user and the
// password each fall back to the job's own. A public project without
// CI_DEPLOY_PASSWORD skips it, and leaves an older Secret alone (src/bin/auto-deploy of
// the auto-deploy image).
func (s *Server) CreateSecret(j *Job, namespace string) {
	s.edit(func() { s.createSecret(j, namespace) })
}

func (s *Server) createSecret(j *Job, namespace string) {
	username, password := registryCredentials(j.Variables)
	if username == "" && password == "" {
		return
	}
	s.world.cluster[secretKey{namespace, secretName(j.Variables["CI_PROJECT_PATH_SLUG"])}] = clusterSecret{
		server: j.Variables["CI_REGISTRY"], username: username, password: password,
	}
}

// registryCredentials are what a job with these variables writes; empty if it skips that.
func registryCredentials(v map[string]string) (username, password string) {
	if v["CI_PROJECT_VISIBILITY"] == "public" && v["CI_DEPLOY_PASSWORD"] == "" {
		return "", ""
	}
	return orElse(v["CI_DEPLOY_USER"], v["CI_REGISTRY_USER"]), orElse(v["CI_DEPLOY_PASSWORD"], v["CI_REGISTRY_PASSWORD"])
}

func secretName(slug string) string { return "gitlab-registry-" + slug }

// ClusterSecret is the project's Secret in the namespace, as the last deployment left it.
func (s *Server) ClusterSecret(p *Project, namespace string) (username, password string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret, ok := s.world.cluster[secretKey{namespace, secretName(p.slug())}]
	return secret.username, secret.password, ok
}

// ClusterPulls says whether a pod of the project in the namespace can pull now: with
// the Secret, or without credentials if there is none.
func (s *Server) ClusterPulls(p *Project, namespace string) bool {
	username, password, _ := s.ClusterSecret(p, namespace)
	return s.CanPull(p, username, password)
}

// Deploy deploys an environment as Auto DevOps does, at once and with success. The
// namespace has the environment's name. A job of an environment that Auto DevOps does
// not know is named "deploy", and writes the Secret as well.
func (s *Server) Deploy(p *Project, environment string) *Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.queueJob(p, JobOptions{Name: autoDevOpsJob(environment), Environment: environment})
	s.pickUp(j)
	s.createSecret(j, environment)
	s.finishJob(j, statusSuccess)
	return j
}

// autoDevOpsJob is the job that deploys the environment in Auto DevOps
// (lib/gitlab/ci/templates/Jobs/Deploy.gitlab-ci.yml and DAST-Default-Branch-Deploy).
func autoDevOpsJob(environment string) string {
	switch {
	case environment == "production", environment == "staging":
		return environment
	case strings.HasPrefix(environment, "review/"):
		return "review"
	case environment == "dast-default":
		return "dast_environment_deploy"
	}
	return "deploy"
}

const longestSlug = 63

// slug is CI_PROJECT_PATH_SLUG: lower case, everything but letters and digits is a dash.
func (p *Project) slug() string {
	slug := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(p.path))
	return strings.Trim(slug[:min(len(slug), longestSlug)], "-")
}
