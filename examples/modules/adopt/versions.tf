terraform {
  required_version = ">= 1.7" # import blocks with for_each

  required_providers {
    autodevops = {
      source  = "autodevops/autodevops"
      version = "~> 0.1.0"
    }
  }
}
