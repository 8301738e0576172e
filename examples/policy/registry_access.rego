# What a merge request may plan for autodevops_registry_access without further
# approval. Input is a plan as JSON:
#
#   terraform plan -out plan.bin && terraform show -json plan.bin >plan.json
#   opa eval --fail-defined -f pretty -d registry_access.rego -d labels.json -i plan.json 'data.registry_access.deny[_]'
#
# labels.json contains the labels of the merge request, {"labels": ["revoke-registry-access"]}.
# That label approves every end of registry access. The label replace-registry-access
# approves only a replacement that creates the new token before it revokes the old ones, and
# overwrite-ci-variables only a publication over CI/CD variables that somebody else has made.
# An unknown value in a plan is denied, because it can become any value.
package registry_access

import rego.v1

longest_lifetime_days := 365

# GitLab's own default, and this provider's.
default_lifetime_days := 365

revocation_label := "revoke-registry-access"

replacement_label := "replace-registry-access"

overwriting_label := "overwrite-ci-variables"

resources contains change if {
	some change in input.resource_changes
	change.mode == "managed"
	change.type == "autodevops_registry_access"
}

# The resources that exist after the apply, changed or not.
kept contains change if {
	some change in resources
	change.change.after != null
}

deny contains msg if {
	some resource in kept
	resource.change.after.permanent == true
	msg := sprintf("%s: permanent tokens outlive everybody who knows of them; set permanent = false", [resource.address])
}

deny contains msg if {
	some resource in kept
	days := lifetime(resource.change.after)
	days > longest_lifetime_days
	msg := sprintf("%s: tokens live for %d days; %d is the most", [resource.address, days, longest_lifetime_days])
}

deny contains msg if {
	some resource in kept
	some scope in resource.change.after.scopes
	startswith(scope, "write_")
	msg := sprintf("%s: %s is more than a cluster needs to pull images", [resource.address, scope])
}

# Once a rotation is due, every nightly run would be denied. So deny the argument now.
deny contains msg if {
	some resource in kept
	resource.change.after.rotation.overlap_days == 0
	msg := sprintf("%s: overlap_days = 0 revokes the token in use before the cluster has the next one", [resource.address])
}

deny contains msg if {
	some resource in kept
	some name in ["permanent", "rotation", "scopes", "ci_variables"]
	unknown(resource.change, name)
	msg := sprintf("%s: %s is not known yet, so nobody can approve it", [resource.address, name])
}

deny contains msg if {
	not labelled
	some {"address": address, "why": why} in revocations
	msg := sprintf("%s: %s; the label %s approves that", [address, why, revocation_label])
}

deny contains msg if {
	not labelled
	not replacement_label in data.labels
	some resource in replaced
	msg := sprintf("%s: its tokens are revoked after the new one is published; the label %s approves that", [resource.address, replacement_label])
}

# The values that are overwritten are lost. Once the credentials are published, overwrite
# changes nothing any more.
deny contains msg if {
	not overwriting_label in data.labels
	some resource in kept
	overwrites(resource.change.after)
	not published_over(resource.change)
	msg := sprintf("%s: overwrite replaces CI/CD variables of somebody else; the label %s approves that", [resource.address, overwriting_label])
}

overwrites(state) if state.ci_variables.overwrite == true

published_over(change) if {
	overwrites(change.before)
	object.get(change.before, "ci_status", null) != null
	scope(change.before) == scope(change.after)
}

scope(state) := object.get(state.ci_variables, "environment_scope", null)

labelled if revocation_label in data.labels

# create_before_destroy: the new token is published before the old ones are revoked.
replaced contains resource if {
	some resource in resources
	resource.change.actions == ["create", "delete"]
	resource.change.before.project_id == resource.change.after.project_id
	count(tokens(resource.change.before)) > 0
}

# Destroyed, or replaced in any other way: all tokens are revoked at once, in use or not.
# A deposed object is what an approved replacement has left. The Secret has the new token
# before the old ones are revoked.
revocations contains {"address": resource.address, "why": "its tokens are revoked at once"} if {
	some resource in resources
	"delete" in resource.change.actions
	count(tokens(resource.change.before)) > 0
	not resource in replaced
	not replacement_left(resource)
}

replacement_left(resource) if {
	resource.deposed
	some other in kept
	other.address == resource.address
	not "delete" in other.change.actions
}

# Removed from the state: after that, nobody rotates or revokes the tokens.
revocations contains {"address": resource.address, "why": "its tokens will be in nobody's state"} if {
	some resource in resources
	"forget" in resource.change.actions
	count(tokens(resource.change.before)) > 0
}

# A changed argument ends registry access, and not a change in GitLab.
revocations contains {"address": resource.address, "why": sprintf("%s ends registry access that is required", [name])} if {
	some resource in kept
	resource.change.before.required != false
	resource.change.after.required == false
	some name in decisive
	argument(resource.change.before, name) != argument(resource.change.after, name)
}

# An unknown value may end registry access. Only the apply will show it.
revocations contains {"address": resource.address, "why": sprintf("%s is not known yet, and may end it", [name])} if {
	some resource in kept
	count(tokens(resource.change.before)) > 0
	some name in ["project", "required", "generation"]
	unknown(resource.change, name)
}

# The values of last_action. A later version of the provider may have more.
known_actions := {
	"none", "mint", "rotate", "take_over", "replace", "start_wind_down", "cancel_wind_down",
	"withdraw", "end", "drop", "revoke", "retire_orphan", "publish", "unpublish", "seal",
}

deny contains msg if {
	some resource in kept
	action := object.get(resource.change.after, "last_action", null)
	action != null
	not action in known_actions
	msg := sprintf("%s: the action %s is not known to this policy", [resource.address, action])
}

# What the plan does to the tokens of each resource, for the reviewer of the merge request.
actions contains {"address": resource.address, "action": resource.change.after.last_action} if {
	some resource in kept
	resource.change.actions != ["no-op"]
	object.get(resource.change.after, "last_action", null) != null
}

# The arguments that decide whether access is required.
decisive := ["mode", "visibility", "container_registry_access_level", "auto_devops_enabled"]

argument(state, "mode") := "auto" if object.get(state, "mode", null) == null

else := object.get(state, "mode", null)

argument(state, name) := object.get(state, name, null) if name != "mode"

tokens(state) := {token.token_id | some token in object.get(state, "retired_tokens", [])} | {id |
	id := object.get(state, "token_id", null)
	id != null
}

lifetime(after) := default_lifetime_days if after.rotation == null

lifetime(after) := object.get(after.rotation, "expiration_days", null) if {
	object.get(after.rotation, "expiration_days", null) != null
}

lifetime(after) := default_lifetime_days if {
	after.rotation != null
	object.get(after.rotation, "expiration_days", null) == null
}

# The value is unknown, as a whole or in parts.
unknown(change, name) if {
	walk(object.get(change.after_unknown, name, false), [_, value])
	value == true
}

# What GitLab shows in the merge request: artifacts:reports:terraform.
report := {
	"create": count([change | some change in input.resource_changes; "create" in change.change.actions]),
	"update": count([change | some change in input.resource_changes; "update" in change.change.actions]),
	"delete": count([change | some change in input.resource_changes; "delete" in change.change.actions]),
}
