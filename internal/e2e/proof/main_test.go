//go:build linux

// Package proof_test keeps the promise in a cluster: no pull ever fails because of a
// rotation. See ../README.md.
package proof_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/cluster"
	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/registry"
	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/terraform"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// house is what all scenarios share.
var house struct {
	cluster *cluster.Cluster
	// pods says that there is a node, so that pods run.
	pods bool
	app  v1.Image
	cli  string
	// kubectl is what deploy jobs use.
	kubectl, kubectlCache string
	// released installs the provider as it is released, clocked one that reads its time from a file.
	released, clocked string
}

func TestMain(m *testing.M) {
	cluster.BecomeNode()
	if os.Getenv("E2E_ETCD") == "" {
		fmt.Println("left out: the proof in a cluster; make e2e runs it")
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "e2e-proof")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer func() { _ = os.RemoveAll(folder) }()
	begun := time.Now()
	closeHouse, err := open(folder)
	defer closeHouse()
	if err != nil {
		fmt.Println("the house does not open:", err)
		return 1
	}
	fmt.Printf("the house is open after %s: Kubernetes %s\n", time.Since(begun).Round(100*time.Millisecond), house.cluster.Version())
	return m.Run()
}

// open starts what all scenarios share.
func open(folder string) (closeHouse func(), err error) {
	var closers []func()
	closeHouse = func() {
		for _, closer := range slices.Backward(closers) {
			closer()
		}
	}
	ctx := context.Background()
	if house.cli, err = terraform.Find(); err != nil {
		return closeHouse, err
	}
	house.kubectl, house.kubectlCache = os.Getenv("E2E_KUBECTL"), filepath.Join(folder, "kubectl")
	if err = install(ctx, folder); err != nil {
		return closeHouse, err
	}
	if house.app, err = registry.App(ctx); err != nil {
		return closeHouse, err
	}
	parts := cluster.PartsFromEnvironment()
	if house.cluster, err = cluster.Start(ctx, parts); err != nil {
		return closeHouse, err
	}
	closers = append(closers, house.cluster.Close)

	// The node needs an image that can be pulled by anybody.
	gitlab, err := gitlabtest.Start()
	if err != nil {
		return closeHouse, err
	}
	closers = append([]func(){gitlab.Close}, closers...)
	images, err := registry.Start(ctx, gitlab)
	if err != nil {
		return closeHouse, err
	}
	closers = append([]func(){images.Close}, closers...)
	project := gitlab.CreateProject("lab/pause", gitlabtest.ProjectOptions{Visibility: "public"})
	if err = images.Push(ctx, images.Image("lab/pause"), house.app, "gitlab-ci-token", gitlab.StartJob(project).Token); err != nil {
		return closeHouse, err
	}
	err = house.cluster.StartNode(ctx, parts, images.Image("lab/pause"))
	if obstacle, ok := errors.AsType[*cluster.ObstacleError](err); ok {
		fmt.Println("LEFT OUT: pods, because", obstacle.Why+". The kubelet's own code chooses credentials instead, and a registry client pulls.")
		return closeHouse, nil
	}
	house.pods = err == nil
	return closeHouse, err
}

// clockedProvider is the program that takes the provider's place where days pass.
const clockedProvider = "provider-on-a-clock"

// install lays out the providers for the CLI.
func install(ctx context.Context, folder string) error {
	clock := filepath.Join(folder, clockedProvider)
	build := exec.CommandContext(ctx, "go", "build", "-o", clock, "../cmd/"+clockedProvider)
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the provider: %w\n%s", err, out)
	}
	kubernetes := terraform.Plugin{Source: "hashicorp/kubernetes", Version: "1.13.4", Binary: os.Getenv("E2E_KUBERNETES_PROVIDER")}
	ours := terraform.Plugin{Source: "autodevops/autodevops", Version: "0.1.0", Binary: os.Getenv("E2E_PROVIDER")}
	var err error
	if house.released, err = terraform.Mirror(filepath.Join(folder, "released"), kubernetes, ours); err != nil {
		return err
	}
	ours.Binary = clock
	house.clocked, err = terraform.Mirror(filepath.Join(folder, "clocked"), kubernetes, ours)
	return err
}
