//go:build linux

package proof_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// together runs both at once, and returns what they say.
func together(first, second func() (string, error)) (out [2]string, failed [2]error) {
	var both sync.WaitGroup
	both.Go(func() { out[0], failed[0] = first() })
	both.Go(func() { out[1], failed[1] = second() })
	both.Wait()
	return out, failed
}

// applyInTurn applies once the state's lock is free.
func (s *stack) applyInTurn() (out string, err error) {
	for range 5 {
		out, err = s.tryApply("-lock-timeout=60s")
		// Terraform takes for errors, rather than for reasons to wait: a local lock whose
		// holder is not written down yet or any more, and a Lease that another one has
		// changed in the same instant.
		if err == nil || !strings.Contains(err.Error(), "lock.info: no such file") && !strings.Contains(err.Error(), "Operation cannot be fulfilled on leases") {
			break
		}
	}
	return out, err
}

// TestTwoPipelinesOneState: two applies race on one state. The lock lets one pass
// after the other, through creation and rotation; there is one token for each.
func TestTwoPipelinesOneState(t *testing.T) {
	l := newLab(t)
	shop := l.newApp("acme/shop")
	s := l.newStack()
	s.access(shop)
	s.init()
	order := l.guard(shop)
	_, failed := together(s.applyInTurn, s.applyInTurn)
	for _, err := range failed {
		l.must(err)
	}
	if live := l.gitlab.ActiveTokens(shop.Project); len(live) != 1 {
		t.Fatalf("%d tokens after two applies of one creation", len(live))
	}
	load := l.pullAll(shop, secretName)
	s.access(shop, `rotate_when_changed = { round = "1" }`)
	_, failed = together(s.applyInTurn, s.applyInTurn)
	for _, err := range failed {
		l.must(err)
	}
	if live := l.gitlab.ActiveTokens(shop.Project); len(live) != 2 {
		t.Errorf("%d tokens after two applies of one rotation", len(live))
	}

	// Without patience, the second is turned away while the first is at work.
	s.access(shop, `rotate_when_changed = { round = "2" }`)
	var turnedAway error
	var once sync.Once
	l.gitlab.OnRequest(func(r gitlabtest.Request) {
		if r.Method == http.MethodPost {
			once.Do(func() { _, turnedAway = s.tryApply() })
		}
	})
	s.apply()
	if turnedAway == nil {
		t.Error("two applies are at work on one state")
	} else {
		l.says(turnedAway.Error(), "Error acquiring the state lock")
	}
	if live := l.gitlab.ActiveTokens(shop.Project); len(live) != 3 {
		t.Errorf("%d tokens after the third round", len(live))
	}
	s.apply()
	load.expectNoFailure()
	order.expectOrder()
	s.settled()
}

// TestTwoMachinesOneState: the same from two folders, as of two runners, with the
// state in the cluster as an example of the documentation has it.
func TestTwoMachinesOneState(t *testing.T) {
	l := newLab(t)
	shop := l.newApp("acme/shop")
	backend, err := os.ReadFile("../../../examples/pipelines/state/backend_kubernetes.tf")
	l.must(err)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	l.must(os.WriteFile(kubeconfig, fmt.Appendf(nil, `
apiVersion: v1
kind: Config
current-context: proof
contexts: [{name: proof, context: {cluster: proof, user: admin}}]
clusters: [{name: proof, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: admin, user: {token: %q}}]
`, house.cluster.URL, house.cluster.CAFile, house.cluster.AdminToken), 0o600))
	l.must(house.cluster.CreateNamespace(l.ctx, "terraform-state"))
	var machines [2]*stack
	for i := range machines {
		machines[i] = l.newStack("KUBE_CONFIG_PATH=" + kubeconfig)
	}
	race := func(arguments ...string) {
		for _, s := range machines {
			s.access(shop, arguments...)
		}
		_, failed := together(machines[0].applyInTurn, machines[1].applyInTurn)
		for _, err := range failed {
			l.must(err)
		}
	}
	for _, s := range machines {
		s.access(shop)
		l.must(os.WriteFile(filepath.Join(s.cli.Dir, "backend.tf"), backend, 0o600))
		s.init()
	}
	order := l.guard(shop)
	race()
	load := l.pullAll(shop, secretName)
	race(`rotate_when_changed = { round = "1" }`)
	aMoment()
	if live := l.gitlab.ActiveTokens(shop.Project); len(live) != 2 {
		t.Errorf("%d tokens after two applies of one creation and of one rotation", len(live))
	}
	load.expectNoFailure()
	order.expectOrder()
	for _, s := range machines {
		s.settled()
		if _, err := os.Stat(filepath.Join(s.cli.Dir, "terraform.tfstate")); err == nil {
			t.Error("there is a state beside the cluster's")
		}
	}
}

