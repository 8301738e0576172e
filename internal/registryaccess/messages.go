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

// Every sentence about a resource that a user reads is here, but for those of package
// gitlab about its answers. Warnings appear in a plan that changes the resource, so that
// a steady plan is silent. The exceptions are named where they are made: what a plan
// would otherwise hide. Terraform folds warnings with equal summaries into one, so
// what must not be overlooked has the project and the token in its summary.

// warnAtCreation is about a plan that creates a resource.
func warnAtCreation(diags *diag.Diagnostics, plan model, a assessment, found subject, unmanaged []access.DeployToken) {
	if a.decision.Action.Effect().Mints {
		warnToken(diags, plan)
	}
	warnContradiction(diags, plan, found.project.Path, a)
	warnDeletion(diags, found.project.Path, a.facts)
	warnNoRegistry(diags, plan, a)
	foreign := access.IDs(access.WithoutGenerated(unmanaged, found.project.ID))
	generated := slices.DeleteFunc(access.IDs(unmanaged), func(id int64) bool { return slices.Contains(foreign, id) })
	warnUnmanaged(diags, plan, found.project.Path, found.project.ID, foreign)
	warnGenerated(diags, plan, found.project.Path, generated)
}

// warnAtUpdate is about a plan for a resource that is in state.
func warnAtUpdate(diags *diag.Diagnostics, plan, state model, a assessment, changes bool) {
	project := state.ProjectPath.ValueString()
	if a.decision.Action == access.ActionHold {
		// Also in a quiet plan, which would otherwise hide that nothing is rotated.
		diags.AddWarning("GitLab names no container registry for "+project, fmt.Sprintf(
			"GitLab no longer names a container registry for project %s: it is off for the instance. "+
				"The token is neither rotated nor revoked until the registry is back, or the resource is destroyed.", project))
	}
	warnContradiction(diags, plan, project, a)
	if !changes {
		return
	}
	warnDeletion(diags, project, a.facts)
	warnNoRegistry(diags, plan, a)
	warnKept(diags, state, a)
	current := a.record.Current
	mints := a.decision.Action.Effect().Mints
	if plan.Permanent.ValueBool() && !state.Permanent.ValueBool() && !mints && current != nil && !current.ExpiresAt.IsZero() {
		diags.AddAttributeWarning(path.Root("permanent"), "Permanent token", fmt.Sprintf(
			"Token %d keeps its expiry. When its rotation window opens it is replaced by a token without one, which stays valid for ever if this configuration is abandoned.",
			current.ID))
	}
	warnAction(diags, project, a)
	warnOrphans(diags, project, a)
	warnRevocation(diags, project, a)
	warnUnmanaged(diags, plan, project, state.ProjectID.ValueInt64(), a.observed.Unmanaged)
	if generated := generatedAmong(state, a); state.Username.IsNull() {
		// A take-over that died has left no other trace.
		warnGenerated(diags, plan, project, generated)
	}
	if mints {
		warnToken(diags, plan)
	}
}

// warnAction says what the plan does to the current token.
func warnAction(diags *diag.Diagnostics, project string, a assessment) {
	current := a.record.Current
	if current == nil {
		return
	}
	why := a.decision.LastChange
	if strings.HasSuffix(why, ": "+string(a.requirement.Reason)+".") {
		why = a.requirement.Explanation()
	}
	token := fmt.Sprintf("token %d of %s", current.ID, project)
	switch a.decision.Action {
	case access.ActionNone, access.ActionHold, access.ActionMint, access.ActionCancelWindDown, access.ActionRevoke, access.ActionRetireOrphan,
		access.ActionPublish, access.ActionUnpublish:
	case access.ActionReplace:
		diags.AddWarning("Replacement of "+token, why+" Clusters that hold its credentials cannot pull until they have the new ones. "+describeEnd(a)+describeUntouched(a))
	case access.ActionDrop:
		diags.AddWarning("End of "+token, why+" Clusters that hold its credentials cannot pull. "+describeEnd(a))
	case access.ActionRotate:
		diags.AddWarning("Rotation of "+token, why+" "+describeEnd(a)+describeUntouched(a))
	case access.ActionSeal:
		diags.AddWarning("Sealing of "+token, why+" "+describeEnd(a)+describeUntouched(a))
	case access.ActionTakeOver:
		diags.AddWarning("Take-over of "+token, why+" "+describeEnd(a)+describeUntouched(a)+describeGitLabsOwn(a))
	case access.ActionStartWindDown:
		stays := "stays published"
		if !current.SecretKnown {
			stays = "is not published, because its secret is not known; it stays valid"
		}
		diags.AddWarning("Wind-down of "+token, fmt.Sprintf("%s Token %d %s %s. The first apply after that revokes it.",
			why, current.ID, stays, describeOverlap(a)))
	case access.ActionWithdraw:
		diags.AddWarning("Withdrawal of "+token, fmt.Sprintf(
			"%s The Secret becomes empty in this apply. Token %d stays valid %s, so that pods which still present it can pull; the first apply after that revokes it.%s",
			why, current.ID, describeOverlap(a), describeUntouched(a)))
	case access.ActionEnd:
		diags.AddWarning("End of "+token, fmt.Sprintf("%s Pods that still use token %d cannot pull after this apply.", why, current.ID))
	}
}

