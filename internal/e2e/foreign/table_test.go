package foreign_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// row is one thing to ask, and what GitLab says to it.
type row struct {
	name string
	// source is where GitLab says so.
	source string
	// before is what somebody else does first.
	before func()
	// as names the caller, a key of stage.callers.
	as   string
	op   string
	args args
	want want
}

// args are the arguments of an operation. Functions are called when it is asked.
type args map[string]any

// want is the answer.
type want struct {
	// status and texts are a refusal. Clients show one of the texts of an answer.
	status int
	texts  []string
	// fields are some of the object's, nil for null; absent are keys that it does not have.
	fields map[string]any
	absent []string
	// each and are: the list's rows have these values under that key, in this order.
	each string
	are  []any
	// then looks at what is left behind.
	then func(object map[string]any) error
}

func refused(status int, texts ...string) want { return want{status: status, texts: texts} }

func shows(fields map[string]any, absent ...string) want { return want{fields: fields, absent: absent} }

func lists(each string, are ...any) want { return want{each: each, are: are} }

func done(then func() error) want { return want{then: func(map[string]any) error { return then() }} }

func TestClients(t *testing.T) {
	t.Parallel()
	for _, c := range clients() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, c)
			w := newStage(t)
			table := slices.Concat(w.selfRows(), w.projectRows(), w.listRows(), w.tokenRows(), w.groupTokenRows(), w.variableRows(), w.environmentRows(), w.deploymentRows())
			known := map[string]bool{}
			for _, r := range table {
				if known[r.name] {
					t.Fatalf("two rows %q", r.name)
				}
				known[r.name] = true
				// The rows build on each other, so none is left out but by its client.
				t.Run(r.name, func(t *testing.T) { w.check(t, c, s, r) })
			}
			for name := range c.cannot {
				if !known[name] {
					t.Errorf("there is no row %q", name)
				}
			}
		})
	}
}

func (w *stage) check(t *testing.T, c client, s *session, r row) {
	t.Helper()
	if r.before != nil {
		r.before()
	}
	if reason, cannot := c.cannot[r.name]; cannot {
		t.Skipf("%s %s", c.name, reason)
	}
	asked := map[string]any{}
	for name, value := range r.args {
		if later, isFunc := value.(func() any); isFunc {
			value = later()
		}
		asked[name] = value
	}
	got := s.ask(t, map[string]any{"op": r.op, "url": w.g.URL, "token": w.callers[r.as], "args": asked})
	if problem := r.want.problem(c, got); problem != "" {
		t.Errorf("%s as %s %v: %s\n(%s)", r.op, r.as, asked, problem, r.source)
	}
}

// problem says how the answer differs from the one that is wanted.
func (want want) problem(c client, got answer) string {
	switch {
	case got.Failed != "":
		return "the client failed: " + got.Failed
	case got.Status != want.status:
		return fmt.Sprintf("status %d %q, want %d", got.Status, got.Message, want.status)
	case want.status != 0:
		if c.silent404 && want.status == 404 {
			return ""
		}
		if !slices.ContainsFunc(want.texts, func(text string) bool { return strings.Contains(got.Message, text) }) {
			return fmt.Sprintf("text %q, want one of %q", got.Message, want.texts)
		}
		return ""
	case want.each != "":
		return want.rowsProblem(got)
	}
	var object map[string]any
	if len(want.fields)+len(want.absent) > 0 {
		if err := json.Unmarshal(got.Value, &object); err != nil || object == nil {
			return fmt.Sprintf("no object but %s", got.Value)
		}
	}
	for name, value := range want.fields {
		if !same(object[name], value) && (value != nil || !c.typed || !empty(object[name])) {
			return fmt.Sprintf("%s is %v, want %v", name, object[name], value)
		}
	}
	for _, name := range want.absent {
		if value, present := object[name]; present && (!c.typed || !empty(value)) {
			return fmt.Sprintf("%s is there: %v", name, value)
		}
	}
	if want.then != nil {
		if err := want.then(object); err != nil {
			return err.Error()
		}
	}
	return ""
}

func (want want) rowsProblem(got answer) string {
	var rows []map[string]any
	if err := json.Unmarshal(got.Value, &rows); err != nil {
		return fmt.Sprintf("no list but %s", got.Value)
	}
	values := make([]any, 0, len(rows))
	for _, r := range rows {
		values = append(values, r[want.each])
	}
	if len(values) != len(want.are) {
		return fmt.Sprintf("%s are %v, want %v", want.each, values, want.are)
	}
	for i, value := range values {
		if !same(value, want.are[i]) {
			return fmt.Sprintf("%s are %v, want %v", want.each, values, want.are)
		}
	}
	return ""
}

// same compares as JSON, times as times.
func same(got, want any) bool {
	raw, err := json.Marshal(want)
	if err != nil {
		return false
	}
	var plain any
	if json.Unmarshal(raw, &plain) != nil {
		return false
	}
	if reflect.DeepEqual(got, plain) {
		return true
	}
	a, isText := got.(string)
	b, isAlso := plain.(string)
	if !isText || !isAlso {
		return false
	}
	at, err1 := time.Parse(time.RFC3339, a)
	bt, err2 := time.Parse(time.RFC3339, b)
	return err1 == nil && err2 == nil && at.Equal(bt)
}

func empty(value any) bool {
	return value == nil || reflect.ValueOf(value).IsZero() || reflect.DeepEqual(value, []any{}) || reflect.DeepEqual(value, map[string]any{})
}
