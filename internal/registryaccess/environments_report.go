package registryaccess

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timetypes/timetypes"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
)

// EnvironmentReport is what the environments of a project hold, by GitLab's word alone.
type EnvironmentReport struct {
	// Known is false if GitLab does not show the environments.
	Known        bool
	Environments []access.EnvironmentState
	// Behind counts those that hold something else than what is published in CI/CD variables.
	Behind int64
	// WithoutAccess counts those that cannot pull, at most: variables of groups and of the
	// instance are not seen.
	WithoutAccess int64
}

// Descriptions of what is said of environments.
const (
	EnvironmentsArgument = "Whether to report what the environments of a project hold, which costs three requests or a few more for each project. Default: `false`."
	EnvironmentsResult   = "The project's environments that were ever deployed with success, by name. Null unless `environments` is true, and if GitLab does not show them."
	BehindTotal          = "Environments that hold something else than what is published in CI/CD variables of their project."
	WithoutAccessTotal   = "Environments, at most, that cannot pull: Auto DevOps deployed them while the project had neither the CI/CD variables nor a deploy token named `" + access.GitLabName +
		"`. Variables of groups and of the instance are not seen. Null unless `environments` is true."
)

// EnvironmentAttributes are the attributes of an environment in a report.
func EnvironmentAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"name": schema.StringAttribute{Computed: true, MarkdownDescription: "The name of the environment."},
		"deployed_at": schema.StringAttribute{CustomType: timetypes.RFC3339Type{}, Computed: true,
			MarkdownDescription: "When its last successful deployment ended."},
		"holds": schema.StringAttribute{Computed: true, MarkdownDescription: "What its Secret holds: " + quotedList(access.Holdings()) + "."},
		"until": schema.StringAttribute{CustomType: timetypes.RFC3339Type{}, Computed: true,
			MarkdownDescription: "When that stops pulling; null if never, or if it is not known."},
	}
}

// EnvironmentType is the type of an environment in a report.
var EnvironmentType = types.ObjectType{AttrTypes: map[string]attr.Type{
	"name": types.StringType, "deployed_at": timetypes.RFC3339Type{}, "holds": types.StringType, "until": timetypes.RFC3339Type{},
}}

// Value is the list of environments; null if it is not known.
func (r EnvironmentReport) Value() types.List {
	if !r.Known {
		return types.ListNull(EnvironmentType)
	}
	return environmentsValue(r.Environments)
}

// ReportEnvironments asks GitLab what the environments of a project hold. What it refuses to show
// is not known; any other failure is an error.
func ReportEnvironments(ctx context.Context, client *gitlab.Client, project gitlab.Project, required bool, tokens []access.DeployToken) (EnvironmentReport, error) {
	variables, err := client.Variables(ctx, project.ID)
	if err != nil {
		return EnvironmentReport{}, unlessHidden(err)
	}
	now := client.Now()
	since := now
	for _, v := range variables {
		if _, at, ok := v.Described(); ok && at.Before(since) {
			since = at
		}
	}
	environments, deployments, err := client.Environments(ctx, project.ID, since)
	if err != nil {
		return EnvironmentReport{}, unlessHidden(err)
	}
	report := EnvironmentReport{Known: true}
	for _, e := range environments {
		history, published := historyOf(e, variables, tokens, now, project.Facts.Visibility == access.VisibilityPublic)
		for _, state := range access.Survey([]access.Environment{e}, deployments, history) {
			if published && state.Holds != access.HoldsCurrent {
				report.Behind++
			}
			if state.Holds == access.HoldsJobToken || state.Holds == access.HoldsNone && required {
				report.WithoutAccess++
			}
			report.Environments = append(report.Environments, state)
		}
	}
	slices.SortFunc(report.Environments, func(a, b access.EnvironmentState) int { return strings.Compare(a.Name, b.Name) })
	return report, nil
}

// historyOf is what the jobs of an environment got when, by the descriptions of the variables. It
// reports whether there is a pair for it.
func historyOf(e access.Environment, variables access.Variables, tokens []access.DeployToken, now time.Time, public bool) (access.History, bool) {
	history := access.History{Now: now, Public: public}
	for _, t := range tokens {
		if t.Name == access.GitLabName && t.CanPull(now) {
			history.GitLabToken, history.GitLabTokenUntil = true, t.ExpiresAt
		}
	}
	password, found := variables.For(access.PasswordVariable, e.Name)
	if !found {
		history.Complete = !slices.ContainsFunc(variables, func(v access.Variable) bool { return v.Key == access.PasswordVariable })
		return history, false
	}
	id, at, described := password.Described()
	if described && variables.Reaches(password.Scope, e.Name) && pairs(variables, password.Scope, id, tokens) {
		history.Published = []access.PublishedToken{{TokenID: id, From: at}}
	}
	return history, true
}

// pairs reports whether the user of a scope is the one of the token: jobs get a dead pair otherwise.
func pairs(variables access.Variables, scope string, tokenID int64, tokens []access.DeployToken) bool {
	user, _ := variables.Find(access.UserVariable, scope)
	return slices.ContainsFunc(tokens, func(t access.DeployToken) bool { return t.ID == tokenID && t.Username == user.Value.Reveal() })
}

// unlessHidden is nil if GitLab does not show something, which leaves it unknown.
func unlessHidden(err error) error {
	if gitlab.IsHidden(err) {
		return nil
	}
	return err
}
