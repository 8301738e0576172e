package registryaccess

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
)

// Sentences about CI/CD variables and environments. No value of a variable is in any of them.

// destroyStillWorks ends an error that would otherwise block a resource for good.
const destroyStillWorks = " To destroy the resource all the same, use -refresh=false."

// addVariablesError reports that the variables could not be read or written.
func addVariablesError(diags *diag.Diagnostics, summary string, err error) {
	detail := DescribeError(err)
	if gitlab.IsKind(err, gitlab.KindForbidden) {
		detail = fmt.Sprintf("GitLab refuses access to the project's CI/CD variables: %s.\n\n"+
			"Either CI/CD is off for the project, or the provider's user is below the Maintainer role. Switch CI/CD on, raise the role, or leave ci_variables out.",
			strings.TrimPrefix(err.Error(), "could not "))
	}
	diags.AddAttributeError(path.Root("ci_variables"), summary, detail+destroyStillWorks)
}

func addTaken(diags *diag.Diagnostics, state model, taken access.Variables) {
	diags.AddAttributeError(path.Root("ci_variables"), "CI/CD variables of project "+state.ProjectPath.ValueString()+" are taken", fmt.Sprintf(
		"Somebody else has made %s. Jobs use what is in there now. Nothing was changed.\n\n"+
			"Remove the variables in GitLab, or set overwrite = true in ci_variables to replace their values. A replaced value is lost.",
		listVariables(taken))+destroyStillWorks)
}

func addHidden(diags *diag.Diagnostics, state model, scope string) {
	diags.AddAttributeError(path.Root("ci_variables"), "A hidden CI/CD variable of project "+state.ProjectPath.ValueString()+" is in the way", fmt.Sprintf(
		"The project has a hidden variable %s or %s with the environment scope %q. GitLab does not show its value, so it could not be put back if the publication failed; "+
			"overwrite does not apply to it. Nothing was changed.\n\nRemove the variable in GitLab.", access.UserVariable, access.PasswordVariable, scope)+destroyStillWorks)
}

func addOutranked(diags *diag.Diagnostics, state model, scope string, outranking access.Variables) {
	diags.AddAttributeError(path.Root("ci_variables"), "CI/CD variables of project "+state.ProjectPath.ValueString()+" would be shadowed", fmt.Sprintf(
		"%s would win over variables with the environment scope %q for some environments: their jobs would not get these credentials. Nothing was changed.\n\n"+
			"Remove them in GitLab. This provider does not touch variables of other scopes.", listVariables(outranking), scope)+destroyStillWorks)
}

func listVariables(variables access.Variables) string {
	parts := make([]string, 0, len(variables))
	for _, v := range variables {
		parts = append(parts, v.String())
	}
	slices.Sort(parts)
	return strings.Join(parts, " and ")
}

// warnTakeOver is about variables that the plan replaces.
func warnTakeOver(diags *diag.Diagnostics, plan, state model, record access.Record, variables access.Variables) {
	scope := plan.publicationScope()
	_, at := variables.PublishedBy(record, scope)
	if len(at) == 0 {
		return
	}
	project := state.ProjectPath.ValueString()
	if variables.OwnPair(scope, plan.Username.ValueString(), state.ProjectID.ValueInt64()) {
		diags.AddAttributeWarning(path.Root("ci_variables"), "Take-over of CI/CD variables of "+project, fmt.Sprintf(
			"%s were published by an autodevops_registry_access: by the object that this plan replaces, by another state, or by a run that was interrupted. "+
				"They get the credentials of this resource. Environments that were deployed before count as behind.", listVariables(at)))
		return
	}
	diags.AddAttributeWarning(path.Root("ci_variables"), "Overwriting CI/CD variables of "+project, fmt.Sprintf(
		"%s were made by somebody else. overwrite is true, so their values are replaced and lost.", listVariables(at)))
}

// warnOutranked is about pairs of other resources of this provider, in scopes that would win.
func warnOutranked(diags *diag.Diagnostics, plan, state model, record access.Record, variables access.Variables) {
	var left access.Variables
	for _, v := range variables.Outranking(plan.publicationScope()) {
		if own, _ := variables.PublishedBy(record, v.Scope); !slices.Contains(own, v) {
			left = append(left, v)
		}
	}
	if len(left) > 0 {
		diags.AddAttributeWarning(path.Root("ci_variables"), "CI/CD variables of "+state.ProjectPath.ValueString()+" in other scopes win", fmt.Sprintf(
			"%s were published by an autodevops_registry_access, and win for some environments. They go with the object that this plan replaces. "+
				"If no resource keeps them any more, remove them in GitLab: their jobs would get dead credentials.", listVariables(left)))
	}
}

