resource "autodevops_registry_access" "this" {
  for_each = var.projects

  project                         = coalesce(each.value.project, each.key)
  name                            = var.token_name
  mode                            = each.value.mode
  on_not_required                 = each.value.on_not_required
  visibility                      = each.value.visibility
  container_registry_access_level = each.value.container_registry_access_level
  auto_devops_enabled             = each.value.auto_devops_enabled
  rotation                        = each.value.rotation != null ? each.value.rotation : var.rotation

  lifecycle {
    create_before_destroy = true
  }
}

locals {
  # Each namespace, with the keys of the projects that have images in it.
  namespaces = transpose({ for key, project in var.projects : key => project.namespaces })
}

resource "kubernetes_namespace_v1" "this" {
  for_each = var.create_namespaces ? local.namespaces : {}

  metadata {
    name = each.key
  }
}

# One Secret for each namespace, also if several projects share the namespace. The
# credentials are keyed by project, so the kubelet finds the right one for each image.
# The Secret exists also while no project needs credentials. It is empty then.
resource "kubernetes_secret_v1" "this" {
  for_each = local.namespaces

  metadata {
    name      = var.secret_name
    namespace = var.create_namespaces ? kubernetes_namespace_v1.this[each.key].metadata[0].name : each.key
    labels    = var.secret_labels
  }
  type = "kubernetes.io/dockerconfigjson"
  data = {
    ".dockerconfigjson" = provider::autodevops::docker_config_json(
      [for key in each.value : autodevops_registry_access.this[key]],
      "image_prefix",
    )
  }
}
