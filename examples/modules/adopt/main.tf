# What GitLab has made by itself: permanent tokens named gitlab-deploy-token.
data "autodevops_registry_coverage" "this" {
  group   = var.group
  exclude = length(var.exclude) > 0 ? var.exclude : null
  name    = "gitlab-deploy-token"
}

locals {
  # All projects of the group, by id: a key must not change when a project is renamed. Never
  # filter this map by required or hidden. A project that leaves it is destroyed, with no
  # wind-down.
  projects = { for path, project in data.autodevops_registry_coverage.this.coverage : tostring(project.project_id) => merge(project, { path = path }) }

  made_by_gitlab = { for id, project in local.projects : id => project if project.token_id != null }
}

resource "autodevops_registry_access" "this" {
  for_each = local.projects

  project      = each.key
  mode         = lookup(var.modes, each.value.path, null)
  ci_variables = var.ci_variables
  rotation = {
    expiration_days    = try(var.rotation.expiration_days, null)
    rotate_before_days = try(var.rotation.rotate_before_days, null)
    overlap_days       = try(var.rotation.overlap_days, var.rotation == null && var.ci_variables == null ? 30 : null)
    spread_days        = try(var.rotation.spread_days, var.rotation == null ? 60 : null)
  }

  lifecycle {
    create_before_destroy = true
    # A list that GitLab leaves incomplete once must not end anything.
    prevent_destroy = true
  }
}

# A misspelled path would be ignored.
check "modes_name_projects_of_the_group" {
  assert {
    condition     = length(setsubtract(keys(var.modes), keys(data.autodevops_registry_coverage.this.coverage))) == 0
    error_message = "Not in the group: ${join(", ", setsubtract(keys(var.modes), keys(data.autodevops_registry_coverage.this.coverage)))}"
  }
}
