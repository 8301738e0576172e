package registryaccess_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

func TestPublication_deployedDuringDrift(t *testing.T) {
	for _, asked := range []bool{true, false} {
		t.Run(fmt.Sprint(asked), func(t *testing.T) {
			d := newDriver(t)
			d.mustApply(variables())
			d.gitlab.Clock.Advance(5 * time.Minute)
			if asked {
				d.mustBeSettled(variables())
			}
			d.gitlab.DeleteVariable(d.project, passwordKey, "*")
			d.gitlab.Deploy(d.project, "production")
			d.gitlab.Clock.Advance(5 * time.Minute)
			if d.gitlab.ClusterPulls(d.project, "production") {
				t.Fatal("the premise is wrong")
			}
			d.mustApply(variables())
			d.mustBeSettled(variables())
			d.mustBeSettled(variables())
			if got := d.behind(); !strings.Contains(got, "production") {
				t.Errorf("behind: %q, and the Secret of production pulls nothing", got)
			}
		})
	}
}

func TestPublication_outOfScope(t *testing.T) {
	d := newDriver(t)
	args := inProduction()
	d.mustApply(args)
	d.gitlab.Clock.Advance(5 * time.Minute)
	d.gitlab.Deploy(d.project, "staging")
	if d.gitlab.ClusterPulls(d.project, "staging") {
		t.Fatal("the premise is wrong")
	}
	d.mustBeSettled(args)
	if got := d.behind(); !strings.Contains(got, "staging") {
		t.Errorf("behind: %q, and the Secret of staging pulls nothing", got)
	}
}

func TestPublication_shadowed(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: passwordKey, Value: "somebodys-password", Scope: "production"})
	d.gitlab.Clock.Advance(5 * time.Minute)
	d.gitlab.Deploy(d.project, "production")
	d.mustBeSettled(variables())
	if d.gitlab.ClusterPulls(d.project, "production") {
		t.Fatal("the premise is wrong")
	}
	if got := d.behind(); !strings.Contains(got, "production") {
		t.Errorf("behind: %q, ci_status %s", got, d.text("ci_status"))
	}
}

func TestPublication_endedToken(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.Clock.Advance(5 * time.Minute)
	d.gitlab.Deploy(d.project, "production")
	d.gitlab.Clock.AdvanceDays(183)
	d.mustApply(variables())
	d.mustBeSettled(variables())
	d.gitlab.Clock.AdvanceDays(183)
	d.mustApply(variables()) // the retired token leaves the record
	d.refresh()
	if d.gitlab.ClusterPulls(d.project, "production") {
		t.Fatal("the premise is wrong")
	}
	d.mustSay("production of acme/shop cannot pull")
}

func TestPublication_cutOffNames(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables(round("1")))
	d.gitlab.Clock.AdvanceDays(100)
	d.mustApply(variables(round("2")))
	d.gitlab.Clock.Advance(5 * time.Minute)
	d.gitlab.Deploy(d.project, "production") // holds token 2, until day 465
	d.gitlab.Clock.AdvanceDays(1)
	d.mustApply(variables(round("3")))
	d.gitlab.Clock.AdvanceDays(265) // token 1 is over
	d.refresh()
	p := d.planChange(variables(round("3")))
	for _, s := range summaries(d.last) {
		if strings.Contains(s, "cannot pull after this apply") {
			t.Error(s)
		}
	}
	d.apply(p)
	if !d.gitlab.ClusterPulls(d.project, "production") {
		t.Error("production was cut off")
	}
}

func TestPublication_beforeOurs(t *testing.T) {
	d := newDriver(t)
	d.gitlab.SaveAutoDevOps(d.project, gitlabtest.True)
	own := d.gitlab.Tokens(d.project)[0]
	d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: userKey, Value: own.Username})
	d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: passwordKey, Value: own.Secret})
	d.gitlab.Deploy(d.project, "production")
	d.gitlab.Clock.Advance(5 * time.Minute)
	d.mustApply(inProduction())
	d.refresh()
	if got := d.behind(); got != "production unknown" {
		t.Errorf("behind %q, pulls: %v", got, d.gitlab.ClusterPulls(d.project, "production"))
	}
}

func TestPublication_withdrawnOutOfReach(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.SetCIEnabled(d.project, false)
	d.gitlab.SetVisibility(d.project, "public")
	d.mustApply(variables())
	d.gitlab.Clock.AdvanceDays(1)
	d.gitlab.SetCIEnabled(d.project, true)
	d.gitlab.Deploy(d.project, "production") // takes our rows, which are still there
	d.gitlab.Clock.AdvanceDays(1)
	d.mustApply(variables())
	d.mustBeSettled(variables())
	if got := d.behind(); got != "production retired" {
		t.Errorf("behind %q", got)
	}
}

