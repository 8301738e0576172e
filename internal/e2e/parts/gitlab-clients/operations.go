package main

import gitlab "gitlab.com/gitlab-org/api/client-go" //nolint:depguard // a foreign client, not the provider

// operations are what the tests ask for.
var operations = map[string]func(*gitlab.Client, args) (any, error){
	"version":  func(g *gitlab.Client, _ args) (any, error) { return value(g.Version.GetVersion()) },
	"metadata": func(g *gitlab.Client, _ args) (any, error) { return value(g.Metadata.GetMetadata()) },
	"whoami":   func(g *gitlab.Client, _ args) (any, error) { return value(g.Users.CurrentUser()) },
	"own_token": func(g *gitlab.Client, _ args) (any, error) {
		return value(g.PersonalAccessTokens.GetSinglePersonalAccessToken())
	},
	"project": func(g *gitlab.Client, a args) (any, error) { return value(g.Projects.GetProject(a.Project, nil)) },
	"save_project": func(g *gitlab.Client, a args) (any, error) {
		return value(g.Projects.EditProject(a.Project, read[gitlab.EditProjectOptions](a)))
	},
	"projects": func(g *gitlab.Client, a args) (any, error) {
		return all(a, func(o ...gitlab.RequestOptionFunc) ([]*gitlab.Project, *gitlab.Response, error) {
			return g.Projects.ListProjects(nil, o...)
		})
	},
	"group": func(g *gitlab.Client, a args) (any, error) { return value(g.Groups.GetGroup(a.Group, nil)) },
	"groups": func(g *gitlab.Client, a args) (any, error) {
		return all(a, func(o ...gitlab.RequestOptionFunc) ([]*gitlab.Group, *gitlab.Response, error) {
			return g.Groups.ListGroups(nil, o...)
		})
	},
	"group_projects": func(g *gitlab.Client, a args) (any, error) {
		return all(a, func(o ...gitlab.RequestOptionFunc) ([]*gitlab.Project, *gitlab.Response, error) {
			return g.Groups.ListGroupProjects(a.Group, nil, o...)
		})
	},

	"all_tokens": func(g *gitlab.Client, a args) (any, error) { return all(a, g.DeployTokens.ListAllDeployTokens) },
	"tokens": func(g *gitlab.Client, a args) (any, error) {
		return all(a, func(o ...gitlab.RequestOptionFunc) ([]*gitlab.DeployToken, *gitlab.Response, error) {
			if a.Group != nil {
				return g.DeployTokens.ListGroupDeployTokens(a.Group, nil, o...)
			}
			return g.DeployTokens.ListProjectDeployTokens(a.Project, nil, o...)
		})
	},
	"token": func(g *gitlab.Client, a args) (any, error) {
		if a.Group != nil {
			return one(g.DeployTokens.GetGroupDeployToken, a.Group, a.ID)
		}
		return one(g.DeployTokens.GetProjectDeployToken, a.Project, a.ID)
	},
	"create_token": func(g *gitlab.Client, a args) (any, error) {
		if a.Group != nil {
			return value(g.DeployTokens.CreateGroupDeployToken(a.Group, read[gitlab.CreateGroupDeployTokenOptions](a)))
		}
		return value(g.DeployTokens.CreateProjectDeployToken(a.Project, read[gitlab.CreateProjectDeployTokenOptions](a)))
	},
	"delete_token": func(g *gitlab.Client, a args) (any, error) {
		if a.Group != nil {
			return remove(g.DeployTokens.DeleteGroupDeployToken, a.Group, a.ID)
		}
		return remove(g.DeployTokens.DeleteProjectDeployToken, a.Project, a.ID)
	},

	"variables": func(g *gitlab.Client, a args) (any, error) {
		return all(a, func(o ...gitlab.RequestOptionFunc) ([]*gitlab.ProjectVariable, *gitlab.Response, error) {
			return g.ProjectVariables.ListVariables(a.Project, nil, o...)
		})
	},
	"variable": func(g *gitlab.Client, a args) (any, error) {
		return value(g.ProjectVariables.GetVariable(a.Project, a.Key, &gitlab.GetProjectVariableOptions{Filter: a.filter()}))
	},
	"create_variable": func(g *gitlab.Client, a args) (any, error) {
		return value(g.ProjectVariables.CreateVariable(a.Project, read[gitlab.CreateProjectVariableOptions](a)))
	},
	"update_variable": func(g *gitlab.Client, a args) (any, error) {
		change := read[gitlab.UpdateProjectVariableOptions](a)
		change.Filter = a.filter()
		return value(g.ProjectVariables.UpdateVariable(a.Project, a.Key, change))
	},
	"delete_variable": func(g *gitlab.Client, a args) (any, error) {
		return nothing(g.ProjectVariables.RemoveVariable(a.Project, a.Key, &gitlab.RemoveProjectVariableOptions{Filter: a.filter()}))
	},

	"environments": func(g *gitlab.Client, a args) (any, error) {
		return all(a, func(o ...gitlab.RequestOptionFunc) ([]*gitlab.Environment, *gitlab.Response, error) {
			return g.Environments.ListEnvironments(a.Project, nil, o...)
		})
	},
	"environment": func(g *gitlab.Client, a args) (any, error) {
		return one(g.Environments.GetEnvironment, a.Project, a.ID)
	},
	"stop_environment": func(g *gitlab.Client, a args) (any, error) {
		return stop(g.Environments.StopEnvironment, a)
	},
	"delete_environment": func(g *gitlab.Client, a args) (any, error) {
		return remove(g.Environments.DeleteEnvironment, a.Project, a.ID)
	},
	"deployments": func(g *gitlab.Client, a args) (any, error) {
		return all(a, func(o ...gitlab.RequestOptionFunc) ([]*gitlab.Deployment, *gitlab.Response, error) {
			return g.Deployments.ListProjectDeployments(a.Project, nil, o...)
		})
	},
	"deployment": func(g *gitlab.Client, a args) (any, error) {
		return one(g.Deployments.GetProjectDeployment, a.Project, a.ID)
	},
}

// stop is one with options between the identifier and those of the request.
func stop[I int | int64, O, T any](f func(any, I, *O, ...gitlab.RequestOptionFunc) (T, *gitlab.Response, error), a args) (any, error) {
	return value(f(a.Project, I(a.ID), nil))
}
