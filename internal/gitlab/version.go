package gitlab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MinVersion is the oldest GitLab that works: the first with GET of a single deploy token
// (gitlab-org/gitlab issue 355778), without which a token that is missing from a list
// cannot be told from one that was deleted. The flag for revoked tokens is older (issue 292433).
const MinVersion = "14.9"

// versionTimeout bounds a request whose answer is not indispensable.
const versionTimeout = 10 * time.Second

// version is a GitLab's major and minor version; zero if it is not known.
type version struct{ major, minor int }

func (v version) String() string { return fmt.Sprintf("%d.%d", v.major, v.minor) }

func (v version) older(than version) bool {
	return v.major < than.major || v.major == than.major && v.minor < than.minor
}

// parseVersion reads "14.9.0-ee"; zero if it is anything else.
func parseVersion(text string) version {
	parts := strings.SplitN(text, ".", 3)
	if len(parts) < 2 {
		return version{}
	}
	major, err := strconv.Atoi(parts[0])
	if err != nil {
		return version{}
	}
	minor, err := strconv.Atoi(parts[1])
	if err != nil {
		return version{}
	}
	return version{major, minor}
}

// checkVersion asks GitLab once what version it is, and returns an error of
// KindUnsupported if that is too old. A GitLab that does not say passes.
func (c *Client) checkVersion(ctx context.Context, action string) error {
	known, _ := c.version.get(ctx, "", true, func() (version, error) {
		short, cancel := context.WithTimeout(ctx, versionTimeout)
		defer cancel()
		got, err := c.request(short, http.MethodGet, "version", nil)
		if err != nil {
			return version{}, err
		}
		var body struct {
			Version string `json:"version"`
		}
		if got.status != http.StatusOK || json.Unmarshal(got.body, &body) != nil {
			return version{}, nil
		}
		return parseVersion(body.Version), nil
	})
	if known != (version{}) && known.older(parseVersion(MinVersion)) {
		return unsupported(action, "it is version "+known.String())
	}
	return nil
}

func unsupported(action, why string) *Error {
	return &Error{
		Action: action, Kind: KindUnsupported, Said: "this GitLab is too old: " + why,
		Advice: "The provider needs GitLab " + MinVersion + " or later. No deploy token was left behind.",
	}
}
