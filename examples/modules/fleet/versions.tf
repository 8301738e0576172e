terraform {
  required_version = ">= 1.7" # provider-defined functions: Terraform 1.8, OpenTofu 1.7

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
