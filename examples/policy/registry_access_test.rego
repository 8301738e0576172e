# opa test -v registry_access.rego registry_access_test.rego
package registry_access_test

import rego.v1

import data.registry_access

# The resource of a project after its first apply.
state := {
	"project_id": 7, "mode": "auto", "permanent": false, "rotation": null, "scopes": ["read_registry"],
	"required": true, "reason": "auto_devops_private", "generation": 1, "token_id": 42, "retired_tokens": [],
	"visibility": null, "container_registry_access_level": null, "auto_devops_enabled": null,
	"facts": {"visibility": "private", "container_registry_access_level": "enabled", "auto_devops_enabled": true},
}

planned(actions, before, after, after_unknown) := {"resource_changes": [{
	"address": "autodevops_registry_access.shop", "mode": "managed", "type": "autodevops_registry_access",
	"change": {"actions": actions, "before": before, "after": after, "after_unknown": after_unknown},
}]}

created(changes) := planned(["create"], null, object.union(state, changes), {"token_id": true})

updated(changes) := planned(["update"], state, object.union(state, changes), {})

denied(plan) := msgs if {
	msgs := registry_access.deny with input as plan with data.labels as []
}

labelled(plan) := msgs if {
	msgs := registry_access.deny with input as plan with data.labels as ["revoke-registry-access"]
}

test_creation_is_allowed if count(denied(created({}))) == 0

test_action_is_reported if {
	plan := updated({"generation": 2, "last_action": "rotate"})
	registry_access.actions == {{"address": "autodevops_registry_access.shop", "action": "rotate"}} with input as plan with data.labels as []
	count(denied(plan)) == 0
}

test_unknown_action_is_denied if count(denied(updated({"last_action": "something_new"}))) == 1

test_rotation_is_allowed if count(denied(updated({"generation": 2}))) == 0

test_wind_down_that_gitlab_asks_for_is_allowed if {
	count(denied(updated({"required": false, "reason": "auto_devops_disabled"}))) == 0
}

test_permanent_is_denied if count(denied(created({"permanent": true}))) == 1

test_permanent_is_denied_where_nothing_changes if {
	permanent := object.union(state, {"permanent": true})
	count(denied(planned(["no-op"], permanent, permanent, {}))) == 1
}

test_a_year_is_allowed if count(denied(created({"rotation": {"expiration_days": 365}}))) == 0

test_more_than_a_year_is_denied if count(denied(created({"rotation": {"expiration_days": 366}}))) == 1

test_rotation_without_lifetime_has_the_default if count(denied(created({"rotation": {"overlap_days": 3, "expiration_days": null}}))) == 0

test_writing_is_denied if count(denied(created({"scopes": ["read_registry", "write_registry"]}))) == 1

test_unknown_arguments_are_denied if {
	count(denied(planned(["create"], null, object.remove(state, ["permanent"]), {"permanent": true}))) == 1
	count(denied(planned(["create"], null, object.union(state, {"rotation": {}}), {"rotation": {"expiration_days": true}}))) == 1
}

test_destroying_what_is_required_needs_the_label if {
	count(denied(planned(["delete"], state, null, {}))) == 1
	count(labelled(planned(["delete"], state, null, {}))) == 0
}

replaceable(plan) := msgs if {
	msgs := registry_access.deny with input as plan with data.labels as ["replace-registry-access"]
}

test_replacing_needs_a_label if {
	count(denied(planned(["create", "delete"], state, state, {}))) == 1
	count(replaceable(planned(["create", "delete"], state, state, {}))) == 0
	count(labelled(planned(["create", "delete"], state, state, {}))) == 0
}

test_revoking_first_is_no_replacement if {
	count(denied(planned(["delete", "create"], state, state, {}))) == 1
	count(replaceable(planned(["delete", "create"], state, state, {}))) == 1
	count(labelled(planned(["delete", "create"], state, state, {}))) == 0
}

test_another_project_is_no_replacement if {
	count(replaceable(planned(["create", "delete"], state, object.union(state, {"project_id": 8}), {}))) == 1
}

test_the_replacement_label_approves_no_end if {
	count(replaceable(planned(["delete"], state, null, {}))) == 1
	count(replaceable(updated({"mode": "never", "required": false, "reason": "mode_never"}))) == 1
}

# A replacement that failed at the Secret, and the plan after it.
left(actions, before, after) := {"resource_changes": [
	{
		"address": "autodevops_registry_access.shop", "mode": "managed", "type": "autodevops_registry_access",
		"change": {"actions": actions, "before": before, "after": after, "after_unknown": {}},
	},
	{
		"address": "autodevops_registry_access.shop", "deposed": "55bb7037", "mode": "managed", "type": "autodevops_registry_access",
		"change": {"actions": ["delete"], "before": state, "after": null, "after_unknown": {}},
	},
]}

