package gitlabtest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// variableChange is what a request says about a variable; nil is nothing.
type variableChange struct {
	key, value, kind, scope, description *string
	protected, masked, hidden, raw       *bool
}

// variableParams reads what creation and change have in common. A parameter that the
// version does not know is dropped without a word, and so is a group's scope on Free
// (ee/lib/ee/api/group_variables.rb).
func (s *Server) variableParams(p *parameters, h *variableHolder) variableChange {
	c := variableChange{
		value: p.clearable("value"), kind: p.oneOf("variable_type", "env_var", "file"),
		protected: p.boolean("protected"), masked: p.boolean("masked"),
	}
	if !h.ofGroup || s.world.premium {
		c.scope = p.clearable("environment_scope")
	}
	if s.world.since(knowsRaw) {
		c.raw = p.boolean("raw")
	}
	if s.world.since(knowsDescription) {
		c.description = p.clearable("description")
	}
	return c
}

func (c variableChange) apply(v *Variable) {
	set(&v.Key, c.key)
	set(&v.Value, c.value)
	set(&v.Type, c.kind)
	set(&v.Scope, c.scope)
	set(&v.Description, c.description)
	set(&v.Protected, c.protected)
	set(&v.Masked, c.masked)
	set(&v.Raw, c.raw)
	if c.hidden != nil && *c.hidden {
		v.Masked, v.Hidden = true, true
	}
	// The model takes white space away from both ends (app/models/concerns/ci/has_variable.rb).
	v.Key, v.Scope = strings.TrimSpace(v.Key), strings.TrimSpace(v.Scope)
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

var (
	variableKey = regexp.MustCompile(`\A[a-zA-Z0-9_]+\z`)
	// A value is maskable by one rule or the other (app/models/concerns/ci/maskable.rb).
	maskable    = regexp.MustCompile(`\A[a-zA-Z0-9_+=/@:.~-]{8,}\z`)
	maskableRaw = regexp.MustCompile(`\A\S{8,}\z`)
	// environmentScope are the characters of a scope (lib/gitlab/regex.rb).
	environmentScope = regexp.MustCompile(`\A[a-zA-Z0-9_/$\{\}. *-]+\z`)
)

const mostText = 255

// variableProblems is the model's validation: messages by attribute, nil if all is
// well. Before is the row as it was, nil for a new one.
func (s *Server) variableProblems(h *variableHolder, v, before *variableRow) map[string]any {
	problems := map[string]any{}
	add := func(attribute, text string) {
		list, _ := problems[attribute].([]string)
		problems[attribute] = append(list, text)
	}
	if before != nil && before.Hidden && v.Masked != before.Masked {
		add("base", "The visibility setting cannot be changed for masked and hidden variables.")
	}
	if before == nil && len(*h.rows) >= h.limit {
		add("base", fmt.Sprintf("Maximum number of %s (%d) exceeded", h.limitName, h.limit))
	}
	if utf8.RuneCountInString(v.Key) > mostText {
		add("key", "is too long (maximum is 255 characters)")
	}
	if v.Key == "" {
		add("key", "can't be blank")
	}
	if !variableKey.MatchString(v.Key) {
		add("key", "can contain only letters, digits and '_'.")
	}
	if slices.ContainsFunc(*h.rows, func(o *variableRow) bool { return o != before && o.Key == v.Key && o.Scope == v.Scope }) {
		add("key", fmt.Sprintf("(%s) has already been taken", v.Key))
	}
	if v.Masked && !v.isMaskable() {
		add("value", "is invalid")
	}
	if v.Scope == "" {
		add("environment_scope", "can't be blank")
	}
	if !environmentScope.MatchString(v.Scope) {
		add("environment_scope", "can contain only letters, digits, '-', '_', '/', '$', '{', '}', '.', '*' and spaces")
	}
	if utf8.RuneCountInString(v.Description) > mostText {
		add("description", "is too long (maximum is 255 characters)")
	}
	if len(problems) == 0 {
		return nil
	}
	return problems
}

func (v *Variable) isMaskable() bool {
	if v.Raw {
		return maskableRaw.MatchString(v.Value)
	}
	return maskable.MatchString(v.Value)
}
