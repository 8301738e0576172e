variable "group" {
  description = "The group: its numeric id or its full path. All projects below it are managed, subgroups included."
  type        = string
  nullable    = false
}

variable "exclude" {
  description = "Full paths of groups and projects that are not managed. If a project is managed already, excluding it is a destroy, and the plan fails."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "ci_variables" {
  description = "Publishes the credentials in the CI/CD variables of each project, as in `autodevops_registry_access`. `{}` is enough."
  type        = any
  default     = null

  validation {
    condition     = var.ci_variables == null || length(setsubtract(try(keys(var.ci_variables), var.ci_variables == null ? [] : ["not an object"]), ["environment_scope", "overwrite"])) == 0
    error_message = "ci_variables is an object with environment_scope and overwrite."
  }
}

variable "rotation" {
  description = "The rotation periods, as in `autodevops_registry_access`. By default, rotations are spread over 60 days, and a token that is taken over stays valid for 30 days, so that every environment can be deployed in that time. With `ci_variables` it stays valid for half a year."
  type        = any
  default     = null

  validation {
    condition     = length(setsubtract(try(keys(var.rotation), var.rotation == null ? [] : ["not an object"]), ["expiration_days", "rotate_before_days", "overlap_days", "spread_days"])) == 0
    error_message = "rotation is an object with expiration_days, rotate_before_days, overlap_days and spread_days."
  }
}

variable "modes" {
  description = "The `mode` of single projects by their full path, as in { \"acme/library\" = \"never\" }."
  type        = map(string)
  default     = {}
  nullable    = false
}