// warnInjected: jobs may use more than registry access from the variables that GitLab injects.
func warnInjected(diags *diag.Diagnostics, project string, ids []int64) {
	if len(ids) > 0 {
		diags.AddAttributeWarning(path.Root("ci_variables"), fmt.Sprintf("Jobs of %s no longer get token %s", project, listIDs(ids)), fmt.Sprintf(
			"GitLab gives the deploy token named %q to jobs as %s and %s, and this one can do more than pull images. "+
				"The variables win over it. A job that clones or pushes with it fails.", access.GitLabName, access.UserVariable, access.PasswordVariable))
	}
}

// warnPublication says what a plan does to the CI/CD variables.
func warnPublication(diags *diag.Diagnostics, plan, state model, a assessment) {
	project := state.ProjectPath.ValueString()
	mints := a.decision.Action.Effect().Mints
	if scope := plan.publicationScope(); a.decision.Publish && a.policy.Begins(a.record) && scope != access.DefaultScope {
		diags.AddAttributeWarning(path.Root("ci_variables").AtName("environment_scope"), "Not all environments of "+project+" get the credentials", fmt.Sprintf(
			"Only jobs of environments that match %q get them. Environments that share a namespace share one Secret, and the job of one that does not match overwrites it with other credentials.", scope))
	}
	if a.republishes() {
		diags.AddWarning("Republication in CI/CD variables of "+project, describeRepair(a)+
			" Jobs that ran in between may have written other credentials: environments that were deployed meanwhile count as behind.")
	}
	if mints && a.decision.Publish && !a.policy.Begins(a.record) && slices.Contains(a.policy.Changed, "username") {
		diags.AddAttributeWarning(path.Root("username"), "Jobs of "+project+" can get a mixed pair", "Username and token are two variables. "+
			"A job that starts between the two writes gets the new username with the old token, which pulls nothing. Run the deploy job of an environment again if its deployment falls into this apply.")
	}
	if mints && a.policy.Scope != "" && !a.decision.Publish {
		diags.AddWarning("CI/CD variables of "+project+" stay as they are", refusedVariables+
			" They keep the old token. The first apply after access is back publishes the new one.")
	}
	if a.decision.Unpublish && a.policy.Scope == "" {
		diags.AddAttributeWarning(path.Root("ci_variables"), "Removal of CI/CD variables of "+project,
			"The next deployment of an environment writes the token of its own job, which ends with the job. The token of this resource stays valid until it expires.")
	}
	if left := a.record.Publication.Scopes(); a.observed.VariablesOff && a.policy.Scope == "" && len(left) > 0 && state.publicationScope() != "" {
		warnOutOfReach(diags, state, a.record)
	}
	warnCutOff(diags, project, a)
}

// warnCutOff names the environments that lose their pull without an overlap, as far as GitLab has
// told which ones hold the tokens that end.
func warnCutOff(diags *diag.Diagnostics, project string, a assessment) {
	var names []string
	for _, id := range a.due() {
		names = append(names, a.observed.Holders[id]...)
	}
	if len(names) > 0 {
		slices.Sort(names)
		diags.AddWarning("Environments of "+project+" hold a token that is revoked: "+strings.Join(slices.Compact(names), ", "),
			"Their Secrets hold a token that this apply revokes. They cannot pull until their deploy jobs run again.")
	}
}

// warnStatus is about variables that are not as they should be and that no apply repairs. It
// does not wait for a change: nothing else in a steady plan says it.
func warnStatus(diags *diag.Diagnostics, state model, status access.CIStatus, outranking access.Variables) {
	project := state.ProjectPath.ValueString()
	switch status {
	case access.CIPublished, access.CIMissing, access.CIChanged, access.CIUnverifiable:
	case access.CIShadowed:
		diags.AddAttributeWarning(path.Root("ci_variables"), "CI/CD variables of "+project+" are shadowed", fmt.Sprintf(
			"%s win for some environments: their jobs do not get these credentials. Remove them in GitLab, or end the resource that keeps them.", listVariables(outranking)))
	case access.CIUnreachable:
		diags.AddAttributeWarning(path.Root("ci_variables"), "CI/CD variables of "+project+" are out of reach",
			refusedVariables+" The token is rotated, and published when access is back.")
	}
}

// refusedVariables is why GitLab refuses access to the variables of a project that it shows.
const refusedVariables = "GitLab refuses access to them: CI/CD is off for the project, or the provider's user is below the Maintainer role."

