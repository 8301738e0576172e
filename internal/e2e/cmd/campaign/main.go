//go:build linux

// Command campaign looks for broken promises: it takes random walks through a real
// CLI with the real provider, against the GitLab stand-in. A walk changes the
// configuration and GitLab's facts, moves the clock, kills tokens and processes, breaks
// requests, runs deploy jobs, and writes into CI/CD variables as others do. After each
// command it checks what the provider promises; see secret.go, tokens.go, published.go and
// output.go.
//
//	make campaign                               2 minutes with a random seed
//	make campaign CAMPAIGN='-seed 7 -minutes 10'
//	make campaign CAMPAIGN='-seed 9 -walks 1'   one walk again
//
// A seed makes the sequence of actions, as far as it does not depend on what the
// processes do at the same time. Each walk has a seed of its own, the next number.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/terraform"
)

func main() {
	seed := flag.Uint64("seed", 0, "seed of the first walk; 0 chooses one")
	minutes := flag.Float64("minutes", 2, "how long to walk")
	walks := flag.Int("walks", 0, "how many walks at most; 0 is as many as there is time for")
	verbose := flag.Bool("v", false, "print each step")
	flag.Parse()
	if *seed == 0 {
		*seed = uint64(rand.Uint32()) //nolint:gosec // it is printed anyway
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	c := campaign{until: time.Now().Add(time.Duration(*minutes * float64(time.Minute))), verbose: *verbose, tally: tally{broken: map[string]int{}}}
	err := c.run(ctx, *seed, *walks)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "campaign:", err)
		os.Exit(1)
	}
}

// campaign is a number of walks.
type campaign struct {
	until   time.Time
	verbose bool
	// cli is the CLI's binary, configFile tells it where the provider is.
	cli, configFile string
	tally           tally
}

// tally counts what was done.
type tally struct {
	walks, steps, commands, kills, faults, convergences, violations int
	// broken counts the violations of each promise.
	broken map[string]int
	// stepping is the time that all steps took.
	stepping time.Duration
}

var errViolations = errors.New("promises were broken")

func (c *campaign) run(ctx context.Context, seed uint64, walks int) error {
	folder, err := os.MkdirTemp("", "campaign")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if c.cli, err = terraform.Find(); err != nil {
		return err
	}
	if c.configFile, err = install(ctx, folder); err != nil {
		return err
	}
	fmt.Printf("seed %d\n", seed)
	for ; time.Now().Before(c.until) && (walks == 0 || c.tally.walks < walks); seed++ {
		if err := c.walk(ctx, seed); err != nil {
			return fmt.Errorf("walk %d: %w", seed, err)
		}
	}
	t := c.tally
	fmt.Printf("walks %d, steps %d, commands %d, kills %d, faults %d, convergences %d, violations %d, %.2f s a step\n",
		t.walks, t.steps, t.commands, t.kills, t.faults, t.convergences, t.violations, t.stepping.Seconds()/float64(max(1, t.steps)))
	for _, promise := range slices.Sorted(maps.Keys(t.broken)) {
		fmt.Printf("broken %d times: %s\n", t.broken[promise], promise)
	}
	if t.violations > 0 {
		return errViolations
	}
	return nil
}

// walk takes one walk. A broken promise ends it, because whatever follows would
// only be its consequence.
func (c *campaign) walk(ctx context.Context, seed uint64) error {
	c.tally.walks++
	w, err := newWalk(c, seed)
	if err != nil {
		return err
	}
	defer w.close()
	err = w.run(ctx)
	if v, ok := errors.AsType[*violation](err); ok {
		c.tally.violations++
		c.tally.broken[v.promise]++
		w.report(v)
		return nil
	}
	return err
}

// program is the name of the provider's binary.
const program = "terraform-provider-autodevops"

// install builds the provider with a clock of its own, and returns the CLI
// configuration with which the CLI uses it without an installation.
func install(ctx context.Context, folder string) (configFile string, err error) {
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(folder, program), "./cmd/provider-on-a-clock") //nolint:gosec // a folder of our own
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the provider: %w\n%s", err, out)
	}
	configFile = filepath.Join(folder, "cli.tfrc")
	return configFile, os.WriteFile(configFile, fmt.Appendf(nil, `provider_installation {
  dev_overrides {
    "registry.terraform.io/autodevops/autodevops" = %q
  }
  direct {}
}
`, folder), 0o600)
}

// violation is a promise that was broken.
type violation struct {
	promise, what string
}

func (v *violation) Error() string { return v.promise + ": " + v.what }

func broken(promise, what string, args ...any) error {
	return &violation{promise: promise, what: fmt.Sprintf(what, args...)}
}

// report prints a violation with everything that led to it.
func (w *walk) report(v *violation) {
	fmt.Printf("\nVIOLATION  seed %d, step %d\npromise    %s\nhappened   %s\nmoves so far:\n", w.seed, w.step, v.promise, v.what)
	for _, line := range w.journal {
		fmt.Println("  " + line)
	}
	fmt.Printf("configuration:\n%s\nstate of the access before the last command: %s\nand after it: %s\nlast command printed:\n  %s\n",
		w.config.render(w.path), w.last.before.describe(), w.last.after.describe(), strings.ReplaceAll(tail(w.last.text(), 40), "\n", "\n  "))
	fmt.Printf("again with: make campaign CAMPAIGN='-seed %d -walks 1'\n\n", w.seed)
}

// tail is the end of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
