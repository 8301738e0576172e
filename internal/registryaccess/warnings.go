package registryaccess

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
)

// Warnings appear only in a plan that changes the resource, so that a steady
// plan is silent. Two do not wait for a change, because the plan would otherwise
// hide that it is not doing what the project needs: a missing registry, and an
// argument that contradicts GitLab.

func warnAtCreation(diags *diag.Diagnostics, plan model, a assessment, s subject, now time.Time) {
	if a.decision.Mint {
		warnToken(diags, plan)
	}
	warnContradiction(diags, plan, a)
	warnDeletion(diags, s.project.Path, a.facts)
	warnNoRegistry(diags, plan, a)

	unmanaged := access.Unmanaged(now, access.Record{}, access.Sighting{Tokens: s.tokens}, plan.Name.ValueString(), "", "")
	foreign := access.Foreign(unmanaged, s.project.ID)
	marked := slices.DeleteFunc(access.IDs(unmanaged), func(id int64) bool { return slices.Contains(foreign, id) })
	if len(foreign) > 0 {
		warnForeign(diags, plan, s.project.ID, foreign)
	}
	if len(marked) > 0 {
		warnMarked(diags, plan, s.project.Path, marked)
	}
}

// warnPrefetch says once in a plan that a group's projects cost more requests than
// the configuration means them to.
func warnPrefetch(diags *diag.Diagnostics, failures []gitlab.PrefetchFailure) {
	for _, f := range failures {
		diags.AddWarning("Cannot prefetch the projects of group "+f.Group, fmt.Sprintf(
			"%s\n\nIts projects are read one by one instead. Check prefetch_groups in the provider's configuration.", describeError(f.Err)))
	}
}

func warnMarked(diags *diag.Diagnostics, plan model, project string, marked []int64) {
	diags.AddAttributeWarning(path.Root("name"), "Another registry access has tokens of this name", fmt.Sprintf(
		"Project %s has active deploy tokens named %q that another autodevops_registry_access minted, or that an interrupted creation left behind: %s. "+
			"They are left alone. Revoke them in GitLab only if no autodevops_registry_access, in this state or another, manages them.",
		project, plan.Name.ValueString(), listIDs(marked)))
}

// warnNoRegistry: the configuration always wants access, and there is nothing to give access to.
func warnNoRegistry(diags *diag.Diagnostics, plan model, a assessment) {
	if a.requirement.Reason == access.ReasonRegistryDisabled && plan.Mode.ValueString() == string(access.ModeAlways) {
		diags.AddAttributeWarning(path.Root("mode"), "No registry to give access to",
			fmt.Sprintf("mode is \"always\", but %s No token is minted until it is on.", lower(a.requirement.Reason.Explanation())))
	}
}

func warnForeign(diags *diag.Diagnostics, plan model, projectID int64, foreign []int64) {
	diags.AddAttributeWarning(path.Root("name"), "Unmanaged tokens of the same name", fmt.Sprintf(
		"The project has active deploy tokens named %q that this resource does not manage: %s. They are left alone. "+
			"One that pulls images can be taken over without a gap, by importing it instead of creating a new one:\n\n"+
			"  terraform import <this resource's address> %d:%d",
		plan.Name.ValueString(), listIDs(foreign), projectID, foreign[len(foreign)-1]))
}

// warnToken is about the token that will be minted.
func warnToken(diags *diag.Diagnostics, plan model) {
	if plan.Permanent.ValueBool() {
		diags.AddAttributeWarning(path.Root("permanent"), "Permanent token",
			"The token will have no expiry: if this configuration is ever abandoned, it stays valid for ever.")
	}
	if plan.Name.ValueString() == access.GitLabName && !plan.Permanent.ValueBool() {
		diags.AddAttributeWarning(path.Root("name"), "GitLab hands this token to jobs", fmt.Sprintf(
			"GitLab exports the token named %q to every job as CI_DEPLOY_USER and CI_DEPLOY_PASSWORD, and Auto DevOps writes it into the cluster. "+
				"While two tokens overlap, a job may get the old one, and its pulls fail once that is revoked. "+
				"See the guide on rotation before using this name.", access.GitLabName))
	}
	var writes []string
	for _, element := range plan.Scopes.Elements() {
		if scope := strings.Trim(element.String(), `"`); strings.HasPrefix(scope, "write_") {
			writes = append(writes, scope)
		}
	}
	if len(writes) > 0 {
		slices.Sort(writes)
		diags.AddAttributeWarning(path.Root("scopes"), "The token can write", fmt.Sprintf(
			"The scopes %s let whoever reads the Secret change what is deployed. Pulling images needs only read_registry.", strings.Join(writes, ", ")))
	}
}

func warnDeletion(diags *diag.Diagnostics, project string, facts access.Facts) {
	if facts.DeletionScheduled {
		diags.AddAttributeWarning(path.Root("project"), "Project is scheduled for deletion", fmt.Sprintf(
			"Project %s is scheduled for deletion. GitLab has renamed it, so images under the old name can no longer be pulled, with or without a token.", project))
	}
}

