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
