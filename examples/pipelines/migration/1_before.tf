# A common setup: time_rotating replaces a deploy token. The old token is revoked before
# the new one exists. With create_before_destroy, both exist during one apply only.
resource "time_rotating" "shop" {
  rotation_days = 300
}

resource "gitlab_project_deploy_token" "shop" {
  project    = "acme/shop"
  name       = "registry"
  username   = "shop-registry"
  scopes     = ["read_registry"]
  expires_at = timeadd(time_rotating.shop.rfc3339, "8760h")
}

resource "kubernetes_secret_v1" "registry" {
  metadata {
    name      = "registry-access"
    namespace = "shop-production"
  }
  type = "kubernetes.io/dockerconfigjson"
  data = {
    ".dockerconfigjson" = jsonencode({ auths = { "registry.gitlab.example.com" = {
      username = gitlab_project_deploy_token.shop.username
      password = gitlab_project_deploy_token.shop.token
      auth     = base64encode("${gitlab_project_deploy_token.shop.username}:${gitlab_project_deploy_token.shop.token}")
    } } })
  }
}
