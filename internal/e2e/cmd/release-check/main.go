// Command release-check looks at a release before anybody else does: names and contents
// of the archives, checksums, the registry's manifest, bills of materials, the licenses
// of everything in the binaries, and whether a CLI installs the provider from it.
package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/terraform"
)

const name = "terraform-provider-autodevops"

// platforms are those that a release must have.
var platforms = []string{
	"darwin_amd64", "darwin_arm64", "freebsd_amd64", "freebsd_arm64", "linux_386", "linux_amd64", "linux_arm", "linux_arm64",
	"windows_386", "windows_amd64", "windows_arm64",
}

// release is a release in a folder.
type release struct {
	dist, version string
	sums          map[string]string
}

func main() {
	dist := flag.String("dist", "", "folder of the release")
	manifest := flag.String("manifest", "", "the registry manifest as the repository has it")
	again := flag.String("again", "", "this platform's binary, built once more elsewhere")
	flag.Parse()
	if err := run(*dist, *manifest, *again); err != nil {
		fmt.Fprintln(os.Stderr, "release-check:", err)
		os.Exit(1)
	}
}

func run(dist, manifest, again string) error {
	dist, err := filepath.Abs(dist)
	if err != nil {
		return err
	}
	r := release{dist: dist}
	var metadata struct{ Version string }
	if err := r.readJSON("metadata.json", &metadata); err != nil {
		return err
	}
	r.version = metadata.Version
	if err := r.readSums(); err != nil {
		return err
	}
	for _, check := range []func() error{
		r.archives, func() error { return r.manifest(manifest) }, r.bills, r.licensed, r.installs, func() error { return r.reproduced(again) },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (r release) path(name string) string { return filepath.Join(r.dist, name) }

// file is a name of the release, like the archive of a platform.
func (r release) file(suffix string) string { return name + "_" + r.version + "_" + suffix }

func (r release) readJSON(name string, into any) error {
	text, err := os.ReadFile(r.path(name))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// readSums reads the checksums, and compares each with its file.
func (r *release) readSums() error {
	text, err := os.ReadFile(r.path(r.file("SHA256SUMS")))
	if err != nil {
		return err
	}
	r.sums = map[string]string{}
	for line := range strings.Lines(string(text)) {
		sum, file, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if !ok {
			return fmt.Errorf("the checksums have the line %q", line)
		}
		content, err := os.ReadFile(r.path(file))
		if file == r.file("manifest.json") {
			content, err = os.ReadFile(filepath.Join(r.dist, "..", "terraform-registry-manifest.json"))
		}
		if err != nil {
			return err
		}
		if actual := sha256.Sum256(content); hex.EncodeToString(actual[:]) != sum {
			return fmt.Errorf("%s does not have its checksum", file)
		}
		r.sums[file] = sum
	}
	fmt.Printf("checksums: %d files\n", len(r.sums))
	return nil
}

func (r release) archives() error {
	var size uint64
	for _, platform := range platforms {
		archive := r.file(platform + ".zip")
		if r.sums[archive] == "" {
			return fmt.Errorf("the checksums lack %s", archive)
		}
		files, err := contents(r.path(archive))
		if err != nil {
			return fmt.Errorf("%s: %w", archive, err)
		}
		binary := r.program(platform)
		if want := []string{"LICENSE", binary}; !slices.Equal(slices.Sorted(maps.Keys(files)), want) {
			return fmt.Errorf("%s holds %v, and should hold %v", archive, slices.Sorted(maps.Keys(files)), want)
		}
		program := files[binary]
		if program.Mode()&0o111 == 0 {
			return fmt.Errorf("%s: %s cannot be executed", archive, binary)
		}
		size = max(size, program.UncompressedSize64)
	}
	zips, err := filepath.Glob(r.path("*.zip"))
	if err != nil || len(zips) != len(platforms) {
		return fmt.Errorf("there are %d archives for %d platforms: %w", len(zips), len(platforms), err)
	}
	fmt.Printf("archives: %d platforms, the largest binary %.1f MB\n", len(platforms), float64(size)/1e6)
	return nil
}

func contents(archive string) (map[string]*zip.File, error) {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return nil, err
	}
	defer func() { _ = z.Close() }()
	files := map[string]*zip.File{}
	for _, f := range z.File {
		files[f.Name] = f
	}
	return files, nil
}

// manifest checks that the registry learns the protocol that the provider speaks.
func (r release) manifest(path string) error {
	if r.sums[r.file("manifest.json")] == "" {
		return errors.New("the checksums lack the registry's manifest")
	}
	text, err := os.ReadFile(path) //nolint:gosec // a file of the repository
	if err != nil {
		return err
	}
	var manifest struct {
		Version  int
		Metadata struct {
			Protocols []string `json:"protocol_versions"`
		}
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		return err
	}
	if manifest.Version != 1 || !slices.Equal(manifest.Metadata.Protocols, []string{"6.0"}) {
		return fmt.Errorf("the manifest says %s", text)
	}
	fmt.Println("manifest: protocol 6.0")
	return nil
}

// bills checks that each platform has a bill of materials.
func (r release) bills() error {
	for _, platform := range platforms {
		var bill struct {
			Format     string `json:"bomFormat"`
			Components []struct{ Name string }
		}
		if err := r.readJSON(r.file(platform+".cdx.json"), &bill); err != nil {
			return err
		}
		if bill.Format != "CycloneDX" || len(bill.Components) == 0 {
			return fmt.Errorf("the bill of %s is %q with %d modules", platform, bill.Format, len(bill.Components))
		}
	}
	fmt.Printf("bills of materials: %d\n", len(platforms))
	return nil
}

// installs lets a CLI install this platform's archive, as from a registry.
func (r release) installs() error {
	ctx := context.Background()
	platform := runtime.GOOS + "_" + runtime.GOARCH
	folder, err := os.MkdirTemp("", "release")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	configFile, err := terraform.MirrorArchive(folder, "autodevops/autodevops", r.path(r.file(platform+".zip")))
	if err != nil {
		return err
	}
	path, err := terraform.Find()
	if err != nil {
		return err
	}
	cli, err := terraform.NewInstalled(path, configFile)
	if err != nil {
		return err
	}
	defer cli.Close()
	if err = cli.Write(fmt.Sprintf("terraform {\n  required_providers {\n    autodevops = { source = \"autodevops/autodevops\", version = %q }\n  }\n}\n", r.version)); err != nil {
		return err
	}
	if _, err = cli.Run(ctx, "init", "-input=false"); err != nil {
		return err
	}
	out, err := cli.Run(ctx, "providers", "schema", "-json")
	if err != nil {
		return err
	}
	if !strings.Contains(out, `"autodevops_registry_access"`) {
		return errors.New("the installed provider has no schema")
	}
	fmt.Printf("installs: %s from its archive\n", platform)
	return nil
}

// reproduced compares this platform's binary with one that was built elsewhere.
func (r release) reproduced(again string) error {
	if again == "" {
		return nil
	}
	other, err := os.ReadFile(again) //nolint:gosec // a build of our own
	if err != nil {
		return err
	}
	released, err := r.binary(runtime.GOOS + "_" + runtime.GOARCH)
	if err != nil {
		return err
	}
	if !bytes.Equal(released, other) {
		return errors.New("another build of the same commit has other bytes")
	}
	fmt.Println("reproducible: another build, in another folder, has the same bytes")
	return nil
}
