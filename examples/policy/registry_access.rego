# What a merge request may plan for autodevops_registry_access without further
# approval. Input is a plan as JSON:
#
#   terraform plan -out plan.bin && terraform show -json plan.bin >plan.json
#   opa eval --fail-defined -f pretty -d registry_access.rego -d labels.json -i plan.json 'data.registry_access.deny[_]'
#
# labels.json holds the labels of the merge request, {"labels": ["revoke-registry-access"]}.
# What a plan leaves unknown is denied, as it may turn out to be anything.
package registry_access

import rego.v1

longest_lifetime_days := 365

# GitLab's own default, and this provider's.
default_lifetime_days := 365

revocation_label := "revoke-registry-access"

accesses contains change if {
	some change in input.resource_changes
	change.mode == "managed"
	change.type == "autodevops_registry_access"
}

# What there will be after the apply, changed by it or not.
kept contains change if {
	some change in accesses
	change.change.after != null
}

deny contains msg if {
	some access in kept
	access.change.after.permanent == true
	msg := sprintf("%s: permanent tokens outlive everybody who knows of them; set permanent = false", [access.address])
}

deny contains msg if {
	some access in kept
	days := lifetime(access.change.after)
	days > longest_lifetime_days
	msg := sprintf("%s: tokens live for %d days; %d is the most", [access.address, days, longest_lifetime_days])
}

deny contains msg if {
	some access in kept
	some scope in access.change.after.scopes
	startswith(scope, "write_")
	msg := sprintf("%s: %s is more than a cluster needs to pull images", [access.address, scope])
}

deny contains msg if {
	some access in kept
	some name in ["permanent", "rotation", "scopes", "mode"]
	unknown(access.change.after_unknown[name])
	msg := sprintf("%s: %s is not known yet, so nobody can approve it", [access.address, name])
}

deny contains msg if {
	not labelled
	some {"address": address, "why": why} in revocations
	msg := sprintf("%s: %s; the label %s approves that", [address, why, revocation_label])
}

labelled if revocation_label in data.labels

# Destroyed or replaced: all tokens are revoked at once, in use or not.
revocations contains {"address": access.address, "why": "its tokens are revoked at once, and access is still required"} if {
	some access in accesses
	"delete" in access.change.actions
	access.change.before.required == true
}

# Removed from the state: nobody rotates or revokes its tokens any more.
revocations contains {"address": access.address, "why": "its tokens will be in nobody's state"} if {
	some access in accesses
	"forget" in access.change.actions
	count(tokens(access.change.before)) > 0
}

# Access ends because somebody says so, and not because GitLab does.
revocations contains {"address": access.address, "why": "mode = \"never\" ends an access that is required"} if {
	some access in kept
	access.change.before.required == true
	access.change.after.reason == "mode_never"
}

# The same, by a fact that the configuration states against what GitLab says.
revocations contains {"address": access.address, "why": sprintf("%s is stated against what GitLab says, and ends an access that is required", [name])} if {
	some access in kept
	access.change.before.required == true
	access.change.after.required == false
	some name in ["visibility", "container_registry_access_level", "auto_devops_enabled"]
	access.change.after[name] != null
	access.change.after[name] != access.change.after.facts[name]
}

# Without an overlap, the token in use is revoked before the cluster has the next one.
revocations contains {"address": access.address, "why": "overlap_days = 0 revokes the token in use before the cluster has the next one"} if {
	some access in kept
	access.change.after.rotation.overlap_days == 0
	access.change.after.generation > access.change.before.generation
	access.change.before.token_id != null
}

tokens(state) := ids if {
	ids := {token.token_id | some token in state.retired_tokens} | {id | id := state.token_id; id != null}
}

lifetime(after) := default_lifetime_days if after.rotation == null

lifetime(after) := object.get(after.rotation, "expiration_days", null) if {
	object.get(after.rotation, "expiration_days", null) != null
}

lifetime(after) := default_lifetime_days if {
	after.rotation != null
	object.get(after.rotation, "expiration_days", null) == null
}

# An object is unknown in parts.
unknown(value) if value == true

unknown(value) if {
	is_object(value)
	some part in value
	part == true
}

# What GitLab shows in the merge request: artifacts:reports:terraform.
report := {
	"create": count([change | some change in input.resource_changes; "create" in change.change.actions]),
	"update": count([change | some change in input.resource_changes; "update" in change.change.actions]),
	"delete": count([change | some change in input.resource_changes; "delete" in change.change.actions]),
}
