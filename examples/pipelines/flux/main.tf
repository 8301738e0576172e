# The Terraform object beside this file applies this configuration. The state is a Secret
# in the same namespace and contains the token. Everybody who may read Secrets there can
# pull with it.
terraform {
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

provider "autodevops" {
  base_url = "https://gitlab.example.com"
}

variable "project" {
  type = string
}

variable "namespace" {
  type    = string
  default = "shop-production"
}

resource "autodevops_registry_access" "this" {
  project = var.project

  lifecycle {
    create_before_destroy = true
  }
}

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

output "required" {
  value = autodevops_registry_access.this.required
}

output "reason" {
  value = autodevops_registry_access.this.reason
}

output "expires_at" {
  value = autodevops_registry_access.this.expires_at
}
