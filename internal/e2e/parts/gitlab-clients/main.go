// Command gitlab-clients does with GitLab's client for Go what it reads from standard
// input, a line of JSON for each operation, and answers with a line of JSON. It is built
// twice: with client-go by go.mod, and with go-gitlab, of which client-go is the
// successor, by go-gitlab.mod. Identifiers are int64 in the one and int in the other.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/go-retryablehttp"
	gitlab "gitlab.com/gitlab-org/api/client-go" //nolint:depguard // a foreign client, not the provider
)

type request struct {
	Op    string `json:"op"`
	URL   string `json:"url"`
	Token string `json:"token"`
	Args  args   `json:"args"`
}

type args struct {
	Project any             `json:"project"`
	Group   any             `json:"group"`
	ID      int             `json:"id"`
	Key     string          `json:"key"`
	Scope   string          `json:"scope"`
	Paging  string          `json:"paging"`
	Query   map[string]any  `json:"query"`
	Attrs   json.RawMessage `json:"attrs"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if err := answers.Encode(answer(r)); err != nil {
			os.Exit(1)
		}
	}
}

// answer carries the operation out. A 404 says nothing else in these clients.
func answer(r request) map[string]any {
	client, err := gitlab.NewClient(r.Token, gitlab.WithBaseURL(r.URL), gitlab.WithCustomRetryMax(0))
	if err != nil {
		return map[string]any{"failed": err.Error()}
	}
	// The clients take an id as an int or as text.
	for _, id := range []*any{&r.Args.Project, &r.Args.Group} {
		if number, isNumber := (*id).(float64); isNumber {
			*id = int(number)
		}
	}
	carryOut, known := operations[r.Op]
	if !known {
		return map[string]any{"failed": "unknown operation " + r.Op}
	}
	value, err := carryOut(client, r.Args)
	refused, isRefusal := errors.AsType[*gitlab.ErrorResponse](err)
	switch {
	case errors.Is(err, gitlab.ErrNotFound):
		return map[string]any{"status": 404, "message": nil}
	case isRefusal:
		return map[string]any{"status": refused.Response.StatusCode, "message": refused.Message}
	case err != nil:
		return map[string]any{"failed": err.Error()}
	}
	return map[string]any{"value": value}
}

// query adds parameters that the client's options may not have.
func (a args) query() gitlab.RequestOptionFunc {
	return func(r *retryablehttp.Request) error {
		query := r.URL.Query()
		for name, value := range a.Query {
			query.Set(name, fmt.Sprint(value))
		}
		if a.Paging != "" && a.Paging != "offset" {
			query.Set("pagination", a.Paging)
		}
		r.URL.RawQuery = query.Encode()
		return nil
	}
}

// page asks for that page.
func page(number any) gitlab.RequestOptionFunc {
	return func(r *retryablehttp.Request) error {
		query := r.URL.Query()
		query.Set("page", fmt.Sprint(number))
		r.URL.RawQuery = query.Encode()
		return nil
	}
}

// all asks for page after page, as the client's documentation shows.
func all[T any](a args, list func(...gitlab.RequestOptionFunc) ([]T, *gitlab.Response, error)) (any, error) {
	rows, next := []T{}, []gitlab.RequestOptionFunc{a.query()}
	for {
		some, resp, err := list(next...)
		if err != nil {
			return nil, err
		}
		rows = append(rows, some...)
		switch {
		case a.Paging == "keyset" && resp.NextLink != "":
			next = []gitlab.RequestOptionFunc{a.query(), gitlab.WithKeysetPaginationParameters(resp.NextLink)}
		case a.Paging != "keyset" && resp.NextPage != 0:
			next = []gitlab.RequestOptionFunc{a.query(), page(resp.NextPage)}
		default:
			return rows, nil
		}
	}
}

// read reads attributes into the client's own options.
func read[T any](a args) *T {
	options := new(T)
	if err := json.Unmarshal(a.Attrs, options); err != nil {
		panic(err)
	}
	return options
}

func value[T any](v T, _ *gitlab.Response, err error) (any, error) { return v, err }

func nothing(_ *gitlab.Response, err error) (any, error) { return nil, err }

// one gets what has an identifier of its own.
func one[I int | int64, T any](get func(any, I, ...gitlab.RequestOptionFunc) (T, *gitlab.Response, error), in any, id int) (any, error) {
	return value(get(in, I(id)))
}

// remove deletes what has an identifier of its own.
func remove[I int | int64](drop func(any, I, ...gitlab.RequestOptionFunc) (*gitlab.Response, error), in any, id int) (any, error) {
	return nothing(drop(in, I(id)))
}

func (a args) filter() *gitlab.VariableFilter {
	if a.Scope == "" {
		return nil
	}
	return &gitlab.VariableFilter{EnvironmentScope: a.Scope}
}
