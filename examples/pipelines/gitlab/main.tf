terraform {
  required_version = ">= 1.11"

  # GitLab keeps and locks the state; the pipeline sets TF_HTTP_ADDRESS and the rest.
  backend "http" {}

  required_providers {
    autodevops = {
      source  = "autodevops/autodevops"
      version = "~> 0.1.0"
    }
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = ">= 2.36"
    }
  }
}

# GITLAB_TOKEN comes from a CI/CD variable. For a plan, the scope read_api is enough.
provider "autodevops" {
  base_url = "https://gitlab.example.com"
}

# The commit that was applied last. The pipeline goes back to it while the policy denies a
# newer one.
variable "commit" {
  type    = string
  default = ""
}

output "commit" {
  value = var.commit
}

variable "projects" {
  description = "Where each project's images run."
  type        = map(object({ namespace = string }))
  default = {
    "acme/shop"   = { namespace = "shop-production" }
    "acme/worker" = { namespace = "worker-production" }
  }
}

resource "autodevops_registry_access" "this" {
  for_each = var.projects
  project  = each.key

  lifecycle {
    create_before_destroy = true
  }
}

resource "kubernetes_secret_v1" "registry" {
  for_each = var.projects

  metadata {
    name      = "registry-access"
    namespace = each.value.namespace
  }
  type = "kubernetes.io/dockerconfigjson"
  data_wo = {
    ".dockerconfigjson" = autodevops_registry_access.this[each.key].docker_config_json
  }
  data_wo_revision = autodevops_registry_access.this[each.key].docker_config_revision
}
