package access_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

const prefix = "registry.example.com:5050/acme/shop"

// project is a private project with Auto DevOps on, with changes.
func project(changes ...func(*access.Facts)) access.Facts {
	facts := access.Facts{
		Visibility: access.VisibilityPrivate, RegistryAccessLevel: access.RegistryEnabled, AutoDevOps: new(true), ImagePrefix: prefix,
	}
	for _, change := range changes {
		change(&facts)
	}
	return facts
}

func visibility(v string) func(*access.Facts) { return func(f *access.Facts) { f.Visibility = v } }
func level(v string) func(*access.Facts)      { return func(f *access.Facts) { f.RegistryAccessLevel = v } }
func autoDevOps(v *bool) func(*access.Facts)  { return func(f *access.Facts) { f.AutoDevOps = v } }
func noPrefix(f *access.Facts)                { f.ImagePrefix = "" }

// TestRequire has a case for every row of the decision table and for the borders
// between rows.
func TestRequire(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		mode     access.Mode
		facts    access.Facts
		required bool
		reason   access.Reason
	}{
		"row 1: never, whatever the project":       {access.ModeNever, project(), false, access.ReasonModeNever},
		"row 1: never, without any fact":           {access.ModeNever, access.Facts{}, false, access.ReasonModeNever},
		"row 2: registry disabled":                 {access.ModeAuto, project(level("disabled")), false, access.ReasonRegistryDisabled},
		"row 2: registry disabled beats always":    {access.ModeAlways, project(level("disabled")), false, access.ReasonRegistryDisabled},
		"row 2: registry off for the instance":     {access.ModeAuto, project(noPrefix), false, access.ReasonRegistryDisabled},
		"row 2: disabled, visibility unknown":      {access.ModeAuto, project(level("disabled"), visibility("")), false, access.ReasonRegistryDisabled},
		"row 3: always, Auto DevOps off":           {access.ModeAlways, project(autoDevOps(new(false))), true, access.ReasonModeAlways},
		"row 3: always, public":                    {access.ModeAlways, project(visibility("public")), true, access.ReasonModeAlways},
		"row 3: always, Auto DevOps hidden":        {access.ModeAlways, project(autoDevOps(nil)), true, access.ReasonModeAlways},
		"row 4: public":                            {access.ModeAuto, project(visibility("public")), false, access.ReasonAnonymousPull},
		"row 4: public, Auto DevOps hidden":        {access.ModeAuto, project(visibility("public"), autoDevOps(nil)), false, access.ReasonAnonymousPull},
		"row 6: Auto DevOps off":                   {access.ModeAuto, project(autoDevOps(new(false))), false, access.ReasonAutoDevOpsDisabled},
		"row 7: private":                           {access.ModeAuto, project(), true, access.ReasonPrivate},
		"row 7: private, registry for members":     {access.ModeAuto, project(level("private")), true, access.ReasonPrivate},
		"row 7: internal is denied to anonymous":   {access.ModeAuto, project(visibility("internal")), true, access.ReasonInternal},
		"row 7: public with members-only registry": {access.ModeAuto, project(visibility("public"), level("private")), true, access.ReasonMembersOnly},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := access.Require(c.mode, c.facts)
			if err != nil {
				t.Fatalf("undecidable: %v", err)
			}
			if got.Required != c.required || got.Reason != c.reason {
				t.Errorf("got %v (%s), want %v (%s)", got.Required, got.Reason, c.required, c.reason)
			}
			explanation := got.Reason.Explanation()
			if !strings.HasSuffix(explanation, ".") || strings.Contains(explanation, "acme") {
				t.Errorf("the explanation is no sentence without names: %q", explanation)
			}
		})
	}
}

func TestRequire_undecidable(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		mode  access.Mode
		facts access.Facts
		fact  string
	}{
		"hidden Auto DevOps, private":             {access.ModeAuto, project(autoDevOps(nil)), "auto_devops_enabled"},
		"hidden Auto DevOps, members only":        {access.ModeAuto, project(autoDevOps(nil), visibility("public"), level("private")), "auto_devops_enabled"},
		"visibility missing":                      {access.ModeAuto, project(visibility("")), "visibility"},
		"visibility unknown, Auto DevOps off":     {access.ModeAuto, project(visibility("secret"), autoDevOps(new(false))), "visibility"},
		"level missing":                           {access.ModeAuto, project(level("")), "container_registry_access_level"},
		"level unknown, public":                   {access.ModeAuto, project(level("some"), visibility("public")), "container_registry_access_level"},
		"everything missing, as for an anonymous": {access.ModeAuto, access.Facts{}, "visibility"},
		"mode unknown":                            {"sometimes", project(), "mode"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := access.Require(c.mode, c.facts)
			var undecidable *access.UndecidableError
			if !errors.As(err, &undecidable) {
				t.Fatalf("got %+v, want an error", got)
			}
			if undecidable.Fact != c.fact {
				t.Errorf("blames %s, want %s", undecidable.Fact, c.fact)
			}
		})
	}
}

