locals {
  # What is given for a project counts instead of what is given for all.
  projects = { for key, project in var.projects : key => merge(var.defaults, project) }

  # Values to rotate at are added up, so that a change for all also reaches a project that
  # has values of its own.
  rotate_when_changed = {
    for key, project in var.projects : key => merge(try(var.defaults.rotate_when_changed, null), try(project.rotate_when_changed, null))
  }

  # Each namespace, with the keys of the projects that have images in it.
  namespaces = transpose({ for key, project in var.projects : key => try(project.namespaces, []) })
}

resource "autodevops_registry_access" "this" {
  for_each = local.projects

  project                         = try(each.value.project, each.key)
  name                            = try(each.value.name, null)
  username                        = try(each.value.username, null)
  scopes                          = try(each.value.scopes, null)
  mode                            = try(each.value.mode, null)
  on_not_required                 = try(each.value.on_not_required, null)
  visibility                      = try(each.value.visibility, null)
  container_registry_access_level = try(each.value.container_registry_access_level, null)
  auto_devops_enabled             = try(each.value.auto_devops_enabled, null)
  permanent                       = try(each.value.permanent, null)
  rotation                        = try(each.value.rotation, try(each.value.permanent, null) == true ? null : { spread_days = 60 })
  rotate_when_changed             = length(local.rotate_when_changed[each.key]) > 0 ? local.rotate_when_changed[each.key] : null
  ci_variables                    = try(each.value.ci_variables, null)
  verify                          = try(each.value.verify, null)
  timeouts                        = try(each.value.timeouts, null)

  # With -replace, mint and publish the new token before the old one is revoked.
  lifecycle {
    create_before_destroy = true
  }
}

resource "kubernetes_namespace_v1" "this" {
  for_each = var.create_namespaces ? local.namespaces : {}

  metadata {
    name = each.key
  }
}

locals {
  # The credentials are keyed by project, so the kubelet finds the right one for each image.
  docker_config_json = {
    for namespace, keys in local.namespaces : namespace => provider::autodevops::docker_config_json(
      [for key in keys : autodevops_registry_access.this[key]],
      "image_prefix",
    )
  }

  # Another number for other credentials. It is made of the revisions of the projects, not
  # of secrets.
  revisions = {
    for namespace, keys in local.namespaces : namespace => parseint(substr(sha256(jsonencode([
      for key in keys : [autodevops_registry_access.this[key].image_prefix, autodevops_registry_access.this[key].docker_config_revision]
    ])), 0, 7), 16)
  }
}

# One Secret for each namespace, also if several projects share the namespace, and also
# while no project needs credentials. It is empty then.
resource "kubernetes_secret_v1" "this" {
  for_each = local.namespaces

  metadata {
    name      = var.secret_name
    namespace = var.create_namespaces ? kubernetes_namespace_v1.this[each.key].metadata[0].name : each.key
    labels    = var.secret_labels
  }
  type             = "kubernetes.io/dockerconfigjson"
  data             = var.write_only ? null : { ".dockerconfigjson" = local.docker_config_json[each.key] }
  data_wo          = var.write_only ? { ".dockerconfigjson" = local.docker_config_json[each.key] } : null
  data_wo_revision = var.write_only ? local.revisions[each.key] : null
}
