package examples_test

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// stateServer keeps and locks a state as GitLab does, for Terraform's http backend.
type stateServer struct {
	mu           sync.Mutex
	state, lock  []byte
	locked, held int
	// developer may read, maintainer may also lock and write.
	developer, maintainer string
}

func newStateServer(t *testing.T) (s *stateServer, url string) {
	t.Helper()
	s = &stateServer{developer: "job-token"}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL
}

// ServeHTTP implements http.Handler.
func (s *stateServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, password, _ := r.BasicAuth()
	is := func(token string) bool { return subtle.ConstantTimeCompare([]byte(password), []byte(token)) == 1 }
	switch {
	case !is(s.developer) && !is(s.maintainer):
		w.WriteHeader(http.StatusUnauthorized)
		return
	case !is(s.maintainer) && r.Method != http.MethodGet:
		w.WriteHeader(http.StatusForbidden)
		return
	}
	body, _ := io.ReadAll(r.Body)
	var lock struct{ ID string }
	_ = json.Unmarshal(s.lock, &lock)
	switch isLock := strings.HasSuffix(r.URL.Path, "/lock"); {
	case isLock && r.Method == http.MethodPost && s.lock != nil:
		s.held++
		w.WriteHeader(http.StatusLocked)
		_, _ = w.Write(s.lock)
	case isLock && r.Method == http.MethodPost:
		s.lock = body
		s.locked++
	case isLock && r.Method == http.MethodDelete:
		s.lock = nil
	case r.Method == http.MethodGet && s.state == nil:
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodGet:
		_, _ = w.Write(s.state)
	case r.Method == http.MethodPost && s.lock != nil && r.URL.Query().Get("ID") != lock.ID:
		w.WriteHeader(http.StatusConflict)
	case r.Method == http.MethodPost:
		s.state = body
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// pipeline is what is needed of a .gitlab-ci.yml.
type pipeline struct {
	Stages    []string          `yaml:"stages"`
	Variables map[string]string `yaml:"variables"`
	Plan      job               `yaml:"plan"`
	Template  job               `yaml:".apply"`
	Apply     job               `yaml:"apply"`
	Revoke    job               `yaml:"apply-revocations"`
	Replace   job               `yaml:"replace"`
	Alert     job               `yaml:"alert"`
}

type job struct {
	Extends       string            `yaml:"extends"`
	Stage         string            `yaml:"stage"`
	Before        []string          `yaml:"before_script"`
	Script        []string          `yaml:"script"`
	Variables     map[string]string `yaml:"variables"`
	ResourceGroup string            `yaml:"resource_group"`
	Environment   string            `yaml:"environment"`
	Rules         []struct{ When string }
	Artifacts     struct {
		Paths   []string          `yaml:"paths"`
		Reports map[string]string `yaml:"reports"`
	} `yaml:"artifacts"`
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(textOf(t, file)), into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// runner runs a pipeline's jobs as GitLab's would.
type runner struct {
	*testing.T

	pipeline pipeline
	dir, bin string
	env      []string
}

// run runs a job's script.
func (r *runner) run(j job, more ...string) (string, error) {
	r.Helper()
	script := slices.Concat(j.Before, j.Script)
	if j.Extends == ".apply" {
		script = slices.Concat(j.Before, r.pipeline.Template.Script)
	}
	variables := []string{}
	for name, value := range j.Variables {
		variables = append(variables, name+"="+value)
	}
	for name, value := range r.pipeline.Variables {
		variables = append(variables, name+"="+os.Expand(value, func(name string) string { return variable(name, slices.Concat(r.env, more)) }))
	}
	cmd := exec.CommandContext(r.Context(), "sh", "-eu", "-c", strings.Join(script, "\n"))
	cmd.Dir = r.dir
	cmd.Env = slices.Concat([]string{"PATH=" + r.bin + ":" + os.Getenv("PATH"), "HOME=" + r.dir, "CHECKPOINT_DISABLE=1"}, r.env, variables, more)
	out, err := cmd.CombinedOutput()
	return colour.ReplaceAllString(string(out), ""), err
}

var colour = regexp.MustCompile("\x1b\\[[0-9;]*m")

func variable(name string, env []string) string {
	for _, variable := range env {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value
		}
	}
	return ""
}

// commit commits what is in the working tree, and returns its name.
func (r *runner) commit(message string) string {
	r.Helper()
	r.git("add", "-A")
	r.git("commit", "--quiet", "--message", message)
	r.git("push", "--quiet", "origin", "HEAD:main")
	return strings.TrimSpace(r.git("rev-parse", "HEAD"))
}

func (r *runner) git(args ...string) string {
	r.Helper()
	cmd := exec.CommandContext(r.Context(), "git", append([]string{"-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false", "-c", "advice.detachedHead=false"}, args...)...)
	cmd.Dir = r.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (r *runner) put(name, text string) {
	r.Helper()
	path := filepath.Join(r.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		r.Fatal(err)
	}
}

// pipelineIn is the example pipeline in a repository, with the state in a server that
// locks it as GitLab does, and the configuration that it applies.
func pipelineIn(t *testing.T, w *world, env []string) (r *runner, state *stateServer, config string) {
	t.Helper()
	opa := os.Getenv("OPA")
	if opa == "" {
		t.Skip("no policy engine: make policy builds one")
	}
	for _, program := range []string{"git", "jq", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	state, url := newStateServer(t)
	planToken := w.CreateAccessToken(w.GroupMember(w.group, gitlabtest.Maintainer), "read_api")
	state.maintainer = strings.TrimPrefix(env[1], "GITLAB_TOKEN=")
	r = &runner{T: t, dir: t.TempDir(), bin: t.TempDir(), env: []string{
		"TF_CLI_CONFIG_FILE=" + house.configFile, "GITLAB_PLAN_TOKEN=" + planToken, "CI_JOB_TOKEN=" + state.developer,
		"CI_API_V4_URL=" + url + "/api/v4", "CI_PROJECT_ID=42", "CI_MERGE_REQUEST_LABELS=", "CI_DEFAULT_BRANCH=main",
	}}
	read(t, "pipelines/gitlab/.gitlab-ci.yml", &r.pipeline)
	for name, path := range map[string]string{"terraform": house.cli, "opa": opa} {
		if err := os.Symlink(path, filepath.Join(r.bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	origin := t.TempDir()
	r.git("init", "--quiet", "--bare", origin)
	r.git("init", "--quiet")
	r.git("remote", "add", "origin", origin)
	config = w.written(textOf(t, "pipelines/gitlab/main.tf"))
	r.put("main.tf", config)
	r.put("policy/registry_access.rego", textOf(t, "policy/registry_access.rego"))
	r.put(".gitignore", ".terraform*\nplan.*\nlabels.json\nreport.json\napproved.rego\n")
	return r, state, config
}
