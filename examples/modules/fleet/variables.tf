# An object type with optional attributes would drop a misspelled key without a word. So
# the types are "any", and the keys are checked.

variable "projects" {
  description = <<-EOT
    The projects. A key is any name that stays the same, for example the project's full path.

    * `project`: the project's numeric id or full path. Default: the key.
    * `namespaces`: where the project's images run. Each namespace gets one Secret, for all projects with images in it.
    * every other argument of `autodevops_registry_access`. Without it, that of `defaults` counts.
  EOT
  type        = any
  nullable    = false

  validation {
    condition     = can(keys(var.projects)) && alltrue([for project in try(values(var.projects), []) : can(keys(project))])
    error_message = "This is a map of objects, as in { \"acme/shop\" = { namespaces = [\"shop\"] } }. A project without arguments is {}."
  }

  validation {
    condition = length(setsubtract(flatten([for project in try(values(var.projects), []) : try(keys(project), [])]), [
      "project", "namespaces", "name", "username", "scopes", "mode", "on_not_required", "visibility", "container_registry_access_level",
      "auto_devops_enabled", "permanent", "rotation", "rotate_when_changed", "ci_variables", "verify", "timeouts",
    ])) == 0
    error_message = "Unknown argument: ${join(", ", setsubtract(flatten([for project in try(values(var.projects), []) : try(keys(project), [])]), [
      "project", "namespaces", "name", "username", "scopes", "mode", "on_not_required", "visibility", "container_registry_access_level",
      "auto_devops_enabled", "permanent", "rotation", "rotate_when_changed", "ci_variables", "verify", "timeouts",
    ]))}."
  }

  validation {
    condition = alltrue([
      for project in try(values(var.projects), []) :
      length(setsubtract(try(keys(project.rotation), []), ["expiration_days", "rotate_before_days", "overlap_days", "spread_days"])) == 0
    ])
    error_message = "rotation has only expiration_days, rotate_before_days, overlap_days and spread_days."
  }

  validation {
    condition = alltrue([
      for project in try(values(var.projects), []) : length(setsubtract(try(keys(project.timeouts), []), ["create", "read", "update", "delete"])) == 0
    ])
    error_message = "timeouts has only create, read, update and delete."
  }

  validation {
    condition = alltrue([
      for project in try(values(var.projects), []) : length(setsubtract(try(keys(project.ci_variables), []), ["environment_scope", "overwrite"])) == 0
    ])
    error_message = "ci_variables has only environment_scope and overwrite."
  }

  validation {
    condition = alltrue([
      for project in try(values(var.projects), []) :
      !can(project.namespaces) || can([for namespace in project.namespaces : regex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", namespace)])
    ])
    error_message = "namespaces is a list. A namespace has up to 63 lower-case letters, digits and hyphens, and begins and ends with a letter or digit."
  }
}

variable "defaults" {
  description = "Arguments of `autodevops_registry_access` for all projects. Without `rotation`, the rotations are spread over 60 days, so that tokens that were minted on one day are not all replaced on one day. `rotate_when_changed` of all and of a project are added up; every other argument of a project counts as a whole instead."
  type        = any
  default     = {}
  nullable    = false

  validation {
    condition = length(setsubtract(try(keys(var.defaults), ["not an object"]), [
      "name", "username", "scopes", "mode", "on_not_required", "visibility", "container_registry_access_level",
      "auto_devops_enabled", "permanent", "rotation", "rotate_when_changed", "ci_variables", "verify", "timeouts",
    ])) == 0
    error_message = "Unknown argument: ${join(", ", setsubtract(try(keys(var.defaults), ["not an object"]), [
      "name", "username", "scopes", "mode", "on_not_required", "visibility", "container_registry_access_level",
      "auto_devops_enabled", "permanent", "rotation", "rotate_when_changed", "ci_variables", "verify", "timeouts",
    ]))}."
  }

  validation {
    condition     = length(setsubtract(try(keys(var.defaults.rotation), []), ["expiration_days", "rotate_before_days", "overlap_days", "spread_days"])) == 0
    error_message = "rotation has only expiration_days, rotate_before_days, overlap_days and spread_days."
  }

  validation {
    condition     = length(setsubtract(try(keys(var.defaults.timeouts), []), ["create", "read", "update", "delete"])) == 0
    error_message = "timeouts has only create, read, update and delete."
  }

  validation {
    condition     = length(setsubtract(try(keys(var.defaults.ci_variables), []), ["environment_scope", "overwrite"])) == 0
    error_message = "ci_variables has only environment_scope and overwrite."
  }
}

variable "secret_name" {
  description = "The name of the Secret in each namespace. It must not be the name of a Secret that Auto DevOps writes."
  type        = string
  default     = "registry-access"
  nullable    = false

  validation {
    condition     = !startswith(var.secret_name, "gitlab-registry")
    error_message = "Auto DevOps writes Secrets whose names begin with gitlab-registry, and would overwrite this one with every deployment."
  }
}

variable "secret_labels" {
  description = "Labels of the Secrets."
  type        = map(string)
  default     = { "app.kubernetes.io/managed-by" = "terraform" }
  nullable    = false
}

variable "write_only" {
  description = "Whether the Secrets are written with `data_wo`, so that their state holds no credentials. This needs Terraform or OpenTofu 1.11. If false, Terraform also sees that somebody else has edited a Secret."
  type        = bool
  default     = true
  nullable    = false
}

variable "create_namespaces" {
  description = "Whether to create the namespaces. The module then also destroys a namespace, with everything that runs in it, when no project names it any more. If false, the namespaces must exist."
  type        = bool
  default     = false
  nullable    = false
}
