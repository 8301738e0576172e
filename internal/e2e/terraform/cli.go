// Package terraform runs a real Terraform or OpenTofu CLI: against a provider that
// is served in this process, so that the demo can move its clock, or against
// binaries, as users do.
package terraform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"

	"github.com/autodevops/terraform-provider-autodevops/internal/provider"
)

// CLI is a CLI with a folder to work in.
type CLI struct {
	// Path of the binary.
	Path string
	// Dir is where it works.
	Dir    string
	folder string
	env    []string
	// attached are the providers of this process, by their addresses; none if the CLI
	// starts providers itself.
	attached map[string]func() tfprotov6.ProviderServer
}

// Find returns the CLI: $TF_ACC_TERRAFORM_PATH, else terraform or tofu on PATH.
func Find() (string, error) {
	if path := os.Getenv("TF_ACC_TERRAFORM_PATH"); path != "" {
		return path, nil
	}
	for _, name := range []string{"terraform", "tofu"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no terraform and no tofu on PATH, and TF_ACC_TERRAFORM_PATH is not set")
}

// New prepares a folder of its own for a CLI that attaches to a provider in this
// process. now is the provider's clock, env are extra variables for the CLI and, in
// its reading, the provider.
func New(path string, now func() time.Time, env ...string) (*CLI, error) {
	// A provider that is attached to logs everything into this process unless told not to.
	for _, name := range []string{"TF_LOG_SDK", "TF_LOG_PROVIDER", "TF_LOG_PROVIDER_AUTODEVOPS"} {
		if os.Getenv(name) == "" {
			if err := os.Setenv(name, "off"); err != nil {
				return nil, err
			}
		}
	}
	c, err := newCLI(path, append([]string{"TF_CLI_CONFIG_FILE=" + os.DevNull}, env...))
	if err != nil {
		return nil, err
	}
	c.Attach(provider.Address, func() tfprotov6.ProviderServer {
		return provider.NewServer(provider.New("demo", provider.WithClock(now), provider.WithEnvironment(environment(env)))())
	})
	return c, nil
}

// Attach adds a provider that is served in this process, anew for each command.
func (c *CLI) Attach(address string, server func() tfprotov6.ProviderServer) {
	if c.attached == nil {
		c.attached = map[string]func() tfprotov6.ProviderServer{}
	}
	c.attached[address] = server
}

func newCLI(path string, env []string) (*CLI, error) {
	dir, err := os.MkdirTemp("", "cli")
	if err != nil {
		return nil, err
	}
	// Killed providers leave their sockets behind. A socket's name must be short.
	tmp := filepath.Join(dir, "t")
	c := &CLI{Path: path, Dir: filepath.Join(dir, "work"), folder: dir, env: append([]string{"CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1", "TMPDIR=" + tmp}, env...)}
	return c, errors.Join(os.Mkdir(tmp, 0o700), os.Mkdir(c.Dir, 0o700))
}

// Close removes the folder.
func (c *CLI) Close() { _ = os.RemoveAll(c.folder) }

// Write writes the configuration.
func (c *CLI) Write(config string) error {
	return os.WriteFile(filepath.Join(c.Dir, "main.tf"), []byte(config), 0o600)
}

// Run runs one command, and returns what it printed on its standard output. The
// error holds what it printed on the other.
func (c *CLI) Run(ctx context.Context, args ...string) (string, error) {
	run, err := c.Start(ctx, args...)
	if err != nil {
		return "", err
	}
	return run.Wait()
}

// Running is a command that runs.
type Running struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	release        func()
}