func TestPublication_report(t *testing.T) {
	t.Run("exact user", func(t *testing.T) {
		d := newDriver(t)
		owner := d.gitlab.GroupMember(d.group, gitlabtest.Owner)
		d.token = d.gitlab.CreateAccessToken(owner, "api")
		d.mustApply(variables())
		d.gitlab.SetVariable(d.project, gitlabtest.Variable{Key: userKey, Value: "their-user", Scope: "production"})
		d.gitlab.Clock.Advance(3 * time.Minute)
		d.gitlab.Deploy(d.project, "production")
		got, _ := d.coverage(arguments{"group": "acme", "environments": true})
		if h := d.holdings(got, "acme/shop"); h["production"] == "current" {
			t.Errorf("%v, pulls %v, %v", h, d.gitlab.ClusterPulls(d.project, "production"), got["totals"])
		}
	})
	t.Run("repaired user", func(t *testing.T) {
		d := newDriver(t)
		owner := d.gitlab.GroupMember(d.group, gitlabtest.Owner)
		d.token = d.gitlab.CreateAccessToken(owner, "api")
		d.mustApply(variables())
		d.gitlab.DeleteVariable(d.project, userKey, "*")
		d.gitlab.Clock.Advance(3 * time.Minute)
		d.gitlab.Deploy(d.project, "production")
		d.gitlab.Clock.Advance(3 * time.Minute)
		d.mustApply(variables())
		got, _ := d.coverage(arguments{"group": "acme", "environments": true})
		if h := d.holdings(got, "acme/shop"); h["production"] == "current" {
			t.Errorf("%v, pulls %v, %v", h, d.gitlab.ClusterPulls(d.project, "production"), got["totals"])
		}
	})
	t.Run("value changed", func(t *testing.T) {
		d := newDriver(t)
		owner := d.gitlab.GroupMember(d.group, gitlabtest.Owner)
		d.token = d.gitlab.CreateAccessToken(owner, "api")
		d.mustApply(variables())
		d.edit(userKey, func(v *gitlabtest.Variable) { v.Value = "their-user" })
		d.gitlab.Clock.Advance(3 * time.Minute)
		d.gitlab.Deploy(d.project, "production")
		got, _ := d.coverage(arguments{"group": "acme", "environments": true})
		if h := d.holdings(got, "acme/shop"); h["production"] == "current" {
			t.Errorf("%v, pulls %v, %v", h, d.gitlab.ClusterPulls(d.project, "production"), got["totals"])
		}
	})
}

func TestPublication_lateOther(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.Clock.AdvanceDays(200)
	late := d.gitlab.QueueJob(d.project, gitlabtest.JobOptions{Name: "deploy to production", Environment: "production"})
	d.gitlab.PickUp(late)
	d.mustApply(variables())
	d.gitlab.Clock.Advance(2 * time.Minute)
	d.gitlab.Deploy(d.project, "production")
	d.gitlab.Clock.Advance(time.Minute)
	d.gitlab.CreateSecret(late, "production")
	d.gitlab.FinishJob(late, "success")
	d.mustBeSettled(variables())
	_, password, _ := d.gitlab.ClusterSecret(d.project, "production")
	if got := d.behind(); got == "none" && password != d.text("token") {
		t.Errorf("behind %q, and production holds the retired token", got)
	}
}

func TestPublication_zeroAndRotate(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.Clock.Advance(3 * time.Minute)
	d.gitlab.Deploy(d.project, "production")
	d.gitlab.Clock.AdvanceDays(200)
	d.refresh()
	args := variables(arguments{"rotation": arguments{"overlap_days": 0}})
	p := d.planChange(args)
	if !strings.Contains(fmt.Sprint(summaries(p.diagnostics)), "production") {
		t.Error("the plan does not name production, which it cuts off")
	}
	d.apply(p)
}

func TestPublication_publicAlways(t *testing.T) {
	d := newDriver(t)
	d.gitlab.SetVisibility(d.project, "public")
	d.gitlab.Deploy(d.project, "production")
	d.gitlab.Clock.AdvanceDays(1)
	args := variables(arguments{"mode": "always"})
	d.mustApply(args)
	d.refresh()
	if strings.Contains(strings.Join(describe(d.last), ""), "production of acme/shop cannot pull") && d.gitlab.ClusterPulls(d.project, "production") {
		t.Error("false alarm: no Secret was ever written, and production pulls")
	}
}

func TestPublication_groupVariables(t *testing.T) {
	d := newDriver(t)
	tk := d.gitlab.CreateDeployToken(d.project, "ours", "puller", time.Time{}, "read_registry")
	_ = tk
	all := d.gitlab.Tokens(d.project)
	d.gitlab.SetGroupVariable(d.group, gitlabtest.Variable{Key: userKey, Value: all[0].Username})
	d.gitlab.SetGroupVariable(d.group, gitlabtest.Variable{Key: passwordKey, Value: all[0].Secret})
	d.gitlab.Deploy(d.project, "production")
	d.gitlab.Clock.AdvanceDays(1)
	d.mustApply(variables())
	d.refresh()
	if strings.Contains(strings.Join(describe(d.last), ""), "production of acme/shop cannot pull") && d.gitlab.ClusterPulls(d.project, "production") {
		t.Error("false alarm")
	}
}

func TestPublication_deployedAfterWithdrawalOfScope(t *testing.T) {
	d := newDriver(t)
	d.mustApply(variables())
	d.gitlab.Clock.Advance(3 * time.Minute)
	d.gitlab.Deploy(d.project, "review/x")
	d.mustBeSettled(variables())
	d.mustApply(inProduction())
	d.gitlab.Clock.Advance(3 * time.Minute)
	d.mustBeSettled(inProduction())
	d.gitlab.Deploy(d.project, "review/x")
	d.mustBeSettled(inProduction())
}
