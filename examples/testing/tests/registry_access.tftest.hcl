# Run with: terraform init && terraform test. The tests need neither a GitLab nor a cluster.
mock_provider "autodevops" {
  source = "./mocks"
}

mock_provider "kubernetes" {}

variables {
  project   = "acme/shop"
  namespace = "shop-production"
}

run "the_project_gets_a_secret_in_its_namespace" {
  assert {
    condition     = autodevops_registry_access.this.project == "acme/shop" && kubernetes_secret_v1.registry.metadata[0].namespace == "shop-production"
    error_message = "Project and namespace must come from the variables."
  }
  assert {
    condition     = kubernetes_secret_v1.registry.type == "kubernetes.io/dockerconfigjson"
    error_message = "The Secret must have the type that the kubelet takes credentials from."
  }
  assert {
    condition     = output.registry_access == { required = true, reason = "auto_devops_private" }
    error_message = "The output must say why a token is required."
  }
}

# The Secret is written again only when the credentials change.
run "the_secret_follows_the_credentials" {
  assert {
    condition     = kubernetes_secret_v1.registry.data_wo_revision == autodevops_registry_access.this.docker_config_revision
    error_message = "data_wo_revision must follow docker_config_revision."
  }
}
