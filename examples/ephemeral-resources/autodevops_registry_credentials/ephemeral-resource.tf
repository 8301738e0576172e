terraform {
  required_version = ">= 1.11" # ephemeral resources and write-only arguments

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

# The identity comes from AUTODEVOPS_SEAL_IDENTITY or AUTODEVOPS_SEAL_IDENTITY_FILE.
provider "autodevops" {
  base_url = "https://gitlab.example.com"
}

resource "autodevops_registry_access" "shop" {
  project = "acme/shop"

  seal = {
    age_recipients = [
      "age1x99vvkd8w2l7nazlw3uw2r66s3wnu3nqsylc9jc7dhamf5ghp4mqqqw9pd", # the pipeline
      "age1eqqfv32nlpfjl5xhddqjfgwkfkd9n0q90wqwc2hna5wxr7zu2arqh54qje", # kept offline
    ]
  }
}

ephemeral "autodevops_registry_credentials" "shop" {
  sealed            = autodevops_registry_access.shop.sealed_credentials
  identity_optional = !terraform.applying # only an apply needs the identity
}

resource "kubernetes_secret_v1" "registry" {
  metadata {
    name      = "registry-access"
    namespace = "shop-production"
  }
  type = "kubernetes.io/dockerconfigjson"
  data_wo = {
    ".dockerconfigjson" = ephemeral.autodevops_registry_credentials.shop.docker_config_json
  }
  data_wo_revision = autodevops_registry_access.shop.docker_config_revision
}
