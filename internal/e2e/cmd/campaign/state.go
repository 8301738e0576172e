//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// object is one object of the access in the state: the current one, or one that
// was replaced and is still to be destroyed.
type object struct {
	Tainted, Deposed bool

	Name        string     `json:"name"`
	Username    string     `json:"username"`
	Required    bool       `json:"required"`
	Reason      string     `json:"reason"`
	TokenID     int64      `json:"token_id"`
	Token       string     `json:"token"`
	Config      string     `json:"docker_config_json"`
	Generation  int64      `json:"generation"`
	RotateAt    *time.Time `json:"rotate_at"`
	EndsAt      *time.Time `json:"ends_at"`
	ProjectPath string     `json:"project_path"`
	Retired     []struct {
		TokenID  int64     `json:"token_id"`
		RevokeAt time.Time `json:"revoke_at"`
	} `json:"retired_tokens"`
	Unmanaged []int64 `json:"unmanaged_token_ids"`

	CIVariables map[string]any `json:"ci_variables"`
	CIStatus    string         `json:"ci_status"`
	PublishedAt *time.Time     `json:"published_at"`
	// Behind is nil if nobody has asked.
	Behind *[]behindState `json:"environments_behind"`
}

// behindState is one of environments_behind.
type behindState struct {
	Name  string `json:"name"`
	Holds string `json:"holds"`
}

// holds reports whether the object counts the token among its own.
func (o *object) holds(id int64) bool {
	return o != nil && id != 0 && (o.TokenID == id || slices.Contains(o.retired(), id))
}

func (o *object) retired() []int64 {
	ids := make([]int64, 0, len(o.Retired))
	for _, t := range o.Retired {
		ids = append(ids, t.TokenID)
	}
	return ids
}

// due reports whether the overlap of a retired token is over.
func (o *object) due(id int64, now time.Time) bool {
	if o == nil {
		return false
	}
	for _, t := range o.Retired {
		if t.TokenID == id && !now.Before(t.RevokeAt) {
			return true
		}
	}
	return false
}

// windDownOver reports whether the current token's announced end has come.
func (o *object) windDownOver(now time.Time) bool {
	return o != nil && o.EndsAt != nil && !now.Before(*o.EndsAt)
}

// unproven is what a failed creation has left: it never had a token that pulls, so
// all tokens of its username are its own.
func (o *object) unproven() bool { return o != nil && o.Tainted && o.Token == "" }

// secret is the content of the cluster's Secret.
type secret struct {
	text, username, password string
}

// snapshot is the state and GitLab at one moment.
type snapshot struct {
	now     time.Time
	objects []*object
	// secret is nil if the cluster has none.
	secret *secret
	pulls  bool
	tokens map[int64]gitlabtest.Token
	// variables are the project's CI/CD variables.
	variables []gitlabtest.Variable
}

// current is the object that is not to be destroyed; nil if there is none.
func (s snapshot) current() *object {
	for _, o := range s.objects {
		if !o.Deposed {
			return o
		}
	}
	return nil
}

func (s snapshot) active(id int64) bool { return s.tokens[id].Active }

// held reports whether the state names the token as its own.
func (s snapshot) held(id int64) bool {
	return slices.ContainsFunc(s.objects, func(o *object) bool { return o.holds(id) })
}

// secretToken is the id of the token in the Secret; 0 if GitLab has none such.
func (s snapshot) secretToken() int64 {
	for id, t := range s.tokens {
		if s.secret != nil && s.secret.password != "" && t.Secret == s.secret.password {
			return id
		}
	}
	return 0
}