// Start starts one command, with fresh providers. Whoever starts it waits for it.
func (c *CLI) Start(ctx context.Context, args ...string) (*Running, error) {
	ctx, cancel := context.WithCancel(ctx)
	env := append(surroundings(), c.env...)
	release := cancel
	if len(c.attached) > 0 {
		reattach, stopped, err := serveAll(ctx, c.attached)
		release = func() { cancel(); stopped() }
		if err != nil {
			release()
			return nil, err
		}
		env = append(env, "TF_REATTACH_PROVIDERS="+reattach)
	}
	r := &Running{cmd: exec.CommandContext(ctx, c.Path, args...), release: release} //nolint:gosec // the CLI that the user chose
	r.cmd.Dir, r.cmd.Env, r.cmd.Stdout, r.cmd.Stderr = c.Dir, env, &r.stdout, &r.stderr
	// A killed CLI leaves providers behind, which hold its output open.
	r.cmd.WaitDelay = time.Second
	if err := r.cmd.Start(); err != nil {
		release()
		return nil, err
	}
	return r, nil
}

// surroundings is this process's environment without what the user has set for the
// CLI's own work.
func surroundings() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return strings.HasPrefix(name, "TF_CLI_ARGS") || strings.HasPrefix(name, "TF_VAR_") ||
			slices.Contains([]string{"TF_PLUGIN_CACHE_DIR", "TF_WORKSPACE", "TF_DATA_DIR"}, name)
	})
}

// CPU is what the CLI and the providers that it has started have used, after Wait.
func (r *Running) CPU() time.Duration {
	if r.cmd.ProcessState == nil {
		return 0
	}
	return r.cmd.ProcessState.UserTime() + r.cmd.ProcessState.SystemTime()
}

// Kill ends the CLI at once, and nothing that it has started.
func (r *Running) Kill() { _ = r.cmd.Process.Kill() }

// Wait waits for the command's end, and returns what Run returns.
func (r *Running) Wait() (string, error) {
	defer r.release()
	err := r.cmd.Wait()
	if err != nil {
		args := strings.Join(r.cmd.Args[1:], " ")
		err = fmt.Errorf("%s %s: %w\n%s", filepath.Base(r.cmd.Path), args, err, r.stderr.String())
	}
	return r.stdout.String(), err
}

// Stderr is what the command has printed on its standard error, once it has ended.
func (r *Running) Stderr() string { return r.stderr.String() }

// ExitCode is the command's exit code, once it has ended; -1 if it was killed.
func (r *Running) ExitCode() int { return r.cmd.ProcessState.ExitCode() }

// serveAll starts providers and returns what the CLI needs to attach to them. stopped waits
// for their end, once the context has ended.
func serveAll(ctx context.Context, servers map[string]func() tfprotov6.ProviderServer) (reattach string, stopped func(), err error) {
	configs := map[string]any{}
	var closed []<-chan struct{}
	stopped = func() {
		for _, end := range closed {
			<-end
		}
	}
	for address, server := range servers {
		config, end, failure := serve(ctx, address, server())
		if failure != nil {
			return "", stopped, failure
		}
		closed = append(closed, end)
		configs[address] = map[string]any{
			"Protocol": string(config.Protocol), "ProtocolVersion": config.ProtocolVersion, "Pid": config.Pid, "Test": config.Test,
			"Addr": map[string]string{"Network": config.Addr.Network(), "String": config.Addr.String()},
		}
	}
	encoded, err := json.Marshal(configs)
	return string(encoded), stopped, err
}

func serve(ctx context.Context, address string, server tfprotov6.ProviderServer) (*plugin.ReattachConfig, <-chan struct{}, error) {
	attach := make(chan *plugin.ReattachConfig, 1)
	closed := make(chan struct{})
	failed := make(chan error, 1)
	go func() {
		failed <- tf6server.Serve(address, func() tfprotov6.ProviderServer { return server },
			tf6server.WithDebug(ctx, attach, closed),
			tf6server.WithGoPluginLogger(hclog.NewNullLogger()),
			tf6server.WithoutLogStderrOverride(),
		)
	}()
	select {
	case config := <-attach:
		return config, closed, nil
	case err := <-failed:
		return nil, nil, fmt.Errorf("serve the provider %s: %w", address, err)
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

func environment(env []string) func(string) string {
	return func(name string) string {
		for _, variable := range env {
			if value, ok := strings.CutPrefix(variable, name+"="); ok {
				return value
			}
		}
		return ""
	}
}
