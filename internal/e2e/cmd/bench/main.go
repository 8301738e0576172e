//go:build linux

// Command bench measures what fleets cost: requests, time, CPU and
// memory of plans with the provider as it is released, a real CLI and the GitLab
// stand-in. It checks nothing; it prints what it measured, and the budgets beside it.
//
//	make bench                     N = 100 and 1,000
//	make bench BENCH='-n 50'       another size
//	make bench BENCH='-limits'     also under GitLab.com's request limits, which takes minutes
//
// Another provider that does the same job is measured on the same stand-in with
// -provider (its binary), -source and -version (as in required_providers) and
// -config (a Go template of a configuration, with {{.Count}} and {{.Path}}, which is
// "acme/app-${count.index}").
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"text/template"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/terraform"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

const ours = `
terraform {
  required_providers {
    autodevops = { source = "autodevops/autodevops" }
  }
}

provider "autodevops" {
  prefetch_groups = {{.Prefetch}}
}

resource "autodevops_registry_access" "app" {
  count   = {{.Count}}
  project = "{{.Path}}"{{if .Variables}}
  ci_variables = {}{{end}}
}
`

// coverage asks for all projects in one data source, of which none has a token.
const coverage = `
terraform {
  required_providers {
    autodevops = { source = "autodevops/autodevops" }
  }
}

data "autodevops_registry_coverage" "acme" {
  group = "acme"
}
`

const nothing = `
resource "terraform_data" "app" {
  count = {{.Count}}
  input = "{{.Path}}"
}
`

// candidate is something to measure.
type candidate struct {
	name, config, prefetch string
	// process is the name of the provider's program; empty if it has none.
	process string
	// echo: what ours has made is planned by a provider that answers each call with what
	// it was given.
	echo bool
	// variables: the credentials are published in CI/CD variables, and one environment of each
	// project was deployed; before the publication if it is behind, so that each plan asks.
	variables, behind bool
	limits            gitlabtest.Limits
	latency           time.Duration
}

func main() {
	sizes := flag.String("n", "100,1000", "numbers of resources")
	only := flag.String("only", "", "measure only what has this in its name")
	limits := flag.Bool("limits", false, "measure under GitLab.com's request limits as well")
	binary := flag.String("provider", "", "another provider's binary")
	source := flag.String("source", "", "its namespace/name")
	version := flag.String("version", "0.0.1", "its version")
	config := flag.String("config", "", "file with the template of its configuration")
	flag.Parse()
	if err := run(*sizes, *only, *limits, *binary, *source, *version, *config); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(sizes, only string, limits bool, binary, source, version, config string) error {
	ctx := context.Background()
	provider := os.Getenv("BENCH_PROVIDER")
	if provider == "" {
		return errors.New("BENCH_PROVIDER is not set: make bench sets it")
	}
	plugins := []terraform.Plugin{{Source: "autodevops/autodevops", Version: "0.1.0", Binary: provider}}
	process := filepath.Base(provider)
	echo := os.Getenv("BENCH_ECHO")
	candidates := []candidate{
		{name: "terraform_data", config: nothing},
		{name: "autodevops, echo", config: ours, prefetch: "[]", process: filepath.Base(echo), echo: true},
		{name: "autodevops, prefetch", config: ours, prefetch: `["acme"]`, process: process},
		{name: "autodevops", config: ours, prefetch: "[]", process: process},
		{name: "autodevops, prefetch, 50 ms", config: ours, prefetch: `["acme"]`, process: process, latency: 50 * time.Millisecond},
		{name: "autodevops, 50 ms", config: ours, prefetch: "[]", process: process, latency: 50 * time.Millisecond},
		{name: "autodevops, ci_variables, prefetch", config: ours, prefetch: `["acme"]`, process: process, variables: true},
		{name: "autodevops, ci_variables", config: ours, prefetch: "[]", process: process, variables: true},
		{name: "autodevops, ci_variables, prefetch, 50 ms", config: ours, prefetch: `["acme"]`, process: process, variables: true, latency: 50 * time.Millisecond},
		{name: "autodevops, ci_variables, 50 ms", config: ours, prefetch: "[]", process: process, variables: true, latency: 50 * time.Millisecond},
		{name: "autodevops, ci_variables, behind, 50 ms", config: ours, prefetch: "[]", process: process, variables: true, behind: true, latency: 50 * time.Millisecond},
		{name: "coverage", config: coverage, process: process},
		{name: "coverage, 50 ms", config: coverage, process: process, latency: 50 * time.Millisecond},
	}
	if binary != "" {
		other, err := os.ReadFile(config) //nolint:gosec // the user names the file
		if err != nil {
			return err
		}
		plugins = append(plugins, terraform.Plugin{Source: source, Version: version, Binary: binary})
		for _, latency := range []time.Duration{0, 50 * time.Millisecond} {
			name := source
			if latency > 0 {
				name += ", 50 ms"
			}
			candidates = append(candidates, candidate{name: name, config: string(other), process: filepath.Base(binary), latency: latency})
		}
	}
	if limits {
		candidates = append(candidates,
			candidate{name: "autodevops, prefetch, limits", config: ours, prefetch: `["acme"]`, process: process, limits: gitlabtest.GitLabCom()},
			candidate{name: "autodevops, ci_variables, prefetch, limits", config: ours, prefetch: `["acme"]`, process: process, variables: true, limits: gitlabtest.GitLabCom()},
			candidate{name: "autodevops, ci_variables, behind, prefetch, limits", config: ours, prefetch: `["acme"]`, process: process, variables: true, behind: true, limits: gitlabtest.GitLabCom()},
			candidate{name: "coverage, limits", config: coverage, process: process, limits: gitlabtest.GitLabCom()},
			candidate{name: "autodevops, limits", config: ours, prefetch: "[]", process: process, limits: gitlabtest.GitLabCom()})
	}

	candidates = slices.DeleteFunc(candidates, func(c candidate) bool { return c.process != "" && !strings.Contains(c.name, only) })

	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	configFile, err := terraform.Mirror(folder, plugins...)
	if err != nil {
		return err
	}
	echoFolder := filepath.Join(folder, "echo")
	if err = os.Mkdir(echoFolder, 0o700); err != nil {
		return err
	}
	echoConfigFile, err := terraform.Mirror(echoFolder, terraform.Plugin{Source: "autodevops/autodevops", Version: "0.1.0", Binary: echo})
	if err != nil {
		return err
	}
	cli, err := terraform.Find()
	if err != nil {
		return err
	}
	if err := describe(ctx, cli, configFile, provider); err != nil {
		return err
	}
	for size := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(size))
		if err != nil {
			return fmt.Errorf("-n: %w", err)
		}
		if err := measureAll(ctx, setup{cli: cli, configFile: configFile, echoConfigFile: echoConfigFile}, n, candidates); err != nil {
			return err
		}
	}
	return nil
}

