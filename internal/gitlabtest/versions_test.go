package gitlabtest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// TestVersions_boundaries asks the version before a change, and the one that brought it.
// The sources stand in versions.go.
func TestVersions_boundaries(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before, since string
		// knows says whether the server behaves as the newer one.
		knows func(s *ciStage) bool
	}{
		"one deploy token": {"14.8.6", "14.9.0", func(s *ciStage) bool {
			deploy := s.g.CreateDeployToken(s.p, "pull", "", time.Time{}, "read_registry")
			return s.ask("GET", fmt.Sprintf("/deploy_tokens/%d", deploy.ID), "").status == 200
		}},
		"a group's token in jobs": {"15.0.5", "15.1.0", func(s *ciStage) bool {
			group := s.g.CreateGroup("other", gitlabtest.GroupOptions{})
			project := s.g.CreateProject("other/shop", gitlabtest.ProjectOptions{})
			s.g.CreateGroupDeployToken(group, "gitlab-deploy-token", "", time.Time{}, "read_registry")
			return s.g.StartJob(project).Variables["CI_DEPLOY_USER"] != ""
		}},
		"metadata":      {"15.1.6", "15.2.0", func(s *ciStage) bool { return s.askAPI("GET", "/metadata", "").status == 200 }},
		"the own token": {"15.4.6", "15.5.0", func(s *ciStage) bool { return s.askAPI("GET", "/personal_access_tokens/self", "").status == 200 }},
		"prefixes of deploy tokens": {"16.6.10", "16.7.0", func(s *ciStage) bool {
			return strings.HasPrefix(s.g.CreateDeployToken(s.p, "pull", "", time.Time{}, "read_registry").Secret, "gldt-")
		}},
		"descriptions of environments": {"16.11.10", "17.0.0", func(s *ciStage) bool {
			e := s.g.CreateEnvironment(s.p, "production")
			_, known := fieldsOf(s.T, s.ask("GET", fmt.Sprintf("/environments/%d", e.ID), ""))["description"]
			return known
		}},
		"delayed deletion on Free": {"17.11.7", "18.0.0", func(s *ciStage) bool {
			s.g.SetPremium(false)
			_, known := fieldsOf(s.T, s.ask("GET", "", ""))["marked_for_deletion_on"]
			return known
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for version, want := range map[string]bool{c.before: false, c.since: true} {
				s := newCIStage(t)
				s.g.SetVersion(version)
				if got := c.knows(s); got != want {
					t.Errorf("%s: %v", version, got)
				}
			}
		})
	}
}