// warnContradiction: an argument says that no access is needed where GitLab says it
// is. That is right while another resource of the same run changes the project.
func warnContradiction(diags *diag.Diagnostics, plan model, a assessment) {
	if said, contradicts := contradiction(plan, a.requirement, a.facts); contradicts {
		diags.AddWarning("Arguments contradict GitLab", fmt.Sprintf(
			"The arguments say that no access is required (%s); GitLab says that it is (%s). "+
				"If this run does not change the project accordingly, the apply fails.", a.requirement.Reason, said.Reason))
	}
}

// contradiction reports whether arguments remove a requirement that GitLab's own words make.
func contradiction(plan model, effective access.Requirement, facts access.Facts) (access.Requirement, bool) {
	if effective.Required || !plan.overrides().Any() {
		return access.Requirement{}, false
	}
	said, err := access.Require(access.Mode(plan.Mode.ValueString()), facts)
	return said, err == nil && said.Required
}

// hiddenFromCaller reports whether an argument decides that nothing is required,
// and GitLab hides whether that is so.
func hiddenFromCaller(plan model, effective access.Requirement, facts access.Facts) bool {
	if effective.Required || !plan.overrides().Any() {
		return false
	}
	_, err := access.Require(access.Mode(plan.Mode.ValueString()), facts)
	return err != nil
}

func warnHidden(diags *diag.Diagnostics, project string) {
	diags.AddWarning("Arguments could not be checked", fmt.Sprintf(
		"The arguments say that project %s needs no access. GitLab hides from the provider's user whether that is so; "+
			"with the Maintainer role it would be checked.", project))
}

func warnAtUpdate(diags *diag.Diagnostics, plan, state model, a assessment, changes bool) {
	project := state.ProjectPath.ValueString()
	if a.decision.Hold {
		diags.AddWarning("GitLab names no container registry", fmt.Sprintf(
			"GitLab does not name a container registry for project %s any more: it is off for the instance. "+
				"The token is neither rotated nor revoked until the registry is back, or the resource is destroyed.", project))
	}
	warnContradiction(diags, plan, a)
	if !changes {
		return
	}
	warnDeletion(diags, project, a.facts)
	warnNoRegistry(diags, plan, a)
	if a.policy.Keep && a.record.Current != nil && state.Required.ValueBool() && !a.requirement.Required && !a.decision.Changes() {
		diags.AddAttributeWarning(path.Root("on_not_required"), "A token is kept that is not required", fmt.Sprintf(
			"%s %s, because on_not_required is \"keep\". %s",
			a.requirement.Reason.Explanation(), describeKept(*a.record.Current), describeKeptEnd(*a.record.Current)))
	}
	if plan.Permanent.ValueBool() && !state.Permanent.ValueBool() && !a.decision.Mint && a.record.Current != nil && !a.record.Current.ExpiresAt.IsZero() {
		diags.AddAttributeWarning(path.Root("permanent"), "Permanent token", fmt.Sprintf(
			"Token %d keeps its expiry. Once its rotation window opens it is replaced by a token without one, which stays valid for ever if this configuration is abandoned.",
			a.record.Current.ID))
	}
	warnDecision(diags, project, a)
	warnRevocation(diags, project, a)

	if len(a.verdicts.Foreign) > 0 {
		warnForeign(diags, plan, state.ProjectID.ValueInt64(), a.verdicts.Foreign)
	}
	if marked := markedOf(state, a); state.Username.IsNull() && len(marked) > 0 {
		// A take-over that died has left no other trace.
		warnMarked(diags, plan, project, marked)
	}
	if a.decision.Mint {
		warnToken(diags, plan)
	}
}

// warnDecision says what the plan does to the current token.
func warnDecision(diags *diag.Diagnostics, project string, a assessment) {
	d, current := a.decision, a.record.Current
	if len(d.Adopt) > 0 {
		ids := make([]int64, 0, len(d.Adopt))
		for _, stray := range d.Adopt {
			ids = append(ids, stray.TokenID)
		}
		diags.AddWarning("Tokens of an interrupted apply", fmt.Sprintf(
			"Project %s has deploy tokens with this resource's username that the state does not know, from an apply that was interrupted "+
				"or whose state was lost: %s. They are retired and revoked after the overlap, in case a cluster uses them.", project, listIDs(ids)))
	}
	if current == nil {
		return
	}
	switch {
	case a.verdicts.Lost != nil && a.verdicts.Lost.TokenID == current.ID:
		diags.AddWarning("The token in use is dead", fmt.Sprintf(
			"%s Credentials that clusters hold from it do not work any more.", d.LastChange))
	case d.Mint && d.Fate == access.FateRetired:
		diags.AddWarning("Token will be rotated", d.LastChange+" "+describeOverlap(current.ID, a.schedule)+describeUntouched(a)+describeGitLabsOwn(a))
	case d.WindDown == access.WindDownStarts && !current.SecretKnown:
		diags.AddWarning("Token will end", fmt.Sprintf(
			"%s The secret of token %d is not known, so nothing is published. The token stays valid for %s and is revoked by the first apply after that.",
			d.LastChange, current.ID, days(a.schedule.Overlap)))
	case d.WindDown == access.WindDownStarts:
		diags.AddWarning("Token will end", fmt.Sprintf(
			"%s Token %d stays published for %s and is revoked by the first apply after that.",
			d.LastChange, current.ID, days(a.schedule.Overlap)))
	case d.Fate == access.FateRetired:
		diags.AddWarning("Credentials will be withdrawn", fmt.Sprintf(
			"%s The Secret becomes empty now; token %d is revoked by the first apply after %s, so that pods which still present it can pull.%s",
			d.LastChange, current.ID, days(a.schedule.Overlap), describeUntouched(a)))
	case d.Fate == access.FateEnded:
		diags.AddWarning("Token will be revoked", fmt.Sprintf(
			"%s Pods that still use token %d cannot pull after this apply.", d.LastChange, current.ID))
	}
}

