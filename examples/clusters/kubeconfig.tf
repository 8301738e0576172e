# With a kubeconfig file. In a job of GitLab CI, KUBECONFIG names the file. The Kubernetes
# provider does not read that variable: export KUBE_CONFIG_PATH="$KUBECONFIG".
provider "kubernetes" {
  config_path    = "~/.kube/config"
  config_context = "production"
}
