package main

import (
	"archive/zip"
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/licenseclassifier/v2/assets"
)

// licenses are those that a program under the MPL-2.0 may be built from.
var licenses = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0"}

// licensed checks the license of every module in every platform's binary.
func (r release) licensed() error {
	modules := map[string]bool{} // as module@version
	for _, platform := range platforms {
		binary, err := r.binary(platform)
		if err != nil {
			return err
		}
		info, err := buildinfo.Read(bytes.NewReader(binary))
		if err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
		for _, m := range info.Deps {
			modules[m.Path+"@"+m.Version] = true
		}
	}
	if len(modules) == 0 {
		return errors.New("the binaries name no modules")
	}
	classifier, err := assets.DefaultClassifier()
	if err != nil {
		return err
	}
	found := map[string]int{}
	for module := range modules {
		text, err := licenseText(module)
		if err != nil {
			return err
		}
		var names []string
		for _, match := range classifier.Match(text).Matches {
			if match.MatchType == "License" {
				names = append(names, match.Name)
			}
		}
		slices.Sort(names)
		names = slices.Compact(names)
		if len(names) == 0 || slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(licenses, name) }) {
			return fmt.Errorf("%s has the licenses %q; allowed are %q", module, names, licenses)
		}
		found[strings.Join(names, " and ")]++
	}
	fmt.Printf("licenses: %d modules", len(modules))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		fmt.Printf(", %d %s", found[name], name)
	}
	fmt.Println()
	return nil
}

// licenseText is what a module's license file says.
func licenseText(module string) ([]byte, error) {
	out, err := exec.CommandContext(context.Background(), "go", "mod", "download", "-json", module).Output() //nolint:gosec // a module of our own binaries
	if err != nil {
		return nil, fmt.Errorf("%s: %w", module, err)
	}
	var place struct{ Dir string }
	if err = json.Unmarshal(out, &place); err != nil {
		return nil, err
	}
	files, err := os.ReadDir(place.Dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		name := strings.ToUpper(f.Name())
		if strings.HasPrefix(name, "LICENSE") || strings.HasPrefix(name, "LICENCE") || strings.HasPrefix(name, "COPYING") {
			return os.ReadFile(filepath.Join(place.Dir, f.Name()))
		}
	}
	return nil, fmt.Errorf("%s has no license file", module)
}

// binary reads a platform's program out of its archive.
func (r release) binary(platform string) ([]byte, error) {
	archive, err := zip.OpenReader(r.path(r.file(platform + ".zip")))
	if err != nil {
		return nil, err
	}
	defer func() { _ = archive.Close() }()
	f, err := archive.Open(r.program(platform))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(f)
}

// program is the name of a platform's binary, which the registries prescribe.
func (r release) program(platform string) string {
	program := name + "_v" + r.version
	if strings.HasPrefix(platform, "windows") {
		program += ".exe"
	}
	return program
}