// describeEnd says how a replaced token ends.
func describeEnd(a assessment) string {
	id, schedule := a.record.Current.ID, a.policy.Schedule
	switch {
	case a.decision.Status == access.StatusRevoked:
		return fmt.Sprintf("Token %d stays in GitLab as a revoked one.", id)
	case slices.Contains(a.due(), id) && a.decision.Action.Effect().Mints:
		return fmt.Sprintf("overlap_days is 0: token %d is revoked in this apply, before Secrets are updated. Pulls in between fail.", id)
	case a.decision.Status != access.StatusActive:
		return fmt.Sprintf("In case GitLab was wrong, token %d is left alone for %s; the first apply after that deletes it.", id, days(schedule.Overlap))
	case a.lastsUntilExpiry():
		return fmt.Sprintf("Token %d stays valid %s, because Secrets in clusters hold it until their next deployment.", id, describeOverlap(a))
	}
	return fmt.Sprintf("Token %d stays valid for %s, or until it expires. The first apply after that revokes it.", id, days(schedule.Overlap))
}

// lastsUntilExpiry reports whether the current token retires until its own expiry.
func (a assessment) lastsUntilExpiry() bool {
	return a.decision.ScheduleOf(a.record, a.policy.Schedule).UntilExpiry
}

// describeOverlap says how long the current token stays valid once it retires.
func describeOverlap(a assessment) string {
	schedule := a.decision.ScheduleOf(a.record, a.policy.Schedule)
	switch expiresAt := a.record.Current.ExpiresAt; {
	case !schedule.UntilExpiry:
		return "for " + days(schedule.Overlap)
	case expiresAt.IsZero():
		return "for half a lifetime"
	default:
		return "until it expires on " + expiresAt.UTC().Format(time.DateOnly)
	}
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
	if !slices.Contains(a.observed.GitLabNamed, a.record.Current.ID) {
		return ""
	}
	return fmt.Sprintf(" Token %d is the one that Auto DevOps writes into a Secret of its own. "+
		"Let the pods use the Secret with the new token, and deploy once, before the overlap is over.", a.record.Current.ID)
}

func warnOrphans(diags *diag.Diagnostics, project string, a assessment) {
	if len(a.decision.Retire) == 0 {
		return
	}
	diags.AddWarning(fmt.Sprintf("Tokens of an interrupted apply in %s: %s", project, listIDs(orphanIDs(a.decision.Retire))),
		"GitLab has these deploy tokens with this resource's username, and the state does not know them: an apply was interrupted, or its state was lost. "+
			"Another copy of the state may have published them, so they are tracked in retired_tokens and revoked when they expire.")
}

func orphanIDs(orphans []access.Orphan) []int64 {
	ids := make([]int64, 0, len(orphans))
	for _, orphan := range orphans {
		ids = append(ids, orphan.TokenID)
	}
	return ids
}

