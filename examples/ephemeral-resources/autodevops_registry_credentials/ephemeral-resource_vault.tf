terraform {
  required_version = ">= 1.11" # ephemeral resources and write-only arguments

  required_providers {
    autodevops = {
      source  = "autodevops/autodevops"
      version = "~> 0.1.0"
    }
    vault = {
      source  = "hashicorp/vault"
      version = ">= 5.0" # data_json_wo
    }
  }
}

resource "autodevops_registry_access" "shop" {
  project = "acme/shop"

  seal = {
    age_recipients = ["age1x99vvkd8w2l7nazlw3uw2r66s3wnu3nqsylc9jc7dhamf5ghp4mqqqw9pd"]
  }
}

ephemeral "autodevops_registry_credentials" "shop" {
  sealed            = autodevops_registry_access.shop.sealed_credentials
  identity_optional = !terraform.applying
}

resource "vault_kv_secret_v2" "registry" {
  mount = "secret"
  name  = "shop/registry"
  data_json_wo = jsonencode({
    username           = ephemeral.autodevops_registry_credentials.shop.username
    password           = ephemeral.autodevops_registry_credentials.shop.token
    docker_config_json = ephemeral.autodevops_registry_credentials.shop.docker_config_json
  })
  data_json_wo_version = autodevops_registry_access.shop.docker_config_revision
}
