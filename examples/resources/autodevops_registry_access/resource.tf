resource "autodevops_registry_access" "shop" {
  project = "acme/shop"

  # With -replace, mint and publish the new token before the old one is revoked.
  lifecycle {
    create_before_destroy = true
  }
}

# The Secret exists also while no token is needed. docker_config_json is then
# {"auths":{}}, so the Secret needs no count.
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