// warnRevocation says what is revoked, and what GitLab may do afterwards.
func warnRevocation(diags *diag.Diagnostics, project string, a assessment) {
	if len(a.decision.Revoke) > 0 {
		diags.AddWarning(fmt.Sprintf("Revocation of retired tokens of %s: %s", project, listIDs(a.decision.Revoke)),
			"The time of these deploy tokens is over, or overlap_days is now 0. If an apply failed since they were retired, "+
				"make sure that no Secret holds them: they are revoked before Secrets are updated.")
	}
	if slices.ContainsFunc(a.due(), func(id int64) bool { return slices.Contains(a.observed.GitLabNamed, id) }) {
		diags.AddWarning("GitLab may make its own token again in "+project, fmt.Sprintf(
			"When no deploy token of project %s is named %q, saving the project's Auto DevOps settings makes GitLab mint one again, without an expiry.",
			project, access.GitLabName))
	}
}

// warnNotRevoked is about a clean-up that failed after the new credentials were ready: the
// apply goes on, so that the Secret gets them.
func warnNotRevoked(diags *diag.Diagnostics, project string, left []int64, err error) {
	diags.AddWarning(fmt.Sprintf("Tokens of %s are still valid: %s", project, listIDs(left)),
		DescribeError(err)+"\n\nThe new credentials are in the state and nothing else was revoked. "+
			"These tokens stay in retired_tokens, and the next apply tries again.")
}

// warnUnmanaged is about tokens that no resource of this provider minted.
func warnUnmanaged(diags *diag.Diagnostics, plan model, project string, projectID int64, foreign []int64) {
	if len(foreign) == 0 {
		return
	}
	diags.AddAttributeWarning(path.Root("name"), "Unmanaged tokens of the same name in "+project, fmt.Sprintf(
		"The project has active deploy tokens named %q that this resource does not manage: %s. They are left alone. "+
			"One that pulls images can be taken over without a gap, by importing it instead of creating a new one:\n\n"+
			"  terraform import <this resource's address> %d:%d",
		plan.Name.ValueString(), listIDs(foreign), projectID, foreign[len(foreign)-1]))
}

// warnGenerated is about tokens that some resource of this provider minted. The plan of a
// replacement cannot tell its own old object from others.
func warnGenerated(diags *diag.Diagnostics, plan model, project string, generated []int64) {
	if len(generated) == 0 {
		return
	}
	diags.AddAttributeWarning(path.Root("name"), "Other tokens of this provider in "+project, fmt.Sprintf(
		"Project %s has active deploy tokens named %q that an autodevops_registry_access minted: %s. They are left alone. They belong to the object that this plan replaces, "+
			"to another resource or state, or to a creation that was interrupted.",
		project, plan.Name.ValueString(), listIDs(generated)))
}

// generatedAmong lists the unmanaged tokens that some resource of this provider minted.
func generatedAmong(state model, a assessment) []int64 {
	return slices.DeleteFunc(idsOf(state.UnmanagedTokenIDs), func(id int64) bool {
		return slices.Contains(a.observed.Unmanaged, id)
	})
}

// warnNoRegistry: the configuration always wants access, and there is nothing to give access to.
func warnNoRegistry(diags *diag.Diagnostics, plan model, a assessment) {
	if a.requirement.Reason == access.ReasonRegistryDisabled && plan.Mode.ValueString() == string(access.ModeAlways) {
		diags.AddAttributeWarning(path.Root("mode"), "No registry to give access to",
			fmt.Sprintf("mode is \"always\". %s No token is minted until it is on.", a.requirement.Explanation()))
	}
}

