package foreign_test

import (
	"errors"
	"strings"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

const variablesSource = "lib/api/ci/variables.rb, spec/requests/api/ci/variables_spec.rb"

// variable asks for one operation on the project's variables.
func (w *stage) variable(name, source, as, op string, a args, want want) row {
	a["project"] = w.shop.ID
	return row{name: name, source: source, as: as, op: op, args: a, want: want}
}

func (w *stage) variableRows() []row {
	const key = "CI_DEPLOY_PASSWORD"
	visible := args{"key": key, "value": "s3cret-value-1", "masked": true, "raw": true, "description": "mine"}
	hidden := args{"key": "HIDDEN", "value": "s3cret-value-2", "masked_and_hidden": true, "environment_scope": "production"}
	narrow := args{"key": key, "value": "s3cret-value-3", "environment_scope": "review/*"}
	return []row{
		w.variable("a variable created", variablesSource, "maintainer", "create_variable", args{"attrs": visible}, shows(map[string]any{
			"key": key, "value": "s3cret-value-1", "variable_type": "env_var", "protected": false, "masked": true, "hidden": false, "raw": true, "environment_scope": "*", "description": "mine"})),
		w.variable("a hidden variable created", variablesSource+": null already in the answer", "maintainer", "create_variable", args{"attrs": hidden},
			shows(map[string]any{"key": "HIDDEN", "hidden": true, "masked": true, "environment_scope": "production", "value": nil})),
		w.variable("the same key and scope", "app/models/ci/variable.rb", "maintainer", "create_variable", args{"attrs": visible}, refused(400, "has already been taken")),
		w.variable("the same key in another scope", variablesSource, "maintainer", "create_variable", args{"attrs": narrow}, shows(map[string]any{"environment_scope": "review/*"})),
		w.variable("a key with a dash", "app/models/concerns/has_variable.rb", "maintainer", "create_variable", args{"attrs": args{"key": "A-B", "value": "x"}}, refused(400, "key")),
		w.variable("a value that cannot be masked", "app/models/concerns/maskable.rb", "maintainer", "create_variable", args{"attrs": args{"key": "SHORT", "value": "x", "masked": true}}, refused(400, "is invalid")),
		w.variable("a variable's key is missing", variablesSource, "maintainer", "create_variable", args{"attrs": args{"value": "x"}}, refused(400, "key is missing")),
		w.variable("variables", variablesSource, "maintainer", "variables", args{"query": args{"per_page": 2}}, lists("key", key, "HIDDEN", key)),
		w.variable("values of variables", "lib/api/entities/ci/variable.rb", "reader", "variables", args{"query": args{"per_page": 2}}, lists("environment_scope", "*", "production", "review/*")),
		w.variable("variables by a developer", "config/authz/roles/maintainer.yml: admin_cicd_variables", "developer", "variables", args{}, refused(403, "403 Forbidden")),
		w.variable("variables by nobody", "lib/api/ci/variables.rb: authenticate! comes first", "nobody", "variables", args{}, refused(401, "401 Unauthorized")),
		w.variable("variables by an outsider", variablesSource, "outsider", "variables", args{}, refused(404, "404 Project Not Found")),
		w.variable("a variable of a scope", "app/finders/ci/variables_finder.rb", "maintainer", "variable", args{"key": key, "scope": "review/*"}, shows(map[string]any{"value": "s3cret-value-3"})),
		w.variable("a variable of several scopes", "lib/api/helpers/variables_helpers.rb", "maintainer", "variable", args{"key": key}, refused(409, "There are multiple variables with provided parameters. Please use 'filter[environment_scope]'")),
		w.variable("a scope is text, not a pattern", "app/finders/ci/variables_finder.rb", "maintainer", "variable", args{"key": key, "scope": "review/1"}, refused(404, "404 Variable Not Found")),
		w.variable("no such variable", variablesSource, "maintainer", "variable", args{"key": "NONE"}, refused(404, "404 Variable Not Found")),
		w.variable("a variable changed", variablesSource, "maintainer", "update_variable", args{"key": key, "scope": "*", "attrs": args{"value": "s3cret-value-4"}},
			shows(map[string]any{"value": "s3cret-value-4", "masked": true, "raw": true, "description": "mine"})),
		w.variable("a hidden variable changed", variablesSource, "maintainer", "update_variable", args{"key": "HIDDEN", "attrs": args{"value": "s3cret-value-5"}}, shows(map[string]any{"hidden": true, "value": nil})),
		w.variable("a hidden variable made visible", "app/models/concerns/ci/hidable.rb", "maintainer", "update_variable", args{"key": "HIDDEN", "attrs": args{"value": "s3cret-value-5", "masked": false}},
			refused(400, "The visibility setting cannot be changed for masked and hidden variables.")),
		w.variable("a variable changed that there is not", variablesSource, "maintainer", "update_variable", args{"key": "NONE", "attrs": args{"value": "s3cret-value-6"}}, refused(404, "404 Variable Not Found")),
		w.variable("a variable changed with read_api", "lib/gitlab/auth/auth_finders.rb", "reader", "update_variable", args{"key": "HIDDEN", "attrs": args{"value": "s3cret-value-6"}},
			refused(403, "insufficient_scope", "The request requires higher privileges than provided by the access token.")),
		w.variable("a variable deleted", variablesSource, "maintainer", "delete_variable", args{"key": key, "scope": "review/*"}, done(func() error {
			if len(w.g.Variables(w.shop)) != 2 {
				return errors.New("not exactly that variable is gone")
			}
			return nil
		})),
		w.variable("a variable deleted that there is not", variablesSource, "maintainer", "delete_variable", args{"key": key, "scope": "review/*"}, refused(404, "404 Variable Not Found")),
	}
}

// deployAll makes environments with deployments, a minute apart.
func (w *stage) deployAll() {
	for _, environment := range []string{"staging", "production", "review/one", "production"} {
		w.g.Deploy(w.shop, environment)
		w.g.Clock.Advance(time.Minute)
	}
	w.g.StopEnvironment(w.shop, "review/one")
	failed := w.g.QueueJob(w.shop, gitlabtest.JobOptions{Name: "staging", Environment: "staging"})
	w.g.PickUp(failed)
	w.g.FinishJob(failed, "failed")
}

func (w *stage) environmentNamed(name string) func() any {
	return func() any {
		for _, e := range w.g.Environments(w.shop) {
			if e.Name == name {
				return e.ID
			}
		}
		return 0
	}
}

func (w *stage) environment(name, source, as, op string, a args, want want) row {
	a["project"] = w.shop.ID
	return row{name: name, source: source, as: as, op: op, args: a, want: want}
}

func (w *stage) environmentRows() []row {
	const api, model, roles = "lib/api/environments.rb, spec/requests/api/environments_spec.rb", "lib/api/entities/environment.rb", "config/authz/roles/reporter.yml"
	production, review := w.environmentNamed("production"), w.environmentNamed("review/one")
	first := w.environment("environments", api, "reporter", "environments", args{"query": args{"per_page": 2}}, lists("name", "staging", "production", "review/one"))
	first.before = w.deployAll
	return []row{
		first,
		w.environment("environments of a name", api, "reporter", "environments", args{"query": args{"name": "production"}}, lists("name", "production")),
		w.environment("environments of another name", api, "reporter", "environments", args{"query": args{"name": "prod"}}, lists("name")),
		w.environment("environments in a search", api, "reporter", "environments", args{"query": args{"search": "prod"}}, lists("name", "production")),
		w.environment("stopped environments", api, "reporter", "environments", args{"query": args{"states": "stopped"}}, lists("name", "review/one")),
		w.environment("a state that there is not", api, "reporter", "environments", args{"query": args{"states": "gone"}}, refused(400, "states does not have a valid value")),
		w.environment("environments by a guest", roles, "guest", "environments", args{}, refused(403, "403 Forbidden")),
		w.environment("environments by nobody", api, "nobody", "environments", args{}, refused(401, "401 Unauthorized")),
		w.environment("one environment", model, "reporter", "environment", args{"id": production}, want{
			fields: map[string]any{"name": "production", "state": "available", "tier": "production", "slug": "production"},
			then: func(e map[string]any) error {
				last, _ := e["last_deployment"].(map[string]any)
				if last["status"] != "success" {
					return errors.New("no successful last_deployment")
				}
				return nil
			},
		}),
		w.environment("no such environment", api, "reporter", "environment", args{"id": 999_999}, refused(404, "404")),
		w.environment("an environment stopped by a reporter", api, "reporter", "stop_environment", args{"id": production}, refused(403, "403 Forbidden")),
		w.environment("an environment deleted that is not stopped", api, "maintainer", "delete_environment", args{"id": production}, refused(403, "403 Forbidden")),
		w.environment("an environment deleted", api, "maintainer", "delete_environment", args{"id": review}, done(func() error {
			if review() != 0 {
				return errors.New("the environment is still there")
			}
			return nil
		})),
		w.environment("an environment stopped", api, "maintainer", "stop_environment", args{"id": w.environmentNamed("staging")}, shows(map[string]any{"state": "stopped"})),
	}
}

func (w *stage) deploymentRows() []row {
	const api, finder, entity = "lib/api/deployments.rb, spec/requests/api/deployments_spec.rb", "app/finders/deployments_finder.rb", "lib/api/entities/deployment.rb"
	since := w.g.Clock.Now().Add(-time.Hour).Format(time.RFC3339)
	var last any
	ask := func(name, source, as string, query args, want want) row {
		return w.environment(name, source, as, "deployments", args{"query": query}, want)
	}
	rows := []row{
		ask("deployments", api, "reporter", args{"per_page": 2}, lists("status", "success", "success", "success", "failed")),
		ask("deployments of an environment", api, "reporter", args{"environment": "production"}, lists("status", "success", "success")),
		ask("deployments of an environment that there is not", api, "reporter", args{"environment": "none"}, lists("status")),
		ask("successes by their end", finder, "reporter", args{"status": "success", "order_by": "finished_at", "sort": "asc", "finished_after": since, "per_page": 1}, lists("status", "success", "success", "success")),
		ask("successes since a time in another order", finder, "reporter", args{"status": "success", "finished_after": since}, refused(400, "`finished_at` filter requires `finished_at` sort")),
		ask("updates since a time in another order", finder, "reporter", args{"updated_after": since}, refused(400, "`updated_at` filter requires `updated_at` sort")),
		ask("a status that there is not", api, "reporter", args{"status": "good"}, refused(400, "status does not have a valid value")),
		ask("deployments by a guest", "config/authz/roles/reporter.yml", "guest", args{}, refused(403, "403 Forbidden")),
		ask("deployments by nobody", api, "nobody", args{}, refused(401, "401 Unauthorized")),
		w.environment("the last deployment of an environment", "app/models/environment.rb", "reporter", "environment", args{"id": w.environmentNamed("production")},
			want{fields: map[string]any{"name": "production"}, then: func(e map[string]any) error {
				deployment, _ := e["last_deployment"].(map[string]any)
				last = deployment["id"]
				return nil
			}}),
		w.environment("one deployment", entity+": no finished_at", "reporter", "deployment", args{"id": func() any { return last }}, want{
			fields: map[string]any{"status": "success", "ref": "main"}, absent: []string{"finished_at"},
			then: func(d map[string]any) error {
				job, _ := d["deployable"].(map[string]any)
				environment, _ := d["environment"].(map[string]any)
				if job["name"] != "production" || environment["name"] != "production" || job["status"] != "success" || !same(environment["id"], w.environmentNamed("production")()) {
					return errors.New("the job or the environment is missing")
				}
				if job["started_at"] == nil || job["finished_at"] == nil || d["updated_at"] == nil {
					return errors.New("a time is missing")
				}
				return nil
			},
		}),
		w.environment("how long a deployment's job was queued", "lib/api/entities/ci/job_basic.rb", "reporter", "deployment", args{"id": func() any { return last }},
			want{fields: map[string]any{"status": "success"}, then: func(d map[string]any) error {
				job, _ := d["deployable"].(map[string]any)
				if _, isNumber := job["queued_duration"].(float64); !isNumber {
					return errors.New("no queued_duration")
				}
				return nil
			}}),
		ask("deployments without CI/CD", "app/policies/project_policy.rb", "maintainer", args{}, refused(403, "403 Forbidden")),
		w.variable("variables without CI/CD", "app/policies/project_policy.rb", "maintainer", "variables", args{}, refused(403, "403 Forbidden")),
	}
	rows[len(rows)-2].before = func() { w.g.SetCIEnabled(w.shop, false) }
	return append(rows, row{
		name: "writes during maintenance", source: "lib/gitlab/middleware/read_only/controller.rb: JSON gets a status", as: "maintainer", op: "create_token",
		before: func() { w.g.SetMaintenance(true) },
		args:   args{"project": w.shop.ID, "attrs": args{"name": strings.Repeat("n", 3), "scopes": []string{"read_registry"}}},
		want:   refused(503, "GitLab Maintenance: system is in maintenance mode"),
	})
}