test_an_interrupted_replacement_is_completed if count(denied(left(["no-op"], state, state))) == 0

test_an_interrupted_replacement_is_no_way_to_a_destroy if {
	count(denied(left(["delete"], object.union(state, {"token_id": null}), null))) == 1
}

test_destroying_one_in_its_wind_down_needs_the_label if {
	count(denied(planned(["delete"], object.union(state, {"required": false}), null, {}))) == 1
}

test_destroying_one_without_tokens_is_allowed if {
	count(denied(planned(["delete"], object.union(state, {"required": false, "token_id": null}), null, {}))) == 0
}

test_destroying_an_import_needs_the_label if {
	count(denied(planned(["delete"], object.union(state, {"required": null}), null, {}))) == 1
}

test_forgetting_tokens_needs_the_label if {
	count(denied(planned(["forget"], state, null, {}))) == 1
	count(denied(planned(["forget"], object.union(state, {"token_id": null}), null, {}))) == 0
}

test_mode_never_needs_the_label if {
	count(denied(updated({"mode": "never", "required": false, "reason": "mode_never"}))) == 1
	count(labelled(updated({"mode": "never", "required": false, "reason": "mode_never"}))) == 0
}

test_a_stated_fact_needs_the_label if {
	count(denied(updated({"auto_devops_enabled": false, "required": false, "reason": "auto_devops_disabled"}))) == 1
}

test_a_removed_argument_needs_the_label if {
	always := object.union(state, {"mode": "always"})
	count(denied(planned(["update"], always, object.union(state, {"required": false}), {}))) == 1
	stated := object.union(state, {"auto_devops_enabled": true})
	count(denied(planned(["update"], stated, object.union(state, {"required": false}), {}))) == 1
}

test_an_import_that_gitlab_says_is_not_required_is_allowed if {
	imported := object.union(state, {"required": null, "mode": null})
	count(denied(planned(["update"], imported, object.union(state, {"required": false}), {}))) == 0
}

test_an_import_with_mode_never_needs_the_label if {
	imported := object.union(state, {"required": null, "mode": null})
	count(denied(planned(["update"], imported, object.union(state, {"required": false, "mode": "never"}), {}))) == 1
}

test_an_unknown_outcome_needs_the_label if {
	count(denied(planned(["update"], state, state, {"required": true}))) == 1
	count(denied(planned(["update"], state, state, {"generation": true}))) == 1
	count(denied(planned(["create"], null, state, {"required": true}))) == 0
}

test_an_unknown_scope_is_denied if {
	count(denied(planned(["create"], null, state, {"scopes": [false, true]}))) == 1
}

test_no_overlap_is_denied_before_anything_rotates if {
	count(denied(created({"rotation": {"overlap_days": 0}}))) == 1
	count(labelled(updated({"rotation": {"overlap_days": 0}}))) == 1
}

test_the_label_approves_revocations_only if {
	count(labelled(planned(["delete", "create"], state, object.union(state, {"permanent": true}), {}))) == 1
}

overwriting(plan) := msgs if {
	msgs := registry_access.deny with input as plan with data.labels as ["overwrite-ci-variables"]
}

publishing(overwrite) := {"ci_variables": {"environment_scope": null, "overwrite": overwrite}, "ci_status": "published"}

test_publishing_is_allowed if {
	count(denied(created(publishing(null)))) == 0
	count(denied(updated(object.union(publishing(false), {"last_action": "publish"})))) == 0
	count(denied(updated({"last_action": "unpublish"}))) == 0
}

test_overwriting_needs_the_label if {
	count(denied(created(publishing(true)))) == 1
	count(overwriting(created(publishing(true)))) == 0
	count(labelled(created(publishing(true)))) == 1
	count(denied(updated(publishing(true)))) == 1
}

test_overwriting_is_approved_once if {
	published := object.union(state, publishing(true))
	count(denied(planned(["update"], published, object.union(published, {"generation": 2}), {}))) == 0
	withdrawn := object.union(published, {"ci_status": null})
	count(denied(planned(["update"], withdrawn, published, {}))) == 1
}

test_overwriting_another_scope_needs_the_label if {
	published := object.union(state, publishing(true))
	scoped := object.union(published, {"ci_variables": {"environment_scope": "production", "overwrite": true}})
	count(denied(planned(["update"], published, scoped, {}))) == 1
}

test_an_unknown_scope_of_variables_is_denied if {
	count(denied(planned(["create"], null, object.union(state, {"ci_variables": {}}), {"ci_variables": {"overwrite": true}}))) == 1
}
