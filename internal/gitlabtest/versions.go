package gitlabtest

import (
	"strconv"
	"strings"
)

// release is a minor version of GitLab.
type release struct{ major, minor int }

// What came with which version.
var (
	// knowsRaw: raw variables.
	knowsRaw = release{15, 7}
	// knowsDescription: descriptions of variables (doc/api/project_level_variables.md).
	knowsDescription = release{16, 2}
	// knowsFinishedFilter: finished_after and finished_before of deployments (gitlab!105017,
	// the version is inferred). Before it, order_by=finished_at was refused.
	knowsFinishedFilter = release{15, 7}
	// pairsUpdates: the filters of updated_at need its order (gitlab#328500).
	pairsUpdates = release{16, 0}
	// keepsEnvironmentNames: environments cannot be renamed any more (doc/api/environments.md).
	keepsEnvironmentNames = release{16, 0}
	// allowsJobTokens: environments and deployments take the tokens of jobs (the same page).
	allowsJobTokens = release{16, 2}
	// dropsRefOrder: deployments are not ordered by ref any more (gitlab!127519).
	dropsRefOrder = release{16, 3}
	// knowsHidden: hidden and masked_and_hidden (the same page).
	knowsHidden = release{17, 4}
	// asksForVariables: the endpoints ask for admin_cicd_variables instead of admin_build
	// (gitlab!144198 of February 2024; the version is inferred from the date).
	asksForVariables = release{16, 10}
)

// since says whether the instance has that version or a later one. A version that is
// not one counts as the newest.
func (w *world) since(r release) bool {
	parts := strings.SplitN(w.version, ".", 3)
	if len(parts) < 2 {
		return true
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	if err1 != nil || err2 != nil {
		return true
	}
	return major > r.major || major == r.major && minor >= r.minor
}
