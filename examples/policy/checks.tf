# The same rules without another tool, as far as a configuration can check itself.
# A precondition stops the plan, but it cannot see which tokens the plan revokes.
# prevent_destroy and the Rego rules beside this file can.
terraform {
  required_providers {
    autodevops = {
      source  = "autodevops/autodevops"
      version = "~> 0.1.0"
    }
  }
}

variable "projects" {
  type = map(object({
    permanent = optional(bool, false)
    scopes    = optional(set(string), ["read_registry"])
    rotation = optional(object({
      expiration_days    = optional(number)
      rotate_before_days = optional(number)
      overlap_days       = optional(number)
    }), {})
  }))
}

resource "autodevops_registry_access" "this" {
  for_each = var.projects

  project   = each.key
  permanent = each.value.permanent
  scopes    = each.value.scopes
  rotation  = each.value.rotation

  lifecycle {
    create_before_destroy = true
    prevent_destroy       = true

    precondition {
      condition     = !each.value.permanent
      error_message = "${each.key}: permanent tokens outlive everybody who knows of them."
    }
    precondition {
      condition     = coalesce(each.value.rotation.expiration_days, 365) <= 365
      error_message = "${each.key}: tokens live for a year at most."
    }
    precondition {
      condition     = !anytrue([for scope in each.value.scopes : startswith(scope, "write_")])
      error_message = "${each.key}: a cluster only pulls images."
    }
    precondition {
      condition     = each.value.rotation.overlap_days != 0
      error_message = "${each.key}: without an overlap, the token in use is revoked before the cluster has the next one."
    }
  }
}

# A check warns in every plan and apply, and does not stop it.
check "nothing_unmanaged" {
  assert {
    condition     = alltrue([for access in values(autodevops_registry_access.this) : length(access.unmanaged_token_ids) == 0])
    error_message = "Nobody manages these tokens: ${jsonencode({ for key, access in autodevops_registry_access.this : key => access.unmanaged_token_ids if length(access.unmanaged_token_ids) > 0 })}"
  }
}

check "only_what_auto_devops_needs" {
  assert {
    condition     = alltrue([for access in values(autodevops_registry_access.this) : access.reason != "mode_always"])
    error_message = "Somebody asked for tokens that Auto DevOps does not need."
  }
}