func (s snapshot) describe() string {
	var text strings.Builder
	add := func(format string, args ...any) { _, _ = fmt.Fprintf(&text, format, args...) }
	add("at %s", s.now.Format(time.DateTime))
	for _, o := range s.objects {
		add("; token %d of %q, retired %v, unmanaged %v, required %v (%s), tainted %v, deposed %v, ci_status %q",
			o.TokenID, o.Username, o.retired(), o.Unmanaged, o.Required, o.Reason, o.Tainted, o.Deposed, o.CIStatus)
		if o.PublishedAt != nil {
			add(", published at %s", o.PublishedAt.Format(time.DateTime))
		}
		if o.Behind != nil {
			add(", behind %v", *o.Behind)
		}
	}
	add("; alive in GitLab:")
	for _, id := range sortedIDs(s.tokens) {
		if s.active(id) {
			add(" %d(%s)", id, s.tokens[id].Username)
		}
	}
	add("; the Secret has token %d and pulls: %v; variables:", s.secretToken(), s.pulls)
	for _, v := range s.variables {
		if id := s.tokenOf(v.Value); id != 0 {
			add(" %s(%s)=token %d", v.Key, v.Scope, id)
		} else {
			add(" %s(%s)=somebody's %v", v.Key, v.Scope, strings.Contains(v.Value, theirMark))
		}
	}
	return text.String()
}

// rawState is the state file as far as the campaign reads it. What it does not
// read stays as it is.
type rawState map[string]json.RawMessage

type rawResource struct {
	Type      string
	Instances []struct {
		Status     string
		Deposed    string
		Attributes json.RawMessage
	}
}

// readState reads the state file; nil if there is none, or one without content, as
// the CLI makes it before it has something to write.
func readState(file string) (rawState, error) {
	text, err := os.ReadFile(file) //nolint:gosec // in a folder of our own
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var raw rawState
	return raw, json.Unmarshal(text, &raw)
}

// resources are those of one type, read and raw.
func (r rawState) resources() (read []rawResource, raw []json.RawMessage, err error) {
	if len(r["resources"]) == 0 {
		return nil, nil, nil
	}
	return read, raw, errors.Join(json.Unmarshal(r["resources"], &read), json.Unmarshal(r["resources"], &raw))
}

// decode reads the objects of the access, and the digest of the Secret's content.
func (r rawState) decode() (objects []*object, digest string, err error) {
	resources, _, err := r.resources()
	if err != nil {
		return nil, "", err
	}
	for _, resource := range resources {
		for _, instance := range resource.Instances {
			if resource.Type == "terraform_data" {
				var data struct{ Output struct{ Value string } }
				err = errors.Join(err, json.Unmarshal(instance.Attributes, &data))
				digest = data.Output.Value
				continue
			}
			o := &object{}
			err = errors.Join(err, json.Unmarshal(instance.Attributes, o))
			o.Tainted, o.Deposed = instance.Status == "tainted", instance.Deposed != ""
			objects = append(objects, o)
		}
	}
	return objects, digest, err
}

func newSecret(text string) *secret {
	var config struct {
		Auths map[string]struct{ Username, Password string }
	}
	_ = json.Unmarshal([]byte(text), &config) // whatever is not a docker config has no credentials
	s := &secret{text: text}
	for _, auth := range config.Auths {
		s.username, s.password = auth.Username, auth.Password
	}
	return s
}

// withAccessOf returns the state with the access as an older state has it: what is
// left when a state was not saved. The Secret is in the cluster as it is, and a
// refresh would show it so.
func (r rawState) withAccessOf(older rawState) (rawState, error) {
	kept := []json.RawMessage{}
	for _, from := range []struct {
		state  rawState
		access bool
	}{{r, false}, {older, true}} {
		read, raw, err := from.state.resources()
		if err != nil {
			return nil, err
		}
		for i, resource := range read {
			if (resource.Type == "autodevops_registry_access") == from.access {
				kept = append(kept, raw[i])
			}
		}
	}
	encoded, err := json.Marshal(kept)
	if err != nil {
		return nil, err
	}
	next := maps.Clone(r)
	next["resources"] = encoded
	return next, nil
}

func sortedIDs(tokens map[int64]gitlabtest.Token) []int64 {
	ids := make([]int64, 0, len(tokens))
	for id := range tokens {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
