terraform {
  required_version = ">= 1.8" # provider-defined functions

  required_providers {
    autodevops = {
      source  = "autodevops/autodevops"
      version = ">= 0.1.0-dev"
    }
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = ">= 2.16"
    }
  }
}
