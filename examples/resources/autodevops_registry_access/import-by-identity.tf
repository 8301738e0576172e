import {
  to = autodevops_registry_access.shop
  identity = {
    project_id = 7
    name       = "gitlab-deploy-token"
  }
}
