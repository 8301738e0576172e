package gitlabtest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// readParams merges query and body, JSON or form. A name with brackets is nested:
// "filter[environment_scope]" is a field of filter, "scopes[]" is an item of scopes.
// JSON is taken as it is.
func (x *exchange) readParams() bool {
	x.params = map[string]any{}
	nest(x.params, x.request.URL.Query())
	body, _ := io.ReadAll(x.request.Body)
	if len(body) == 0 {
		return true
	}
	if strings.HasPrefix(x.request.Header.Get("Content-Type"), "application/json") {
		var fields map[string]any
		if json.Unmarshal(body, &fields) != nil {
			x.json(http.StatusBadRequest, map[string]any{"error": "Problems parsing JSON"})
			return false
		}
		maps.Copy(x.params, fields)
		return true
	}
	if form, err := url.ParseQuery(string(body)); err == nil {
		nest(x.params, form)
	}
	return true
}

func nest(params map[string]any, values url.Values) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		last := values[name][len(values[name])-1]
		outer, inner, nested := strings.Cut(strings.TrimSuffix(name, "]"), "[")
		switch {
		case !nested:
			params[name] = last
		case inner == "":
			items := make([]any, len(values[name]))
			for i, v := range values[name] {
				items[i] = v
			}
			params[outer] = items
		default:
			fields, isMap := params[outer].(map[string]any)
			if !isMap {
				fields = map[string]any{}
				params[outer] = fields
			}
			fields[inner] = last
		}
	}
}

// parameters checks the declared parameters of a request, as GitLab's parameter layer
// (Grape) does. Undeclared ones are ignored. Nil is a parameter that was not given, or
// given as null.
type parameters struct {
	x        *exchange
	problems []string
}

func (x *exchange) declared() *parameters { return &parameters{x: x} }

// valid answers with all problems, if there are any.
func (p *parameters) valid() bool {
	if len(p.problems) == 0 {
		return true
	}
	p.x.json(http.StatusBadRequest, map[string]any{"error": strings.Join(p.problems, ", ")})
	return false
}

func (p *parameters) problem(name, what string) { p.problems = append(p.problems, name+" "+what) }

// requires wants the names to be given. A null is given.
func (p *parameters) requires(names ...string) {
	for _, name := range names {
		if _, given := p.x.params[name]; !given {
			p.problem(name, "is missing")
		}
	}
}

// filled refuses empty text.
func (p *parameters) filled(names ...string) {
	for _, name := range names {
		if value, given := p.x.params[name]; given && (value == nil || strings.TrimSpace(fmt.Sprint(value)) == "") {
			p.problem(name, "is empty")
		}
	}
}

// text takes numbers and booleans as well.
func (p *parameters) text(name string) *string {
	switch value := p.x.params[name].(type) {
	case nil:
		return nil
	case map[string]any, []any:
		p.problem(name, "is invalid")
		return nil
	case float64:
		return new(strconv.FormatFloat(value, 'f', -1, 64))
	default:
		return new(fmt.Sprint(value))
	}
}

// clearable is text that a null empties.
func (p *parameters) clearable(name string) *string {
	if value, given := p.x.params[name]; given && value == nil {
		return new("")
	}
	return p.text(name)
}

func (p *parameters) oneOf(name string, allowed ...string) *string {
	value := p.text(name)
	if value != nil && !slices.Contains(allowed, *value) {
		p.problem(name, "does not have a valid value")
		return nil
	}
	return value
}

// What the parameter layer takes for a boolean (dry-types, coercions of Params).
var (
	trueWords  = []string{"1", "on", "On", "ON", "t", "true", "True", "TRUE", "T", "y", "yes", "Yes", "YES", "Y"}
	falseWords = []string{"0", "off", "Off", "OFF", "f", "false", "False", "FALSE", "F", "n", "no", "No", "NO", "N"}
)

// boolean takes the words above. Empty text is as good as null.
func (p *parameters) boolean(name string) *bool {
	value := fmt.Sprint(p.x.params[name])
	switch {
	case p.x.params[name] == nil || value == "":
		return nil
	case slices.Contains(trueWords, value):
		return new(true)
	case slices.Contains(falseWords, value):
		return new(false)
	}
	p.problem(name, "is invalid")
	return nil
}

func (p *parameters) integer(name string) *int64 {
	switch value := p.x.params[name].(type) {
	case nil:
		return nil
	case float64:
		if value == math.Trunc(value) {
			return new(int64(value))
		}
	case string:
		if value == "" {
			return nil
		}
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			return &n
		}
	}
	p.problem(name, "is invalid")
	return nil
}

// moment is a date with a time.
func (p *parameters) moment(name string) *time.Time {
	value := p.x.params[name]
	if value == nil || value == "" {
		return nil
	}
	at, ok := parseExpiry(value)
	if !ok {
		p.problem(name, "is invalid")
		return nil
	}
	return &at
}

// fields is a parameter with parameters of its own.
func (p *parameters) fields(name string) map[string]any {
	switch value := p.x.params[name].(type) {
	case nil:
		return nil
	case map[string]any:
		return value
	}
	if p.x.params[name] != "" {
		p.problem(name, "is invalid")
	}
	return nil
}

// pathID is a number in the path.
func (x *exchange) pathID(name string) (int64, bool) {
	id, err := strconv.ParseInt(x.vars[name], 10, 64)
	if err != nil {
		x.json(http.StatusBadRequest, map[string]any{"error": name + " is invalid"})
		return 0, false
	}
	return id, true
}
