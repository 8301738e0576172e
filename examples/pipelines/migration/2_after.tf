# The same Secret, migrated in one apply. The old token is removed from the state without
# being revoked. It is imported, and stays valid for the overlap. The Secret gets a new
# token.
removed {
  from = gitlab_project_deploy_token.shop

  lifecycle {
    destroy = false
  }
}

removed {
  from = time_rotating.shop

  lifecycle {
    destroy = false
  }
}

import {
  to = autodevops_registry_access.shop
  id = "acme/shop:42" # project:deploy token id, from the old resource
}

resource "autodevops_registry_access" "shop" {
  project = "acme/shop"

  lifecycle {
    create_before_destroy = true
  }
}

resource "kubernetes_secret_v1" "registry" {
  metadata {
    name      = "registry-access"
    namespace = "shop-production"
  }
  type = "kubernetes.io/dockerconfigjson"
  data = {
    ".dockerconfigjson" = autodevops_registry_access.shop.docker_config_json
  }
}
