# When the same configuration manages the project, reference the project's attributes.
# The plan is then correct in the same run that changes them.
resource "gitlab_project" "catalog" {
  name                            = "catalog"
  namespace_id                    = 42
  visibility_level                = "internal"
  container_registry_access_level = "enabled"
}

resource "autodevops_registry_access" "catalog" {
  project                         = gitlab_project.catalog.id
  visibility                      = gitlab_project.catalog.visibility_level
  container_registry_access_level = gitlab_project.catalog.container_registry_access_level

  lifecycle {
    create_before_destroy = true
  }
}
