variable "projects" {
  description = <<-EOT
    The projects. A key is any name that stays the same, for example the project's full path.

    * `project`: the project's numeric id or full path. Default: the key.
    * `namespaces`: where the project's images run. Each namespace gets one Secret, for all projects with images in it.
    * `mode`, `on_not_required`, `visibility`, `container_registry_access_level`, `auto_devops_enabled`: as in `autodevops_registry_access`.
    * `rotation`: used for this project instead of the module's `rotation`.
  EOT
  type = map(object({
    project                         = optional(string)
    namespaces                      = optional(set(string), [])
    mode                            = optional(string)
    on_not_required                 = optional(string)
    visibility                      = optional(string)
    container_registry_access_level = optional(string)
    auto_devops_enabled             = optional(bool)
    rotation = optional(object({
      expiration_days    = optional(number)
      rotate_before_days = optional(number)
      overlap_days       = optional(number)
      spread_days        = optional(number)
    }))
  }))
  nullable = false

  validation {
    condition = alltrue([
      for project in values(var.projects) : alltrue([
        for namespace in project.namespaces : can(regex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", namespace))
      ])
    ])
    error_message = "A namespace has up to 63 lower-case letters, digits and hyphens, and begins and ends with a letter or digit."
  }
}

variable "rotation" {
  description = "The rotation periods of all projects, as in `autodevops_registry_access`. By default, rotations are spread over 60 days, so that tokens that were minted on one day are not all replaced on one day."
  type = object({
    expiration_days    = optional(number)
    rotate_before_days = optional(number)
    overlap_days       = optional(number)
    spread_days        = optional(number)
  })
  default  = { spread_days = 60 }
  nullable = false
}

variable "token_name" {
  description = "The name of the deploy tokens. Default: that of `autodevops_registry_access`."
  type        = string
  default     = null
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

variable "create_namespaces" {
  description = "Whether to create the namespaces. The module then also destroys a namespace, with everything that runs in it, when no project names it any more. If false, the namespaces must exist."
  type        = bool
  default     = false
  nullable    = false
}
