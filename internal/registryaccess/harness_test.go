package registryaccess_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
	"github.com/autodevops/terraform-provider-autodevops/internal/provider"
)

const (
	address  = "autodevops_registry_access.shop"
	consumer = "terraform_data.secret"
)

// fixture is one GitLab with one private project below a group with Auto DevOps on,
// which nobody ever saved: the gap that GitLab's own token leaves.
type fixture struct {
	testing.TB

	gitlab     *gitlabtest.Server
	project    *gitlabtest.Project
	group      *gitlabtest.Group
	maintainer *gitlabtest.User
	token      string
	// ahead is what the provider's machine is ahead of GitLab's clock.
	ahead time.Duration
}

// newFixture starts a fixture. It runs in parallel with others.
func newFixture(t *testing.T, opts ...gitlabtest.Option) *fixture {
	t.Helper()
	t.Parallel()
	s := &fixture{TB: t, gitlab: gitlabtest.New(t, opts...)}
	s.populate()
	return s
}

func (s *fixture) populate() {
	s.group = s.gitlab.CreateGroup("acme", gitlabtest.GroupOptions{AutoDevOps: gitlabtest.True})
	s.project = s.gitlab.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	s.maintainer = s.gitlab.Maintainer(s.project)
	s.token = s.gitlab.CreateAccessToken(s.maintainer, "api")
}

// factories serve the provider in this process, on the fixture's clock.
func (s *fixture) factories() map[string]func() (tfprotov6.ProviderServer, error) {
	return map[string]func() (tfprotov6.ProviderServer, error){
		"autodevops": func() (tfprotov6.ProviderServer, error) { return s.serve(), nil },
	}
}

// serve is the server that is shipped, on the fixture's clock.
func (s *fixture) serve(more ...provider.Option) tfprotov6.ProviderServer {
	options := []provider.Option{
		provider.WithClock(func() time.Time { return s.gitlab.Clock.Now().Add(s.ahead) }),
		provider.WithPause(func(time.Duration) time.Duration { return 0 }),
		provider.WithEnvironment(func(string) string { return "" }),
	}
	return provider.NewServer(provider.New("test", append(options, more...)...)())
}

// run drives the steps through a real CLI.
func (s *fixture) run(steps ...resource.TestStep) {
	s.Helper()
	s.runWith(resource.TestCase{}, steps...)
}

func (s *fixture) runWith(c resource.TestCase, steps ...resource.TestStep) {
	s.Helper()
	requireCLI(s.TB)
	c.ProtoV6ProviderFactories = s.factories()
	c.Steps = steps
	t, isTest := s.TB.(*testing.T)
	if !isTest {
		s.Fatal("the CLI harness runs in tests only")
	}
	resource.UnitTest(t, c)
}

// planWithoutRefresh makes every plan of a test case one with -refresh=false.
func planWithoutRefresh() *resource.AdditionalCLIOptions {
	return &resource.AdditionalCLIOptions{Plan: resource.PlanOptions{NoRefresh: true}}
}

// requireCLI skips without a CLI, unless the environment says that there must be
// one. Without it the harness would try to download one and end the process.
func requireCLI(tb testing.TB) {
	tb.Helper()
	if os.Getenv("TF_ACC_TERRAFORM_PATH") != "" {
		return
	}
	if _, err := exec.LookPath("terraform"); err == nil {
		return
	}
	if os.Getenv("AUTODEVOPS_REQUIRE_CLI") != "" {
		tb.Fatal("no terraform on PATH and TF_ACC_TERRAFORM_PATH is not set")
	}
	tb.Skip("no Terraform CLI: set TF_ACC_TERRAFORM_PATH or put terraform on PATH")
}

// cliVersion is what the CLI of the tests says of itself, like "Terraform v1.11.4".
func cliVersion(t *testing.T) string {
	t.Helper()
	requireCLI(t)
	cli := os.Getenv("TF_ACC_TERRAFORM_PATH")
	if cli == "" {
		cli = "terraform"
	}
	out, err := exec.CommandContext(context.Background(), cli, "version").Output()
	if err != nil {
		t.Fatalf("%s version: %v", cli, err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "Terraform v") || strings.HasPrefix(line, "OpenTofu v") {
			return strings.TrimSpace(line)
		}
	}
	t.Fatalf("%s version says %q", cli, out)
	return ""
}

