package registryaccess

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

// privateData is the private state of a request or a response.
type privateData interface {
	GetKey(ctx context.Context, key string) ([]byte, diag.Diagnostics)
	SetKey(ctx context.Context, key string, value []byte) diag.Diagnostics
}

// The keys of the private state.
const (
	// observedKey holds an observation.
	observedKey = "observed"
	// originKey holds an origin.
	originKey = "origin"
	// mintedWithKey holds the tokenArguments of the current token.
	mintedWithKey = "minted_with"
	// usernameKey holds the username that an import has chosen for the take-over.
	usernameKey = "username"
	// historyKey holds a history.
	historyKey = "published"
	// legacyVerdictsKey held what 0.1.0 observed. It is removed.
	legacyVerdictsKey = "verdicts"
)

// privateVersion is the version of the formats below. What another version wrote counts
// as not observed, until the next refresh.
const privateVersion = 1

// nothingObserved is the encoding of an empty observation, which is the same as none.
const nothingObserved = `{"version":1}`

// observation is access.Observation as it is stored.
type observation struct {
	Version int `json:"version"`
	access.Observation
}

// origin is where a state comes from: which GitLab it is about, and which tokens it
// means by their ids.
type origin struct {
	Version int `json:"version"`
	// GitLab is the root URL; empty if it is not known.
	GitLab string         `json:"gitlab,omitempty"`
	Tokens map[int64]mark `json:"tokens,omitempty"`
}

// mark tells a deploy token from another one with the same id in another GitLab.
type mark struct {
	Name     string `json:"name"`
	Username string `json:"username"`
}

func markOf(t access.DeployToken) mark { return mark{Name: t.Name, Username: t.Username} }

// history is what was published in CI/CD variables, and when.
type history struct {
	Version int `json:"version"`
	// Scope of the variables that hold the credentials, or may; empty if none do.
	Scope string `json:"scope,omitempty"`
	// Stale are other scopes, whose variables are still to be removed.
	Stale []string `json:"stale,omitempty"`
	// Published are the publications, oldest first.
	Published []access.PublishedToken `json:"published,omitempty"`
	// Complete: before the first of them, jobs got what GitLab injects.
	Complete      bool      `json:"complete,omitempty"`
	RepublishedAt time.Time `json:"republished_at,omitzero"`
}

// maxPublications bounds a history.
const maxPublications = 20

// begin notes a publication before it is sent: from then on it may have happened.
func (h history) begin(scope string, p access.PublishedToken) history {
	h.Stale = slices.DeleteFunc(append(slices.Clone(h.Stale), h.Scope), func(s string) bool { return s == "" || s == scope })
	slices.Sort(h.Stale)
	h.Stale = slices.Compact(h.Stale)
	h.Scope = scope
	h.Published = slices.Clone(h.Published)
	if i := len(h.Published) - 1; i >= 0 && h.Published[i].From.IsZero() && h.Published[i].TokenID == p.TokenID {
		h.Published = h.Published[:i] // the same once more
	}
	h.Published = append(h.Published, p)
	// What may still be in the variables is never forgotten.
	certain := 0
	for i, one := range h.Published {
		if !one.From.IsZero() {
			certain = i
		}
	}
	if over := min(len(h.Published)-maxPublications, certain); over > 0 {
		h.Published, h.Complete = h.Published[over:], false
	}
	return h
}

// confirm notes that GitLab has the publication that was begun last.
func (h history) confirm(at time.Time) history {
	h.Published = slices.Clone(h.Published)
	if last := len(h.Published) - 1; last >= 0 {
		h.Published[last].From = at
	}
	h.RepublishedAt = time.Time{}
	return h
}

// withdraw notes that nothing is published any more.
func (h history) withdraw(at time.Time) history {
	h.Scope, h.Stale = "", nil
	return h.begin("", access.PublishedToken{From: at})
}

// last is the publication that is certain; ok is false if there is none.
func (h history) last() (p access.PublishedToken, ok bool) {
	for _, p := range slices.Backward(h.Published) {
		if !p.From.IsZero() {
			return p, true
		}
	}
	return p, false
}

// notes is everything in the private state.
type notes struct {
	observed   access.Observation
	origin     origin
	mintedWith tokenArguments
	history    history
	// username is empty if no import has chosen one.
	username string
}

func readNotes(ctx context.Context, private privateData) (n notes, diags diag.Diagnostics) {
	var observed observation
	for key, target := range map[string]any{
		observedKey: &observed, originKey: &n.origin, mintedWithKey: &n.mintedWith, usernameKey: &n.username,
		historyKey: &n.history,
	} {
		raw, more := private.GetKey(ctx, key)
		diags.Append(more...)
		if len(raw) == 0 || (key == observedKey || key == originKey || key == historyKey) && versionOf(raw) != privateVersion {
			continue
		}
		if err := json.Unmarshal(raw, target); err != nil {
			diags.AddError("Cannot read the private state", fmt.Sprintf("The key %q does not hold valid data: %v.", key, err))
		}
	}
	n.observed = observed.Observation
	return n, diags
}

// versionOf is the version of an encoded value; 0 if it has none.
func versionOf(raw []byte) int {
	var versioned struct {
		Version int `json:"version"`
	}
	_ = json.Unmarshal(raw, &versioned)
	return versioned.Version
}

// writeObserved stores an observation.
func writeObserved(ctx context.Context, old, private privateData, observed access.Observation) diag.Diagnostics {
	diags := writePrivate(ctx, old, private, observedKey, observation{Version: privateVersion, Observation: observed})
	if stored, _ := old.GetKey(ctx, legacyVerdictsKey); len(stored) > 0 {
		diags.Append(private.SetKey(ctx, legacyVerdictsKey, nil)...)
	}
	return diags
}

// writeOrigin stores where the state comes from, with the marks of the tokens of the record.
func writeOrigin(ctx context.Context, old, private privateData, gitlab string, known map[int64]mark, record access.Record) diag.Diagnostics {
	o := origin{Version: privateVersion, GitLab: gitlab, Tokens: maps.Clone(known)}
	ids := record.TokenIDs()
	maps.DeleteFunc(o.Tokens, func(id int64, _ mark) bool { return !slices.Contains(ids, id) })
	return writePrivate(ctx, old, private, originKey, o)
}

// writeHistory stores what was published.
func writeHistory(ctx context.Context, private privateData, h history) diag.Diagnostics {
	h.Version = privateVersion
	return writePrivate(ctx, private, private, historyKey, h)
}

// writePrivate writes a key only if its value changes: drift checks compare
// private state as well.
func writePrivate(ctx context.Context, old, private privateData, key string, value any) diag.Diagnostics {
	encoded, err := json.Marshal(value)
	if err != nil {
		return diag.Diagnostics{diag.NewErrorDiagnostic("Cannot write the private state", err.Error())}
	}
	stored, diags := old.GetKey(ctx, key)
	if string(stored) == string(encoded) || len(stored) == 0 && string(encoded) == nothingObserved {
		return diags
	}
	diags.Append(private.SetKey(ctx, key, encoded)...)
	return diags
}