// anyFacts draws facts that GitLab could send, and some that it could not.
func anyFacts(t *rapid.T) access.Facts {
	return access.Facts{
		Visibility:          rapid.SampledFrom([]string{"private", "internal", "public", "", "hidden"}).Draw(t, "visibility"),
		RegistryAccessLevel: rapid.SampledFrom([]string{"enabled", "private", "disabled", "", "some"}).Draw(t, "level"),
		AutoDevOps:          rapid.SampledFrom([]*bool{nil, new(true), new(false)}).Draw(t, "auto devops"),
		ImagePrefix:         rapid.SampledFrom([]string{prefix, ""}).Draw(t, "prefix"),
	}
}

func anyMode(t *rapid.T) access.Mode {
	return rapid.SampledFrom([]access.Mode{access.ModeAuto, access.ModeAlways, access.ModeNever}).Draw(t, "mode")
}

// TestRequire_laws states what must hold for every project.
func TestRequire_laws(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		facts, mode := anyFacts(t), anyMode(t)
		got, err := access.Require(mode, facts)

		if err != nil && got != (access.Requirement{}) {
			t.Fatalf("an error came with a requirement: %+v", got)
		}
		if err == nil && got.Reason.Explanation() == "" {
			t.Fatalf("no explanation for %q", got.Reason)
		}
		again, _ := access.Require(mode, facts)
		if again != got {
			t.Fatalf("the same facts gave %+v and %+v", got, again)
		}
		// The physical truth: who needs credentials, and has Auto DevOps, is never told "no".
		pullable := facts.RegistryAccessLevel != "disabled" && facts.ImagePrefix != ""
		anonymous := facts.Visibility == "public" && facts.RegistryAccessLevel == "enabled"
		on := facts.AutoDevOps != nil && *facts.AutoDevOps
		if mode == access.ModeAuto && pullable && !anonymous && on && err == nil && !got.Required {
			t.Fatalf("a project that needs credentials was told %s", got.Reason)
		}
		// Fail closed: hiding a fact never turns "needed" into "not needed".
		if err == nil && got.Required {
			for name, hide := range map[string]func(*access.Facts){
				"visibility":  func(f *access.Facts) { f.Visibility = "" },
				"level":       func(f *access.Facts) { f.RegistryAccessLevel = "" },
				"auto devops": func(f *access.Facts) { f.AutoDevOps = nil },
			} {
				less := facts
				hide(&less)
				if hidden, err := access.Require(mode, less); err == nil && !hidden.Required {
					t.Fatalf("hiding %s turned %s into %s", name, got.Reason, hidden.Reason)
				}
			}
		}
	})
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	got := access.Overrides{Visibility: new("public"), AutoDevOps: new(false)}.Apply(project())
	if got.Visibility != "public" || *got.AutoDevOps || got.RegistryAccessLevel != access.RegistryEnabled {
		t.Errorf("got %+v", got)
	}
	if (access.Overrides{}).Any() || !(access.Overrides{RegistryAccessLevel: new("private")}).Any() {
		t.Error("Any does not tell whether a fact is stated")
	}
}

// TestRequirement_Explanation: a registry that GitLab does not name is not one that is off
// for the project.
func TestRequirement_Explanation(t *testing.T) {
	t.Parallel()
	on := true
	unnamed := access.Facts{Visibility: "private", RegistryAccessLevel: "enabled", AutoDevOps: &on}
	disabled := access.Facts{Visibility: "private", RegistryAccessLevel: "disabled", AutoDevOps: &on}
	for name, c := range map[string]struct {
		facts access.Facts
		want  string
	}{
		"no image prefix": {unnamed, access.RegistryMissingExplanation},
		"level disabled":  {disabled, access.ReasonRegistryDisabled.Explanation()},
	} {
		r, err := access.Require(access.ModeAuto, c.facts)
		if err != nil || r.Reason != access.ReasonRegistryDisabled || r.Explanation() != c.want {
			t.Errorf("%s: %s: %s, %v", name, r.Reason, r.Explanation(), err)
		}
	}
}
