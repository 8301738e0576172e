# One Secret for a pod that runs images of two projects in the same registry.
resource "kubernetes_secret_v1" "registry" {
  metadata {
    name      = "registry-access"
    namespace = "shop-production"
  }
  type = "kubernetes.io/dockerconfigjson"
  data = {
    ".dockerconfigjson" = provider::autodevops::docker_config_json(
      [autodevops_registry_access.shop, autodevops_registry_access.worker],
      "image_prefix",
    )
  }
}
