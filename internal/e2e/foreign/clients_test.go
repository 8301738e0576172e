// Package foreign lets clients that were not written here use the GitLab stand-in and
// a registry beside it. What they must meet is what GitLab does, in one table, so that
// a difference between the stand-in and GitLab shows as a client that trips over it.
// `make foreign` installs the clients; without it the tests say which are missing.
package foreign_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// client is a client for GitLab's API, behind a driver that speaks JSON.
type client struct {
	name string
	// part is the variable with the folder or the program that .ci/foreign installs.
	part    string
	command func(part string) *exec.Cmd
	// typed clients read answers into structures: what an answer lacks, they show as
	// false, zero or empty.
	typed bool
	// silent404 clients throw the text of a 404 away.
	silent404 bool
	// cannot are the rows that the client has no way to ask, with the reason.
	cannot map[string]string
}

func clients() []client {
	const numbers = "asks for pages by number, which lists by keyset ignore"
	goClient := map[string]string{
		"expires_at is no date":                  "takes times only",
		"a token's id is no number":              "takes numbers only",
		"how long a deployment's job was queued": "has no field for it",
	}
	return []client{
		{name: "python-gitlab", part: "FOREIGN_DEBIAN", command: python, cannot: map[string]string{
			"version by nobody":           "makes a version of every refusal",
			"project scopes missing":      "checks required attributes itself",
			"name is missing":             "checks required attributes itself",
			"a variable's key is missing": "checks required attributes itself",
		}},
		{name: "gitbeaker", part: "FOREIGN_GITBEAKER", command: gitbeaker},
		{name: "ruby-gitlab", part: "FOREIGN_DEBIAN", command: ruby, cannot: map[string]string{
			"a variable's key is missing": "sends an empty key",
			"writes during maintenance":   "sends forms, which are redirected to a page",
		}},
		{name: "GitLab::API::v4", part: "FOREIGN_DEBIAN", command: perl, cannot: map[string]string{
			"projects by keyset":            numbers,
			"projects by keyset, downwards": numbers,
			"groups by keyset":              numbers,
		}},
		{name: "go-gitlab", part: "FOREIGN_GO_GITLAB", command: program, typed: true, silent404: true, cannot: goClient},
		{name: "client-go", part: "FOREIGN_CLIENT_GO", command: program, typed: true, silent404: true, cannot: goClient},
	}
}

// launch prepares a program that .ci/foreign installed.
func launch(program string, arguments ...string) *exec.Cmd {
	return exec.CommandContext(context.Background(), program, arguments...)
}

func program(part string) *exec.Cmd { return launch(part) }

func gitbeaker(part string) *exec.Cmd {
	return launch("node", driver("gitbeaker.mjs"), part)
}

// Debian's clients lie unpacked in a folder, not installed: each is told where.

func python(tree string) *exec.Cmd {
	c := launch("/usr/bin/python3", driver("python_gitlab.py"))
	c.Env = append(os.Environ(), "PYTHONPATH="+tree+"/usr/lib/python3/dist-packages")
	return c
}

func ruby(tree string) *exec.Cmd {
	c := launch(tree+"/usr/bin/ruby3.1", driver("ruby_gitlab.rb"))
	c.Env = append(os.Environ(), libraries(tree),
		"GEM_PATH="+tree+"/usr/share/rubygems-integration/all:"+tree+"/usr/share/rubygems-integration/3.1.0",
		"RUBYLIB="+strings.Join([]string{
			tree + "/usr/lib/ruby/vendor_ruby", tree + "/usr/lib/ruby/3.1.0", one(tree + "/usr/lib/*/ruby/3.1.0"), one(tree + "/usr/lib/*/ruby/vendor_ruby/3.1.0"),
		}, ":"))
	return c
}

func perl(tree string) *exec.Cmd {
	c := launch("/usr/bin/perl", driver("gitlab_api_v4.pl"))
	c.Env = append(os.Environ(), "PERL5LIB="+tree+"/usr/share/perl5:"+one(tree+"/usr/lib/*/perl5/5.*"))
	return c
}

func libraries(tree string) string { return "LD_LIBRARY_PATH=" + one(tree+"/usr/lib/*-linux-gnu*") }

// one is the path that matches, or nothing.
func one(pattern string) string {
	found, _ := filepath.Glob(pattern)
	return strings.Join(found, ":")
}

func driver(name string) string {
	path, _ := filepath.Abs(filepath.Join("drivers", name))
	return path
}

// answer is what the client made of GitLab's answer.
type answer struct {
	Value json.RawMessage `json:"value"`
	// Status and Message are those of a refusal.
	Status  int    `json:"status"`
	Message string `json:"message"`
	// Failed is anything else that went wrong, in the client's own words.
	Failed string `json:"failed"`
}

// session is a running driver.
type session struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

// patience is how long an answer may take. A client that never stops asking for pages is
// ended after it.
const patience = time.Minute

func start(t *testing.T, c client) *session {
	t.Helper()
	part := os.Getenv(c.part)
	if part == "" {
		t.Skipf("%s is not installed: %s is unset; make foreign installs it", c.name, c.part)
	}
	command := c.command(part)
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatalf("start %s: %v", c.name, err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := command.Wait(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	})
	return &session{command: command, in: in, out: bufio.NewReaderSize(out, 1<<20)}
}

func (s *session) ask(t *testing.T, request map[string]any) answer {
	t.Helper()
	if err := json.NewEncoder(s.in).Encode(request); err != nil {
		t.Fatal(err)
	}
	deadline := time.AfterFunc(patience, func() { _ = s.command.Process.Kill() })
	line, err := s.out.ReadBytes('\n')
	deadline.Stop()
	if err != nil {
		t.Fatalf("the driver ended: %v", err)
	}
	var got answer
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatalf("the driver says %q: %v", line, err)
	}
	return got
}
