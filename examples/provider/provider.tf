terraform {
  required_providers {
    autodevops = {
      source  = "autodevops/autodevops"
      version = "~> 0.1.0"
    }
  }
}

# The token comes from GITLAB_TOKEN. It needs the scope "api", and its user the
# Maintainer role in the projects.
provider "autodevops" {
  base_url = "https://gitlab.example.com"
}
