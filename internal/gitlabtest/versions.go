package gitlabtest

import (
	"strconv"
	"strings"
)

// release is a minor version of GitLab.
type release struct{ major, minor int }

// What came with which version.
var (
	// readsOneToken: GET of a single deploy token (gitlab#355778).
	readsOneToken = release{14, 9}
	// givesGroupTokens: jobs get a group's token of GitLab's own name
	// (doc/user/project/deploy_tokens/_index.md).
	givesGroupTokens = release{15, 1}
	// knowsMetadata (doc/api/metadata.md).
	knowsMetadata = release{15, 2}
	// knowsOwnToken: a token describes itself (doc/api/personal_access_tokens.md).
	knowsOwnToken = release{15, 5}
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
	// prefixesTokens: deploy tokens begin with gldt- (gitlab!138438 of December 2023; the
	// version is inferred from the date).
	prefixesTokens = release{16, 7}
	// describesEnvironments: description and auto_stop_setting are missing in the
	// documentation of late 16 (doc/api/environments.md @002fad5e; the version is inferred).
	describesEnvironments = release{17, 0}
	// knowsHidden: hidden and masked_and_hidden (the same page).
	knowsHidden = release{17, 4}
	// asksForVariables: the endpoints ask for admin_cicd_variables instead of admin_build
	// (gitlab!144198 of February 2024; the version is inferred from the date).
	asksForVariables = release{16, 10}
	// delaysDeletion: on Free as well, projects are scheduled for deletion, and say so
	// (gitlab&17208; the version is inferred).
	delaysDeletion = release{18, 0}
)

// routesSince are the endpoints that older versions do not have.
var routesSince = map[string]release{
	"GET /projects/:id/deploy_tokens/:token_id": readsOneToken,
	"GET /groups/:id/deploy_tokens/:token_id":   readsOneToken,
	"GET /metadata":                    knowsMetadata,
	"GET /personal_access_tokens/self": knowsOwnToken,
}

// missing says whether that endpoint came with a later version.
func (w *world) missing(r *route) bool {
	came, isNew := routesSince[r.method+" "+r.pattern]
	return isNew && !w.since(came)
}

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
