package terraform

import (
	"errors"
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

// hosts are the default ones of the CLIs, each of which has its own.
var hosts = []string{"registry.terraform.io", "registry.opentofu.org"}

// Mirror lays out a folder from which a CLI installs providers, and returns the CLI
// configuration that makes it do so and nothing else. With it, init, version
// constraints and the lock file work as they do with a registry.
func Mirror(folder string, plugins ...Plugin) (configFile string, err error) {
	for _, host := range hosts {
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
	return installFrom(folder)
}

// NewInstalled prepares a folder of its own for a CLI that installs providers by
// that CLI configuration, and starts them as the processes that they are.
func NewInstalled(path, configFile string, env ...string) (*CLI, error) {
	return newCLI(path, append([]string{"TF_CLI_CONFIG_FILE=" + configFile}, env...))
}

// MirrorArchive is Mirror for one provider as it is released, in its archive.
func MirrorArchive(folder, source, archive string) (configFile string, err error) {
	for _, host := range hosts {
		dir := filepath.Join(folder, host, source)
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Symlink(archive, filepath.Join(dir, filepath.Base(archive)))); err != nil { //nolint:gosec // a folder of public programs
			return "", err
		}
	}
	return installFrom(folder)
}

// installFrom writes the CLI configuration for a folder of providers.
func installFrom(folder string) (configFile string, err error) {
	configFile = filepath.Join(folder, "cli.tfrc")
	return configFile, os.WriteFile(configFile, fmt.Appendf(nil, `provider_installation {
  filesystem_mirror {
    path = %q
  }
}
`, folder), 0o600)
}