// describe prints what does not depend on the size.
func describe(ctx context.Context, path, configFile, provider string) error {
	info, err := os.Stat(provider) //nolint:gosec // make bench names it
	if err != nil {
		return err
	}
	cli, err := terraform.NewInstalled(path, configFile)
	if err != nil {
		return err
	}
	defer cli.Close()
	version, err := cli.Run(ctx, "version")
	if err != nil {
		return err
	}
	version, _, _ = strings.Cut(version, "\n")
	start, err := startToSchema(ctx, provider)
	if err != nil {
		return err
	}
	fmt.Printf("%s; provider %.1f MB (budget 25), %d ms from its start to its schema (budget 60)\n", version, float64(info.Size())/1e6, start.Milliseconds())
	return nil
}

// setup is where the programs are.
type setup struct{ cli, configFile, echoConfigFile string }

func measureAll(ctx context.Context, s setup, n int, candidates []candidate) error {
	fmt.Printf("\nN = %d, a plan without changes\n\n", n)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "\trequests\tper resource\trefused\twall s\t× terraform_data\tprovider CPU ms\tper resource\tCLI and provider CPU s\t× echo\tRSS MB\t")
	var baseline, echo time.Duration
	for _, c := range candidates {
		m, err := measure(ctx, s, n, c)
		if err != nil {
			return fmt.Errorf("%s, N = %d: %w", c.name, n, err)
		}
		if baseline == 0 {
			baseline = m.wall
		}
		if c.echo {
			echo = m.all
		}
		ratio := "-"
		if echo > 0 && c.process != "" {
			ratio = fmt.Sprintf("%.2f", m.all.Seconds()/echo.Seconds())
		}
		_, _ = fmt.Fprintf(table, "%s\t%d\t%.3f\t%d\t%.2f\t%.2f\t%d\t%.2f\t%.2f\t%s\t%d\t\n", c.name, m.requests, float64(m.requests)/float64(n), m.refused,
			m.wall.Seconds(), m.wall.Seconds()/baseline.Seconds(), m.cpu.Milliseconds(), float64(m.cpu.Microseconds())/1000/float64(n), m.all.Seconds(), ratio, m.rss>>20)
		_ = table.Flush()
	}
	fmt.Println("\nbudgets: 2 requests per resource (1.02 with prefetch), one more with ci_variables, two or three more while an environment is behind;\n" +
		"1.5 × the CPU of the echo, 80 MB")
	return nil
}

// measurement is what a plan cost.
type measurement struct {
	requests, refused int
	wall, cpu         time.Duration
	// all is the CPU of the CLI and its providers.
	all time.Duration
	rss int64
}

