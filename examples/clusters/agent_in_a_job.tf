# In a job of GitLab CI, with GitLab's agent for Kubernetes. KUBECONFIG has one context for
# each agent that the project may use. Its name is "<project of the agent>:<agent>".
#
#   export KUBE_CONFIG_PATH="$KUBECONFIG"
provider "kubernetes" {
  config_context = "acme/platform:production"
}
