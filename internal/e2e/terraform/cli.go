// Package terraform runs a real Terraform or OpenTofu CLI against a provider that
// is served in this process, so that tests and the demo can move its clock.
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
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"

	"github.com/autodevops/terraform-provider-autodevops/internal/provider"
)

// Address of the provider, with a host because CLIs have different default ones.
const Address = "registry.terraform.io/autodevops/autodevops"

// CLI is a CLI with a folder to work in.
type CLI struct {
	// Path of the binary.
	Path string
	dir  string
	now  func() time.Time
	env  []string
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

// New prepares a folder of its own. now is the provider's clock, env are extra
// variables for the CLI and, in its reading, the provider.
func New(path string, now func() time.Time, env ...string) (*CLI, error) {
	// A provider that is attached to logs everything into this process unless told not to.
	for _, name := range []string{"TF_LOG_SDK", "TF_LOG_PROVIDER", "TF_LOG_PROVIDER_AUTODEVOPS"} {
		if os.Getenv(name) == "" {
			if err := os.Setenv(name, "off"); err != nil {
				return nil, err
			}
		}
	}
	dir, err := os.MkdirTemp("", "autodevops-demo")
	return &CLI{Path: path, dir: dir, now: now, env: env}, err
}

// Close removes the folder.
func (c *CLI) Close() { _ = os.RemoveAll(c.dir) }

// Write writes the configuration.
func (c *CLI) Write(config string) error {
	return os.WriteFile(filepath.Join(c.dir, "main.tf"), []byte(config), 0o600)
}

// Run runs one command with a fresh provider, and returns what it printed on its
// standard output. The error holds what it printed on the other.
func (c *CLI) Run(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reattach, stopped, err := c.serve(ctx)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, c.Path, args...) //nolint:gosec // the CLI that the user chose
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "TF_REATTACH_PROVIDERS="+reattach, "TF_CLI_CONFIG_FILE="+os.DevNull, "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1")
	cmd.Env = append(cmd.Env, c.env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", filepath.Base(c.Path), strings.Join(args, " "), err, stderr.String())
	}
	cancel()
	<-stopped
	return stdout.String(), err
}

// serve starts the provider and returns what the CLI needs to attach to it.
func (c *CLI) serve(ctx context.Context) (reattach string, stopped <-chan struct{}, err error) {
	attach := make(chan *plugin.ReattachConfig, 1)
	closed := make(chan struct{})
	failed := make(chan error, 1)
	getenv := environment(c.env)
	server := providerserver.NewProtocol6(provider.New("demo", provider.WithClock(c.now), provider.WithEnvironment(getenv))())
	go func() {
		err := tf6server.Serve(Address, func() tfprotov6.ProviderServer { return server() },
			tf6server.WithDebug(ctx, attach, closed),
			tf6server.WithGoPluginLogger(hclog.NewNullLogger()),
			tf6server.WithoutLogStderrOverride(),
		)
		failed <- err
	}()
	select {
	case config := <-attach:
		encoded, err := json.Marshal(map[string]any{Address: map[string]any{
			"Protocol": string(config.Protocol), "ProtocolVersion": config.ProtocolVersion, "Pid": config.Pid, "Test": config.Test,
			"Addr": map[string]string{"Network": config.Addr.Network(), "String": config.Addr.String()},
		}})
		return string(encoded), closed, err
	case err := <-failed:
		return "", nil, fmt.Errorf("serve the provider: %w", err)
	case <-ctx.Done():
		return "", nil, ctx.Err()
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