// TestTwoPipelinesTwoStates: nobody locks, because nobody knows of the other: two
// states declare the access of one project, each with a Secret of its own. Neither
// revokes what the other publishes, and each names the other's token.
func TestTwoPipelinesTwoStates(t *testing.T) {
	l := newClockedLab(t)
	shop := l.newApp("acme/shop")
	names := [2]string{"first-registry", "second-registry"}
	stacks := [2]*stack{l.newStack(), l.newStack()}
	configure := func(arguments string) {
		for i, s := range stacks {
			s.write(fmt.Sprintf(`
resource "autodevops_registry_access" "app" {
  project = %q
  %s
}
`, shop.path, arguments) + s.secretOf(names[i], "autodevops_registry_access.app.docker_config_json"))
		}
	}
	race := func() (out [2]string) {
		out, failed := together(func() (string, error) { return stacks[0].tryApply() }, func() (string, error) { return stacks[1].tryApply() })
		for i, err := range failed {
			if err != nil {
				t.Fatalf("%v\n%s", err, out[i])
			}
		}
		return out
	}
	configure("")
	for _, s := range stacks {
		s.init()
	}
	race()
	loads := [2]*puller{l.pullAll(shop, names[0]), l.pullAll(shop, names[1])}

	for round := range 3 {
		configure(fmt.Sprintf(`rotate_when_changed = { round = "%d" }`, round))
		race()
		aMoment()
		if round == 1 {
			l.passDays(7) // the last race rotates, and revokes what the first two have retired
		}
	}
	l.passDays(335)
	out := race()
	aMoment()
	l.passDays(7)
	race()
	aMoment()

	for i, s := range stacks {
		theirs := stacks[1-i].inState()
		s.apply()
		mine := s.inState()
		if !slices.Contains(mine.Unmanaged, theirs.TokenID) {
			t.Errorf("stack %d lists %v as unmanaged, not the other's token %d", i, mine.Unmanaged, theirs.TokenID)
		}
		if slices.Contains(mine.tokens()[:1], theirs.TokenID) {
			t.Error("both states have the same token")
		}
		if !strings.Contains(out[i], "Rotation of token ") {
			t.Errorf("stack %d did not rotate in its window", i)
		}
		loads[i].expectNoFailure()
		s.settled()
	}
	// A third one sees both before it creates anything.
	third := l.newStack()
	third.access(shop)
	third.init()
	plan, err := third.cli.Run(l.ctx, "plan", "-input=false", "-no-color")
	l.must(err)
	l.says(plan, "Other tokens of this provider in ")
	for _, s := range stacks {
		l.says(plan, fmt.Sprint(s.inState().TokenID))
	}
	// One of the two goes away, and takes only its own with it.
	survivor := l.pullAll(shop, names[1])
	stacks[0].destroy()
	aMoment()
	survivor.expectNoFailure()
	if live := l.gitlab.ActiveTokens(shop.Project); len(live) != 1 || live[0].ID != stacks[1].inState().TokenID {
		t.Errorf("%d tokens live after one of the two is destroyed", len(live))
	}
}
