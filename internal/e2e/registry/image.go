package registry

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// App builds an image that a kubelet can run: one static program that waits until
// it is told to end. No two are alike.
func App(ctx context.Context) (v1.Image, error) {
	folder, err := os.MkdirTemp("", "e2e-image")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	binary := filepath.Join(folder, "pause")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, //nolint:gosec // our own command
		"github.com/autodevops/terraform-provider-autodevops/internal/e2e/cmd/pause")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("build the app: %w\n%s", err, out)
	}
	program, err := os.ReadFile(binary) //nolint:gosec // just built
	if err != nil {
		return nil, err
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	err = w.WriteHeader(&tar.Header{Name: "pause", Mode: 0o755, Size: int64(len(program))})
	_, writeErr := w.Write(program)
	if err = errors.Join(err, writeErr, w.Close()); err != nil {
		return nil, err
	}
	content, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, content)
	if err != nil {
		return nil, err
	}
	return distinct(image)
}

// distinct makes an image that differs from the given one in nothing that matters.
func distinct(image v1.Image) (v1.Image, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Architecture, config.OS = runtime.GOARCH, "linux"
	config.Config.Entrypoint = []string{"/pause"}
	config.Config.Labels = map[string]string{"build": rand.Text()}
	return mutate.ConfigFile(image, config)
}

// Push pushes an image, as nobody has seen it before.
func (r *Registry) Push(ctx context.Context, to string, image v1.Image, username, password string) error {
	image, err := distinct(image)
	if err != nil {
		return err
	}
	return push(ctx, to, image, username, password)
}