// config is a configuration with the resource, its arguments besides project, and
// a consumer that changes whenever a Kubernetes Secret would.
func (s *fixture) config(arguments ...string) string {
	return s.configFor(`"acme/shop"`, arguments...)
}

func (s *fixture) configFor(project string, arguments ...string) string {
	return fmt.Sprintf(`
provider "autodevops" {
  base_url = %q
  token    = %q
}

resource "autodevops_registry_access" "shop" {
  project = %s
  %s
}

resource "terraform_data" "secret" {
  input = nonsensitive(sha256(autodevops_registry_access.shop.docker_config_json))
}
`, s.gitlab.URL, s.token, project, strings.Join(arguments, "\n  "))
}

// says matches a message however the CLI wraps it.
func says(message string) *regexp.Regexp {
	return regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(message), " ", `\s+`))
}

func itoa(id int64) string { return strconv.FormatInt(id, 10) }

// during runs a function between plan and apply.
func during(do func()) plancheck.PlanCheck { return between(do) }

type between func()

// CheckPlan implements plancheck.PlanCheck.
func (b between) CheckPlan(context.Context, plancheck.CheckPlanRequest, *plancheck.CheckPlanResponse) {
	b()
}

// expect is a shorthand for plan checks before the apply.
func expect(checks ...plancheck.PlanCheck) resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{PreApply: checks}
}

// expectNothing is an empty plan.
func expectNothing() resource.ConfigPlanChecks {
	return expect(plancheck.ExpectEmptyPlan())
}

func action(a plancheck.ResourceActionType) plancheck.PlanCheck {
	return plancheck.ExpectResourceAction(address, a)
}

// secretUntouched: the consumer sees no change.
func secretUntouched() plancheck.PlanCheck {
	return plancheck.ExpectResourceAction(consumer, plancheck.ResourceActionNoop)
}

func secretChanges() plancheck.PlanCheck {
	return plancheck.ExpectResourceAction(consumer, plancheck.ResourceActionUpdate)
}

func at(name string) tfjsonpath.Path { return tfjsonpath.New(name) }

// plans checks a value that the plan shows.
func plans(name string, value knownvalue.Check) plancheck.PlanCheck {
	return plancheck.ExpectKnownValue(address, at(name), value)
}

func plansUnknown(name string) plancheck.PlanCheck {
	return plancheck.ExpectUnknownValue(address, at(name))
}

// has checks a value of the state after the apply.
func has(name string, value knownvalue.Check) statecheck.StateCheck {
	return statecheck.ExpectKnownValue(address, at(name), value)
}

func text(s string) knownvalue.Check  { return knownvalue.StringExact(s) }
func number(n int64) knownvalue.Check { return knownvalue.Int64Exact(n) }
func yes() knownvalue.Check           { return knownvalue.Bool(true) }
func no() knownvalue.Check            { return knownvalue.Bool(false) }
func null() knownvalue.Check          { return knownvalue.Null() }

func length(n int) knownvalue.Check { return knownvalue.ListSizeExact(n) }

// check asserts something about the world after a step.
func (s *fixture) check(do func() error) resource.TestCheckFunc {
	return func(*terraform.State) error { return do() }
}

// TestMain makes the tests independent of the machine's CLI configuration, and
// OpenTofu usable where the harness expects Terraform.
func TestMain(m *testing.M) {
	settings := map[string]string{"TF_CLI_CONFIG_FILE": os.DevNull}
	if strings.Contains(filepath.Base(os.Getenv("TF_ACC_TERRAFORM_PATH")), "tofu") {
		settings["TF_ACC_PROVIDER_NAMESPACE"] = "hashicorp"
	}
	for name, value := range settings {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// active wants exactly so many working tokens.
func (s *fixture) active(n int) resource.TestCheckFunc {
	return func(*terraform.State) error {
		if got := s.gitlab.ActiveTokens(s.project); len(got) != n {
			return fmt.Errorf("GitLab has %d working tokens, want %d", len(got), n)
		}
		return nil
	}
}

// published wants the state's credentials to pull now.
func (s *fixture) published() resource.TestCheckFunc {
	return func(state *terraform.State) error {
		attributes := state.RootModule().Resources[address].Primary.Attributes
		username, password := credentials(attributes["docker_config_json"])
		if !s.gitlab.CanPull(s.project, username, password) {
			return fmt.Errorf("the published credentials of %q do not pull", username)
		}
		return nil
	}
}
