package access_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

// TestReasons_documented: the guide has every reason that a decision can have, as
// the decision has it.
func TestReasons_documented(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../templates/guides/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	on, off := true, false
	reasons := map[access.Reason]bool{}
	for _, mode := range access.Modes() {
		for _, visibility := range access.Visibilities() {
			for _, level := range access.RegistryAccessLevels() {
				for _, autoDevOps := range []*bool{&on, &off} {
					r, err := access.Require(mode, access.Facts{Visibility: visibility, RegistryAccessLevel: level, AutoDevOps: autoDevOps, ImagePrefix: "registry.example.com/a"})
					if err != nil {
						t.Fatal(err)
					}
					reasons[r.Reason] = r.Required
				}
			}
		}
	}
	for _, reason := range access.Reasons() {
		if _, given := reasons[reason]; !given {
			t.Errorf("no facts give the reason %s", reason)
		}
	}
	if len(reasons) != len(access.Reasons()) {
		t.Errorf("%d reasons are given, and %d are listed", len(reasons), len(access.Reasons()))
	}
	for reason, required := range reasons {
		row := fmt.Sprintf("| `%s` | %s | %s |", reason, map[bool]string{true: "yes", false: "no"}[required], reason.Explanation())
		if !strings.Contains(string(guide), row) {
			t.Errorf("the guide lacks %s", row)
		}
	}
}

// TestActions_documented: the guide on reasons and the sample policy have every action
// that a state can hold. Neither can be generated.
func TestActions_documented(t *testing.T) {
	t.Parallel()
	for file, form := range map[string]string{
		"../../templates/guides/reasons.md":          "| `%s` |",
		"../../examples/policy/registry_access.rego": "%q,",
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, action := range access.Actions() {
			if action != access.ActionHold && !strings.Contains(string(text), fmt.Sprintf(form, action)) {
				t.Errorf("%s lacks %s", file, action)
			}
		}
	}
}
