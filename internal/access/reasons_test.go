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
	for _, mode := range []access.Mode{access.ModeAuto, access.ModeAlways, access.ModeNever} {
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
	if len(reasons) != 8 {
		t.Errorf("%d reasons", len(reasons))
	}
	for reason, required := range reasons {
		row := fmt.Sprintf("| `%s` | %s | %s |", reason, map[bool]string{true: "yes", false: "no"}[required], reason.Explanation())
		if !strings.Contains(string(guide), row) {
			t.Errorf("the guide lacks %s", row)
		}
	}
}
