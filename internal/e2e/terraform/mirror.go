package terraform

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Plugin is a provider's binary.
type Plugin struct {
	// Source is namespace/name, without a host.
	Source  string
	Version string
	Binary  string
}

// Mirror lays out a folder from which a CLI installs providers, and returns the CLI
// configuration that makes it do so and nothing else. With it, init, version
// constraints and the lock file work as they do with a registry.
func Mirror(folder string, plugins ...Plugin) (configFile string, err error) {
	// Each CLI has its own default host.
	for _, host := range []string{"registry.terraform.io", "registry.opentofu.org"} {
		for _, p := range plugins {
			dir := filepath.Join(folder, host, p.Source, p.Version, runtime.GOOS+"_"+runtime.GOARCH)
			if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a folder of public programs
				return "", err
			}
			name := "terraform-provider-" + filepath.Base(p.Source) + "_v" + p.Version
			if err := os.Symlink(p.Binary, filepath.Join(dir, name)); err != nil {
				return "", err
			}
		}
	}
	configFile = filepath.Join(folder, "cli.tfrc")
	return configFile, os.WriteFile(configFile, fmt.Appendf(nil, `provider_installation {
  filesystem_mirror {
    path = %q
  }
}
`, folder), 0o600)
}

// NewInstalled prepares a folder of its own for a CLI that installs providers by
// that CLI configuration, and starts them as the processes that they are.
func NewInstalled(path, configFile string, env ...string) (*CLI, error) {
	return newCLI(path, append([]string{"TF_CLI_CONFIG_FILE=" + configFile}, env...))
}
