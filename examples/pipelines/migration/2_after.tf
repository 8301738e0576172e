# The same Secret afterwards, in one apply: the old token leaves the state without being
# revoked, is imported, and stays valid for the overlap while the Secret gets a new one.
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
