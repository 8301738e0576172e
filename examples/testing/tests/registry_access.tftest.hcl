# terraform init && terraform test: no GitLab and no cluster is asked.
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
    error_message = "Project and namespace come from the variables."
  }
  assert {
    condition     = kubernetes_secret_v1.registry.type == "kubernetes.io/dockerconfigjson"
    error_message = "Kubelet takes credentials from no other type of Secret."
  }
  assert {
    condition     = output.registry_access == { required = true, reason = "auto_devops_private" }
    error_message = "The output says why."
  }
}

# The Secret is written anew when the credentials change, and only then.
run "the_secret_follows_the_credentials" {
  assert {
    condition     = kubernetes_secret_v1.registry.data_wo_revision == autodevops_registry_access.this.docker_config_revision
    error_message = "data_wo_revision must follow docker_config_revision."
  }
}
