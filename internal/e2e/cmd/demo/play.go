package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/registry"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// apply shows the plan as a reviewer sees it, and applies exactly that. An empty
// configuration is the one of before.
func (s *story) apply(configuration string, v view, more ...string) error {
	if configuration != "" {
		if err := s.cli.Write(header + configuration); err != nil {
			return err
		}
	}
	plan, err := s.run("plan", append([]string{"-out=plan.bin"}, more...)...)
	if err != nil {
		return err
	}
	if strings.Contains(plan, "No changes.") {
		return errors.New("the plan has no changes")
	}
	s.showPlan(plan, v, more...)
	if _, err := s.run("apply", "plan.bin"); err != nil {
		return err
	}
	s.say("%s", green("applied"))
	return nil
}

// applyUnseen applies without showing the plan.
func (s *story) applyUnseen(configuration string) error {
	if err := s.cli.Write(header + configuration); err != nil {
		return err
	}
	_, err := s.run("apply", "-auto-approve")
	return err
}

func (s *story) plan(v view, more ...string) error {
	plan, err := s.run("plan", more...)
	if err == nil {
		s.showPlan(plan, v, more...)
	}
	return err
}

// steady expects that there is nothing to apply, and something to say.
func (s *story) steady(v view) error {
	plan, err := s.run("plan")
	if err != nil {
		return err
	}
	if !strings.Contains(plan, "No changes.") || !strings.Contains(plan, "Warning: ") {
		return fmt.Errorf("the plan is not empty with a warning:\n%s", plan)
	}
	s.showPlan(plan, v)
	return nil
}

// quiet expects that there is nothing to apply, and nothing to say.
func (s *story) quiet() error {
	plan, err := s.run("plan")
	if err != nil {
		return err
	}
	if !strings.Contains(plan, "No changes.") || strings.Contains(plan, "Warning: ") {
		return fmt.Errorf("the plan is not empty and without a warning:\n%s", plan)
	}
	s.showPlan(plan, view{})
	return nil
}

func (s *story) run(command string, args ...string) (string, error) {
	return s.cli.Run(s.ctx, append([]string{command, "-input=false", "-no-color"}, args...)...)
}

func (s *story) showPlan(plan string, v view, more ...string) {
	show(strings.Join(append([]string{"$ " + s.tool() + " plan"}, more...), " "), v.of(plan))
}

// variables names the variables of acme/shop, without their values.
func (s *story) variables() string {
	var keys []string
	for _, v := range s.gitlab.Variables(s.shop) {
		keys = append(keys, v.Key)
	}
	return strings.Join(keys, " and ")
}

// pull expects that a project's image can be pulled.
func (s *story) pull(p *gitlabtest.Project, who string, c credentials) error {
	if err := s.tryPull(p, c); err != nil {
		return fmt.Errorf("%s cannot pull: %w", who, err)
	}
	fmt.Printf("  %s %s pulls\n", green("✔"), who)
	return nil
}

// refused expects that GitLab does not accept the credentials.
func (s *story) refused(p *gitlabtest.Project, who string, c credentials) error {
	err := s.tryPull(p, c)
	refused, ok := errors.AsType[*registry.RefusedError](err)
	if !ok || refused.Status != 401 {
		return fmt.Errorf("%s should have got 401: %w", who, err)
	}
	fmt.Printf("  %s %s gets %s\n", red("✘"), who, refused)
	return nil
}

// bothPull expects that both environments of acme/shop pull.
func (s *story) bothPull(who string) error {
	return errors.Join(s.pull(s.shop, fmt.Sprintf(who, production), s.inCluster(production)), s.pull(s.shop, fmt.Sprintf(who, staging), s.inCluster(staging)))
}

// loadTest is what came of pulling without a pause.
type loadTest struct {
	// good pulls, and those that began with a Secret that was changed before they ended.
	good, late int
	err        error
}

func (l loadTest) String() string {
	if l.late == 0 {
		return fmt.Sprintf("%d pulls of acme/blog meanwhile, none failed", l.good)
	}
	return fmt.Sprintf("%d pulls of acme/blog meanwhile; %d began with the old Secret, and succeeded at the next try", l.good, l.late)
}

// pullOverAndOver pulls acme/blog with what the Secret holds, until it is stopped.
func (s *story) pullOverAndOver(read func() credentials) (stop func() loadTest) {
	end, ended := make(chan struct{}), make(chan struct{})
	var result loadTest
	go func() {
		defer close(ended)
		for result.err == nil {
			c := read()
			err := s.registry.Pull(s.ctx, s.image(s.blog), c.username, c.password)
			switch {
			case err == nil:
				result.good++
			case read() != c:
				result.late++ // the kubelet reads the Secret again for its next try
				continue
			default:
				result.err = fmt.Errorf("acme/blog cannot be pulled: %w", err)
			}
			select {
			case <-end:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return func() loadTest {
		close(end)
		<-ended
		s.pulls += result.good + result.late
		return result
	}
}

func (s *story) chapter(title, opening string, args ...any) {
	fmt.Printf("\n%s\n", bold("━━ "+title+" "+strings.Repeat("━", max(0, 70-len([]rune(title))))))
	s.say(opening, args...)
}

// say narrates, on the date of the story.
func (s *story) say(format string, args ...any) {
	fmt.Printf("%s  %s\n", dim(s.gitlab.Clock.Now().Format(time.DateOnly)), fmt.Sprintf(format, args...))
}
