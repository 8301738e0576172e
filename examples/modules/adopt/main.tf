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

  project  = each.key
  mode     = lookup(var.modes, each.value.path, null)
  rotation = var.rotation

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
