# With nothing but GitLab: deploy jobs of Auto DevOps write the Secret in the cluster, from
# two CI/CD variables that this resource keeps.
resource "autodevops_registry_access" "shop" {
  project      = "acme/shop"
  ci_variables = {}
}
