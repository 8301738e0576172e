package gitlab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/hashicorp/go-retryablehttp"
	gogitlab "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

// variableJSON is one of the two variables. A hidden one has no value
// (lib/api/entities/ci/variable.rb). Versions before a flag existed leave it out.
type variableJSON struct {
	Type        string  `json:"variable_type"`
	Key         string  `json:"key"`
	Value       *string `json:"value"`
	Hidden      bool    `json:"hidden"`
	Protected   bool    `json:"protected"`
	Masked      bool    `json:"masked"`
	Raw         *bool   `json:"raw"`
	Scope       string  `json:"environment_scope"`
	Description *string `json:"description"`
}

func (v variableJSON) variable() access.Variable {
	variable := access.Variable{
		Key: v.Key, Scope: v.Scope, Hidden: v.Hidden || v.Value == nil, Masked: v.Masked, Protected: v.Protected,
		Raw: v.Raw == nil || *v.Raw, File: v.Type == "file",
	}
	if v.Value != nil {
		variable.Value = access.Secret(*v.Value)
	}
	if v.Description != nil {
		variable.Description = *v.Description
	}
	return variable
}

// Variables lists the CI/CD variables of a project with the keys of Auto DevOps' credentials,
// of every scope. Values of other variables are not decoded. The list is complete or an error;
// it is of KindForbidden if CI/CD is off for the project, or the caller's role is too low.
func (c *Client) Variables(ctx context.Context, projectID int64) (access.Variables, error) {
	action := fmt.Sprintf("list the CI/CD variables of project %d", projectID)
	var variables access.Variables
	err := c.steadily(ctx, action, "Plan again.", func() (bool, error) {
		variables = nil
		return c.eachPage(ctx, action, variablesPath(projectID), func(raw json.RawMessage) error {
			found, ok, err := readVariable(raw)
			if ok {
				variables = append(variables, found)
			}
			return err
		}, nil)
	})
	return variables, err
}

var errUnreadableRow = errors.New("a row of the list is not as GitLab writes it")

// readVariable decodes a row if it has one of the two keys.
func readVariable(raw json.RawMessage) (access.Variable, bool, error) {
	var row struct {
		Key string `json:"key"`
	}
	if err := json.Unmarshal(raw, &row); err != nil || row.Key == "" {
		return access.Variable{}, false, errUnreadableRow
	}
	if row.Key != access.UserVariable && row.Key != access.PasswordVariable {
		return access.Variable{}, false, nil
	}
	var v variableJSON
	if err := json.Unmarshal(raw, &v); err != nil || v.Scope == "" {
		return access.Variable{}, false, errUnreadableRow
	}
	return v.variable(), true, nil
}

// variable reads one variable. The error is of KindVariableNotFound if there is none.
func (c *Client) variable(ctx context.Context, projectID int64, key, scope string) (access.Variable, error) {
	action := fmt.Sprintf("read the CI/CD variable %s of project %d", key, projectID)
	got, err := c.request(ctx, http.MethodGet, variablePath(projectID, key), nil, inScope(scope))
	if err != nil {
		return access.Variable{}, c.noAnswer(action, err)
	}
	if got.status != http.StatusOK {
		return access.Variable{}, c.refused(action, got)
	}
	return c.variableIn(action, got, key, scope)
}

// variableIn is the variable in a successful answer.
func (c *Client) variableIn(action string, got answer, key, scope string) (access.Variable, error) {
	v, ok, err := readVariable(got.body)
	switch {
	case err != nil || !ok:
		return access.Variable{}, c.garbled(action, got)
	case v.Key != key || v.Scope != scope:
		return v, c.mistaken(action, fmt.Sprintf("the variable %s with the environment scope %q", c.quote(v.Key), c.quote(v.Scope)))
	}
	return v, nil
}

// variableBody is what is asked for. GitLab ignores what its version does not know.
type variableBody struct {
	Key         string `json:"key,omitempty"`
	Type        string `json:"variable_type"`
	Value       string `json:"value"`
	Protected   bool   `json:"protected"`
	Masked      bool   `json:"masked"`
	Raw         bool   `json:"raw"`
	Scope       string `json:"environment_scope"`
	Description string `json:"description"`
}

func bodyOf(v access.Variable) variableBody {
	body := variableBody{
		Key: v.Key, Type: "env_var", Value: v.Value.Reveal(),
		Protected: v.Protected, Masked: v.Masked, Raw: v.Raw, Scope: v.Scope, Description: v.Description,
	}
	if v.File {
		body.Type = "file"
	}
	return body
}

// inScope selects one of several variables of a key. Without it, GitLab answers 409 or takes any
// of them (lib/api/helpers/variables_helpers.rb).
func inScope(scope string) gogitlab.RequestOptionFunc {
	return withQuery("filter[environment_scope]", scope)
}

func withQuery(pairs ...string) gogitlab.RequestOptionFunc {
	return func(req *retryablehttp.Request) error {
		query := req.URL.Query()
		for i := 0; i+1 < len(pairs); i += 2 {
			query.Set(pairs[i], pairs[i+1])
		}
		req.URL.RawQuery = query.Encode()
		return nil
	}
}

func variablesPath(projectID int64) string { return fmt.Sprintf("projects/%d/variables", projectID) }

func variablePath(projectID int64, key string) string {
	return fmt.Sprintf("projects/%d/variables/%s", projectID, gogitlab.PathEscape(key))
}

// eachPage reads the pages of a list one after the other, until enough says that they are; nil
// reads all. The list is not steady if its length changed between two pages: a row may then have
// moved to a page already read.
func (c *Client) eachPage(ctx context.Context, action, path string, each func(json.RawMessage) error, enough func() bool, query ...string) (steady bool, err error) {
	var total string
	steady = true
	for page := 1; page <= maxPages; page++ {
		got, err := c.request(ctx, http.MethodGet, path, nil, withQuery(append(query, "page", strconv.Itoa(page), "per_page", strconv.Itoa(perPage))...))
		if err != nil {
			return false, c.noAnswer(action, err)
		}
		if got.status != http.StatusOK {
			return false, c.refused(action, got)
		}
		if number := got.header.Get("X-Page"); number != "" && number != strconv.Itoa(page) {
			return false, c.mistaken(action, "another page of the list")
		}
		var rows []json.RawMessage
		if err := json.Unmarshal(got.body, &rows); err != nil || rows == nil {
			return false, c.garbled(action, got)
		}
		for _, row := range rows {
			if err := each(row); err != nil {
				failure := c.garbled(action, got)
				if errors.Is(err, errRowWithoutID) {
					failure.Kind, failure.Said = KindUnreadable, err.Error()
				}
				return false, failure
			}
		}
		if page > 1 && got.header.Get("X-Total") != total {
			steady = false
		}
		total = got.header.Get("X-Total")
		// Links carry the host that GitLab is configured with, so pages go by number
		// (lib/gitlab/pagination/offset_header_builder.rb).
		if !moreAfter(got, len(rows)) || enough != nil && enough() {
			return steady, nil
		}
	}
	return false, endless(action)
}