// measure makes a fleet, and plans it again.
func measure(ctx context.Context, s setup, n int, c candidate) (measurement, error) {
	clock := gitlabtest.NewClock(time.Now())
	gitlab, err := gitlabtest.Start(gitlabtest.WithClock(clock))
	if err != nil {
		return measurement{}, err
	}
	defer gitlab.Close()
	group := gitlab.CreateGroup("acme", gitlabtest.GroupOptions{AutoDevOps: gitlabtest.True})
	deployAll := populate(gitlab, group, n)
	if c.behind {
		deployAll()
	}
	token := gitlab.CreateAccessToken(gitlab.GroupMember(group, gitlabtest.Maintainer), "api")
	cli, err := terraform.NewInstalled(s.cli, s.configFile, "GITLAB_BASE_URL="+gitlab.URL, "GITLAB_TOKEN="+token)
	if err != nil {
		return measurement{}, err
	}
	defer cli.Close()
	var config bytes.Buffer
	parsed, err := template.New("configuration").Parse(c.config)
	if err != nil {
		return measurement{}, err
	}
	if err = parsed.Execute(&config, map[string]any{"Count": n, "Path": "acme/app-${count.index}", "Prefetch": c.prefetch, "Variables": c.variables}); err != nil {
		return measurement{}, err
	}
	if err = cli.Write(config.String()); err != nil {
		return measurement{}, err
	}
	apply := []string{"apply", "-auto-approve", "-input=false"}
	for _, command := range [][]string{{"init", "-input=false"}, apply} {
		if _, err = cli.Run(ctx, command...); err != nil {
			return measurement{}, err
		}
	}
	if c.variables && !c.behind {
		// The answer to the next apply has no environment behind, so that it is the last one.
		clock.Advance(2 * time.Minute)
		deployAll()
		if _, err = cli.Run(ctx, apply...); err != nil {
			return measurement{}, err
		}
	}

	if c.echo {
		var echo *terraform.CLI
		if echo, err = terraform.NewInstalled(s.cli, s.echoConfigFile); err != nil {
			return measurement{}, err
		}
		defer echo.Close()
		if err = takeOver(ctx, cli, echo, config.String()); err != nil {
			return measurement{}, err
		}
		cli = echo
	}
	gitlab.SetLatency(c.latency)
	gitlab.SetLimits(c.limits)
	gitlab.ForgetRequests()
	begun := time.Now()
	running, err := cli.Start(ctx, "plan", "-input=false", "-no-color")
	if err != nil {
		return measurement{}, err
	}
	usage := follow(running, c.process)
	out, err := running.Wait()
	m := measurement{wall: time.Since(begun)}
	m.cpu, m.rss = usage()
	m.all = running.CPU()
	if err != nil {
		return m, err
	}
	if !strings.Contains(out, "No changes.") {
		return m, errors.New("the plan is not empty")
	}
	for _, r := range gitlab.Requests() {
		m.requests++
		if r.Status == 429 {
			m.refused++
		}
	}
	return m, nil
}

// populate makes n projects, and returns what deploys each of them.
func populate(gitlab *gitlabtest.Server, group *gitlabtest.Group, n int) (deployAll func()) {
	projects := make([]*gitlabtest.Project, 0, n)
	for i := range n {
		projects = append(projects, gitlab.CreateProject(fmt.Sprintf("%s/app-%d", group.Path, i), gitlabtest.ProjectOptions{}))
	}
	return func() {
		for _, p := range projects {
			gitlab.Deploy(p, "production")
		}
	}
}

// takeOver gives another CLI the configuration and the state.
func takeOver(ctx context.Context, from, to *terraform.CLI, config string) error {
	state, err := os.ReadFile(filepath.Join(from.Dir, "terraform.tfstate"))
	if err != nil {
		return err
	}
	if err = os.WriteFile(filepath.Join(to.Dir, "terraform.tfstate"), state, 0o600); err != nil { //nolint:gosec // its own folder
		return err
	}
	if err = to.Write(config); err != nil {
		return err
	}
	_, err = to.Run(ctx, "init", "-input=false")
	return err
}

// follow samples the provider's processes of a CLI, whose own figures end with them:
// a CLI starts one for each phase. CPU is their sum, memory the most of any.
func follow(cli *terraform.Running, program string) func() (cpu time.Duration, rss int64) {
	if program == "" {
		return func() (time.Duration, int64) { return 0, 0 }
	}
	used, most := map[int]time.Duration{}, int64(0)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			for _, child := range cli.Children() {
				if cpu, rss, ok := usageOf(fmt.Sprint(child.PID)); ok && child.Program == program {
					used[child.PID], most = cpu, max(most, rss)
				}
			}
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return func() (cpu time.Duration, rss int64) {
		close(stop)
		<-stopped
		for _, one := range used {
			cpu += one
		}
		return cpu, most
	}
}

// ticks is how long one of the kernel's units of CPU time is, on every Linux of today.
const ticks = 10 * time.Millisecond

func usageOf(pid string) (cpu time.Duration, rss int64, ok bool) {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "stat")) //nolint:gosec // a process id
	if err != nil {
		return 0, 0, false
	}
	_, sinceState, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(sinceState)
	if len(fields) < 13 {
		return 0, 0, false
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	status, err := os.ReadFile(filepath.Join("/proc", pid, "status")) //nolint:gosec // a process id
	if err != nil {
		return 0, 0, false
	}
	_, rest, found := strings.Cut(string(status), "VmHWM:")
	if !found {
		return 0, 0, false
	}
	most, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	return time.Duration(user+system) * ticks, most << 10, true
}