func describeOverlap(id int64, s access.Schedule) string {
	if s.Overlap == 0 {
		return fmt.Sprintf("overlap_days is 0: token %d is revoked in this apply, before Secrets are updated. Pulls in between fail.", id)
	}
	return fmt.Sprintf("Token %d stays valid for %s, or until it expires, and is revoked by the first apply after that.", id, days(s.Overlap))
}

// describeUntouched: a plan that retires a token shows the whole list as changing.
func describeUntouched(a assessment) string {
	var ids []int64
	for _, t := range a.record.Retired {
		if !slices.Contains(a.decision.Revoke, t.ID) {
			ids = append(ids, t.ID)
		}
	}
	if len(ids) == 0 {
		return ""
	}
	return fmt.Sprintf(" Tokens that were retired earlier stay as they are: %s.", listIDs(ids))
}

// describeGitLabsOwn: the take-over of GitLab's own token leaves the Secret that
// Auto DevOps has written behind.
func describeGitLabsOwn(a assessment) string {
	if a.record.Current.SecretKnown || !slices.Contains(a.verdicts.GitLabNamed, a.record.Current.ID) {
		return ""
	}
	return fmt.Sprintf(" Token %d is the one that Auto DevOps writes into a Secret of its own. "+
		"Let the pods use the Secret with the new token, and deploy once, before the overlap is over.", a.record.Current.ID)
}

func describeKept(t access.Token) string {
	if !t.SecretKnown {
		return fmt.Sprintf("Deploy token %d stays valid", t.ID)
	}
	return fmt.Sprintf("Deploy token %d stays published", t.ID)
}

func describeKeptEnd(t access.Token) string {
	if t.ExpiresAt.IsZero() {
		return "It has no expiry, so it stays until on_not_required is \"revoke\"."
	}
	return "It winds down once its rotation window opens."
}

// markedOf lists the unmanaged tokens that some access has minted.
func markedOf(state model, a assessment) []int64 {
	return slices.DeleteFunc(mergeIDs(context.Background(), state.UnmanagedTokenIDs, nil), func(id int64) bool {
		return slices.Contains(a.verdicts.Foreign, id)
	})
}

// warnDestroy says what a destroy ends.
func warnDestroy(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.State.Raw.IsNull() {
		return
	}
	var state model
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	warnAllRevoked(&resp.Diagnostics, "All tokens will be revoked", state)
}

// warnAllRevoked is about operations that know no overlap.
func warnAllRevoked(diags *diag.Diagnostics, summary string, state model) {
	record, more := state.record(context.Background())
	diags.Append(more...)
	if ids := record.TokenIDs(); len(ids) > 0 {
		diags.AddWarning(summary, fmt.Sprintf(
			"These deploy tokens of project %s are revoked at once, without an overlap: %s. Pods that use them cannot pull any more.",
			state.ProjectPath.ValueString(), listIDs(ids)))
	}
}

func days(n int64) string {
	if n == 1 {
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}

// warnRevocation says what is revoked, and what GitLab may do afterwards.
func warnRevocation(diags *diag.Diagnostics, project string, a assessment) {
	due := a.decision.DueAfterSettling(a.record, a.schedule)
	if len(a.decision.Revoke) > 0 {
		diags.AddWarning("Retired tokens will be revoked", fmt.Sprintf(
			"The overlap is over for these deploy tokens of project %s: %s. If an apply failed since they were retired, "+
				"make sure that no Secret holds them: they are revoked before Secrets are updated.", project, listIDs(a.decision.Revoke)))
	}
	if slices.ContainsFunc(due, func(id int64) bool { return slices.Contains(a.verdicts.GitLabNamed, id) }) {
		diags.AddWarning("GitLab may make its own token again", fmt.Sprintf(
			"Once no deploy token of project %s is named %q, saving the project's Auto DevOps settings makes GitLab mint one again, without an expiry.",
			project, access.GitLabName))
	}
}

func lower(sentence string) string {
	if sentence == "" {
		return sentence
	}
	return strings.ToLower(sentence[:1]) + sentence[1:]
}
