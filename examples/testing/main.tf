terraform {
  required_version = ">= 1.11" # write-only arguments

  required_providers {
    autodevops = {
      source  = "autodevops/autodevops"
      version = "~> 0.1.0"
    }
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = ">= 2.36" # data_wo
    }
  }
}

variable "project" {
  type = string
}

variable "namespace" {
  type = string
}

resource "autodevops_registry_access" "this" {
  project = var.project

  lifecycle {
    create_before_destroy = true
  }
}

# The credentials never reach this resource's state, because data_wo is write-only. It is
# written again whenever docker_config_revision changes. Do not use generation here,
# because credentials also change when they are withdrawn and when the registry moves.
resource "kubernetes_secret_v1" "registry" {
  metadata {
    name      = "registry-access"
    namespace = var.namespace
  }
  type = "kubernetes.io/dockerconfigjson"
  data_wo = {
    ".dockerconfigjson" = autodevops_registry_access.this.docker_config_json
  }
  data_wo_revision = autodevops_registry_access.this.docker_config_revision
}

# If there is no token, this output says why.
output "registry_access" {
  value = {
    required = autodevops_registry_access.this.required
    reason   = autodevops_registry_access.this.reason
  }
}