// warnToken is about the token that the plan mints.
func warnToken(diags *diag.Diagnostics, plan model) {
	if plan.Permanent.ValueBool() {
		diags.AddAttributeWarning(path.Root("permanent"), "Permanent token",
			"The token has no expiry: if this configuration is ever abandoned, it stays valid for ever.")
	}
	if plan.Name.ValueString() == access.GitLabName && !plan.Permanent.ValueBool() {
		diags.AddAttributeWarning(path.Root("name"), "GitLab hands this token to jobs", fmt.Sprintf(
			"GitLab exports the token named %q to every job as CI_DEPLOY_USER and CI_DEPLOY_PASSWORD, and Auto DevOps writes it into the cluster. "+
				"While two tokens overlap, a job may get the old one, and its pulls fail when that is revoked. "+
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
		diags.AddAttributeWarning(path.Root("project"), "Project "+project+" is scheduled for deletion", fmt.Sprintf(
			"Project %s is scheduled for deletion. GitLab has renamed it, so images under the old name can no longer be pulled, with or without a token.", project))
	}
}

// warnContradiction: an argument says that no access is needed where GitLab says it is.
// That is right while another resource of the same run changes the project. It does not
// wait for a change, because the plan would otherwise hide it.
func warnContradiction(diags *diag.Diagnostics, plan model, project string, a assessment) {
	if said, contradicts := contradiction(plan, a.requirement, a.facts); contradicts {
		diags.AddWarning("Arguments for "+project+" contradict GitLab", fmt.Sprintf(
			"The arguments say that no access is required (%s); GitLab says that it is (%s). "+
				"If this run does not change the project accordingly, the apply fails.", a.requirement.Reason, said.Reason))
	}
}

func warnHidden(diags *diag.Diagnostics, project string) {
	diags.AddWarning("Arguments for "+project+" could not be checked", fmt.Sprintf(
		"The arguments say that project %s needs no access. GitLab hides from the provider's user whether that is so; "+
			"with the Maintainer role it would be checked.", project))
}

// warnKept is about a token that on_not_required keeps.
func warnKept(diags *diag.Diagnostics, state model, a assessment) {
	current := a.record.Current
	if !a.policy.Keep || current == nil || !state.Required.ValueBool() || a.requirement.Required || a.decision.Changes() {
		return
	}
	stays := "stays published"
	if !current.SecretKnown {
		stays = "stays valid"
	}
	end := "Its wind-down starts when its rotation window opens."
	if current.ExpiresAt.IsZero() {
		end = "It has no expiry, so it stays until on_not_required is \"revoke\"."
	}
	diags.AddAttributeWarning(path.Root("on_not_required"), fmt.Sprintf("Token %d of %s is kept, and not required", current.ID, state.ProjectPath.ValueString()), fmt.Sprintf(
		"%s Deploy token %d %s, because on_not_required is \"keep\". %s", a.requirement.Explanation(), current.ID, stays, end))
}

// warnPrefetch says once in a plan that a group's projects cost more requests than
// the configuration means them to.
func warnPrefetch(diags *diag.Diagnostics, failures []gitlab.PrefetchFailure) {
	for _, f := range failures {
		diags.AddWarning("Cannot prefetch the projects of group "+f.Group, fmt.Sprintf(
			"%s\n\nIts projects are read one by one instead. Check prefetch_groups in the provider's configuration.", DescribeError(f.Err)))
	}
}

// warnDestroy says what a destroy ends, and what it leaves alone.
func warnDestroy(diags *diag.Diagnostics, summary string, state model, observed access.Observation) {
	record := state.record()
	project := state.ProjectPath.ValueString()
	if ids := record.TokenIDs(); len(ids) > 0 {
		diags.AddWarning(fmt.Sprintf("%s of %s: %s", summary, project, listIDs(ids)),
			"These deploy tokens are revoked at once, without an overlap. Pods that use them cannot pull any more.")
	}
	var left []int64
	for _, orphan := range observed.Orphans {
		if !record.Owns(orphan.TokenID) {
			left = append(left, orphan.TokenID)
		}
	}
	warnLeftAlone(diags, project, left)
}

// warnOthers names ids of the state that mean somebody else's tokens now.
func warnOthers(diags *diag.Diagnostics, state model, others []int64) {
	if len(others) > 0 {
		diags.AddWarning(fmt.Sprintf("Ids of deploy tokens of %s mean other tokens now: %s", state.ProjectPath.ValueString(), listIDs(others)),
			"The tokens with these ids have other names or usernames than those in the state, as in a GitLab that was restored from a backup. They are left alone. The tokens in the state no longer exist.")
	}
}

// warnMissing names tokens of the state that GitLab does not have.
func warnMissing(diags *diag.Diagnostics, state model, missing []int64) {
	if len(missing) > 0 {
		diags.AddWarning(fmt.Sprintf("Tokens of %s are not in GitLab: %s", state.ProjectPath.ValueString(), listIDs(missing)),
			"GitLab says that these deploy tokens do not exist, so there was nothing to revoke. If base_url has changed, they may live in the GitLab of before.")
	}
}

// warnLeftAlone names tokens with a resource's own username that its state does not know.
func warnLeftAlone(diags *diag.Diagnostics, project string, left []int64) {
	if len(left) > 0 {
		diags.AddWarning(fmt.Sprintf("Tokens of an interrupted apply live on in %s: %s", project, listIDs(left)),
			"These deploy tokens have this resource's username, and its state does not know them. They are left alone, because another copy of the state may have published them. "+
				"Revoke them in GitLab if no other state holds this resource.")
	}
}

// warnGone is about a project for which GitLab answers 404.
func warnGone(diags *diag.Diagnostics, state model, what string, ids []int64) {
	project := state.ProjectPath.ValueString()
	detail := fmt.Sprintf("GitLab answers 404 for project %s (id %d): it was deleted, or the provider's user has lost access to it; GitLab does not tell which. %s",
		project, state.ProjectID.ValueInt64(), what)
	if len(ids) > 0 {
		detail += fmt.Sprintf("\n\nIf the project still exists, these deploy tokens live on until they expire or are revoked in GitLab: %s.", listIDs(ids))
	}
	diags.AddWarning(fmt.Sprintf("Project %s is gone or hidden", project), detail)
}

// warnInvalid is about a current token that no longer works. It does not wait for a
// change: nothing else in a plan with -refresh-only says it.
func warnInvalid(diags *diag.Diagnostics, project string, current access.Token, observed access.Observation) {
	status := observed.Status(current)
	if status == access.StatusActive {
		return
	}
	diags.AddWarning(fmt.Sprintf("Token %d of %s no longer works", current.ID, project), fmt.Sprintf(
		"GitLab says that it %s. Clusters that hold its credentials cannot pull images. The next apply replaces it if access is required.", describeStatus(status)))
}

func describeStatus(status access.Status) string {
	switch status {
	case access.StatusDeleted:
		return "does not exist any more"
	case access.StatusExpired:
		return "has expired"
	case access.StatusActive, access.StatusRevoked:
	}
	return "was revoked"
}

// warnPathTaken: the argument leads to another project than the one in the state.
func warnPathTaken(diags *diag.Diagnostics, state model, owner int64) {
	was, now := state.Project.ValueString(), state.ProjectPath.ValueString()
	diags.AddAttributeWarning(path.Root("project"), fmt.Sprintf("Path %s belongs to another project now", was), fmt.Sprintf(
		"This resource manages project %d, which was renamed to %s. The path %s in its configuration now leads to project %d, which has no token from here: "+
			"the credentials do not pull its images.\n\nSet project to %q to keep the renamed project, or to \"%d\" to replace this resource by one for the new project.",
		state.ProjectID.ValueInt64(), now, was, owner, now, owner))
}

// warnUnreadable names rows of GitLab's list that are somebody else's.
func warnUnreadable(diags *diag.Diagnostics, project string, rows []gitlab.UnreadableToken) {
	ids := make([]int64, 0, len(rows))
	for _, row := range rows {
		ids = append(ids, row.ID)
	}
	if len(ids) > 0 {
		diags.AddWarning(fmt.Sprintf("Unreadable deploy tokens in %s: %s", project, listIDs(ids)),
			"GitLab's answer about these deploy tokens is not as expected. They are not this resource's, so it goes on without them.")
	}
}

// anotherGitLab is the detail of an error: the state is about another GitLab.
func anotherGitLab(from origin, client *gitlab.Client, state model, ids []int64) string {
	detail := fmt.Sprintf("The state was written with base_url %s. The provider now talks to %s, where project %d (%s in the state) ",
		from.GitLab, client.Root(), state.ProjectID.ValueInt64(), state.ProjectPath.ValueString())
	if len(ids) == 0 {
		detail += "has another path."
	} else {
		detail += fmt.Sprintf("has none of its deploy tokens: %s.", listIDs(ids))
	}
	return detail + " Nothing was changed.\n\nIf GitLab has moved, its deploy tokens have not come along: remove the resource from the state and create it anew. Otherwise correct base_url."
}

func describeRequirement(required bool, reason string) string {
	if required {
		return "required (" + reason + ")"
	}
	return "not required (" + reason + ")"
}

func days(n int64) string {
	if n == 1 {
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}

func listIDs(ids []int64) string {
	parts := make([]string, 0, len(ids))
	for _, id := range ids {
		parts = append(parts, fmt.Sprint(id))
	}
	return strings.Join(parts, ", ")
}

// Capitalize makes a sentence of an error.
func Capitalize(sentence string) string {
	if sentence == "" {
		return sentence
	}
	return strings.ToUpper(sentence[:1]) + sentence[1:]
}
