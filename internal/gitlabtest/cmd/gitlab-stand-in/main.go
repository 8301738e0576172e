// Command gitlab-stand-in runs the GitLab stand-in as a process of its own, on a
// loopback address. It reads its world as JSON from a file or standard input,
// prints where it listens and with an administrator's token, and stops when
// interrupted, or after a while. Its clock, which the control endpoints move, is
// GitLab's alone, and every answer carries it. The provider decides by that clock, and
// refuses to decide where its own machine's differs by more than a day. To try what happens
// in a year, use the provider of internal/e2e/cmd/provider-on-a-clock with the CLI.
// The control endpoints are listed at gitlabtest.WithControl.
//
//	echo '{"projects":[{"path":"acme/shop","auto_devops":true}]}' | gitlab-stand-in -world -
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// world is the input.
type world struct {
	// Now is the clock's time; the start of the process if unset. The clock stands
	// still until it is moved.
	Now time.Time `json:"now"`
	// Version is GitLab's, which decides what the server knows; the newest if unset.
	Version string `json:"version"`
	Groups  []struct {
		Path       string `json:"path"`
		Visibility string `json:"visibility"`
		AutoDevOps *bool  `json:"auto_devops"`
	} `json:"groups"`
	Projects []struct {
		Path                string `json:"path"`
		Visibility          string `json:"visibility"`
		RegistryAccessLevel string `json:"container_registry_access_level"`
		AutoDevOps          *bool  `json:"auto_devops"`
		// Variables have the fields of gitlabtest.Variable: {"key": "A", "value": "b", "scope": "*"}.
		Variables []gitlabtest.Variable `json:"variables"`
	} `json:"projects"`
}

// announcement is the output, one line of JSON.
type announcement struct {
	URL      string           `json:"url"`
	Token    string           `json:"token"`
	Projects map[string]int64 `json:"projects"`
	PID      int              `json:"pid"`
}

func main() {
	address := flag.String("listen", "127.0.0.1:0", "loopback address to listen on")
	file := flag.String("world", "", "file with the world as JSON; - for standard input")
	registry := flag.String("registry", "registry.gitlab.example.com", "host[:port] of the container registry")
	external := flag.String("url", "https://gitlab.example.com", "URL that GitLab believes it has, which is in its links; self for the one that it listens on")
	lifetime := flag.Duration("for", time.Hour, "stop after this time")
	flag.Parse()

	if err := run(*address, *file, *registry, *external, *lifetime); err != nil {
		fmt.Fprintln(os.Stderr, "gitlab-stand-in:", err)
		os.Exit(1)
	}
}

func run(address, file, registry, external string, lifetime time.Duration) error {
	w, err := read(file)
	if err != nil {
		return err
	}
	if w.Now.IsZero() {
		w.Now = time.Now()
	}
	server, err := gitlabtest.Start(gitlabtest.WithAddress(address), gitlabtest.WithRegistryHost(registry),
		gitlabtest.WithClock(gitlabtest.NewClock(w.Now)), gitlabtest.WithControl())
	if err != nil {
		return err
	}
	defer server.Close()

	if external == "self" {
		external = server.URL
	}
	server.SetExternalURL(external)
	if w.Version != "" {
		server.SetVersion(w.Version)
	}
	// An administrator reaches every project, also those that come later.
	out := announcement{URL: server.URL, PID: os.Getpid(), Projects: map[string]int64{}}
	out.Token = server.CreateAccessToken(server.CreateAdmin("root"), "api")
	for _, g := range w.Groups {
		server.CreateGroup(g.Path, gitlabtest.GroupOptions{Visibility: g.Visibility, AutoDevOps: g.AutoDevOps})
	}
	for _, p := range w.Projects {
		project := server.CreateProject(p.Path, gitlabtest.ProjectOptions{
			Visibility: p.Visibility, RegistryAccessLevel: p.RegistryAccessLevel, AutoDevOps: p.AutoDevOps,
		})
		for _, v := range p.Variables {
			server.SetVariable(project, v)
		}
		out.Projects[p.Path] = project.ID
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		return err
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	select {
	case <-ctx.Done():
	case <-time.After(lifetime):
	}
	return nil
}

func read(file string) (world, error) {
	var w world
	var input io.Reader
	switch file {
	case "":
		return w, nil
	case "-":
		input = os.Stdin
	default:
		f, err := os.Open(file) //nolint:gosec // the user names the file
		if err != nil {
			return w, err
		}
		defer func() { _ = f.Close() }()
		input = f
	}
	decoder := json.NewDecoder(input)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&w); err != nil && !errors.Is(err, io.EOF) {
		return w, fmt.Errorf("read the world: %w", err)
	}
	return w, nil
}