// warnOutOfReach: variables should be removed, and GitLab refuses access to them.
func warnOutOfReach(diags *diag.Diagnostics, state model, record access.Record) {
	scopes := record.Publication.Scopes()
	if len(scopes) == 0 {
		scopes = []string{state.publicationScope()}
	}
	diags.AddWarning("CI/CD variables of "+state.ProjectPath.ValueString()+" could not be removed", fmt.Sprintf(
		"%s Remove %s and %s (environment scope %s) in GitLab: once their token has ended, the jobs that get them write credentials that pull nothing.",
		refusedVariables, access.UserVariable, access.PasswordVariable, strings.Join(scopes, ", ")))
}

// warnStale: variables in other scopes than the configured one are still there.
func warnStale(diags *diag.Diagnostics, project string, scopes []string, err error) {
	diags.AddWarning("CI/CD variables of "+project+" are left in other scopes: "+strings.Join(scopes, ", "),
		DescribeError(err)+"\n\nThe credentials are published in the configured scope. The next apply removes these variables.")
}

// warnTwoResources: another resource of this provider publishes in the same variables.
func warnTwoResources(diags *diag.Diagnostics, state model, record access.Record, variables access.Variables) {
	if own, _ := variables.PublishedBy(record, state.publicationScope()); len(own) == 0 {
		diags.AddAttributeWarning(path.Root("ci_variables"), "CI/CD variables of "+state.ProjectPath.ValueString()+" hold another resource's credentials",
			"Their username was generated by another autodevops_registry_access of this project. If that one still exists, both publish over each other in every apply. Keep ci_variables in one of them.")
	}
}

// warnVariablesLeft names variables that a removal leaves behind.
func warnVariablesLeft(diags *diag.Diagnostics, state model, left access.Variables) {
	if len(left) == 0 {
		return
	}
	detail := "%s do not hold what this resource has published, so somebody else has written them."
	if left.OwnPair(left[0].Scope, "", state.ProjectID.ValueInt64()) {
		detail = "%s hold the credentials of another autodevops_registry_access of this project, such as the object that replaces this one."
	}
	diags.AddWarning("CI/CD variables of "+state.ProjectPath.ValueString()+" are left alone", fmt.Sprintf(detail, listVariables(left)))
}

func warnUncertain(diags *diag.Diagnostics, project string, tokenID int64, err error) {
	diags.AddWarning(fmt.Sprintf("Token %d of %s may not be published", tokenID, project), DescribeError(err)+
		"\n\nGitLab has not confirmed the CI/CD variables. The token is in the state and nothing was revoked.")
}

// soon is how long before an environment loses its pull a plan says so.
const soon = 30 * 24 * time.Hour

// warnEnvironments names environments that lose their pull soon, or have lost it. It does not
// wait for a change: only a deployment helps, not an apply.
func warnEnvironments(diags *diag.Diagnostics, state model, behind []access.EnvironmentState, now time.Time) {
	project := state.ProjectPath.ValueString()
	for _, e := range behind {
		if e.Until.IsZero() || e.Until.After(now.Add(soon)) {
			continue
		}
		name := e.Name + " of " + project
		summary := fmt.Sprintf("%s pulls until %s", name, e.Until.UTC().Format(time.DateOnly))
		switch {
		case e.Holds == access.HoldsJobToken:
			summary = name + " holds the token of a job that has ended"
		case !e.Until.After(now):
			summary = name + " cannot pull"
		}
		diags.AddWarning(summary, fmt.Sprintf("Its Secret holds %s. Run its deploy job once.", describeHolding(e.Holds, e.Until, now)))
	}
}

func describeHolding(holds access.Holding, until, now time.Time) string {
	switch holds {
	case access.HoldsJobToken:
		return "a token that pulls nothing, unless variables of a group or of the instance gave the job another one"
	case access.HoldsRetired, access.HoldsGitLabToken:
	case access.HoldsCurrent, access.HoldsNone, access.HoldsUnknown:
		return "other credentials than those that are published"
	}
	what := "a token that was replaced"
	if holds == access.HoldsGitLabToken {
		what = "the deploy token that GitLab made"
	}
	if until.After(now) {
		return fmt.Sprintf("%s, which ends on %s", what, until.UTC().Format(time.DateOnly))
	}
	return fmt.Sprintf("%s, which ended on %s", what, until.UTC().Format(time.DateOnly))
}

// describeRepair says why variables are written again.
func describeRepair(a assessment) string {
	switch a.record.Publication.Status {
	case access.CIMissing:
		return "A CI/CD variable was removed in GitLab."
	case access.CIUnverifiable:
		return "A CI/CD variable was replaced by a hidden one in GitLab."
	case access.CIPublished, access.CIChanged, access.CIShadowed, access.CIUnreachable:
	}
	return "A CI/CD variable was changed in GitLab."
}
