# A Secret of the cluster stores the state (up to 1 MB, about a hundred resources), and a
# Lease locks it. Everybody who may read Secrets in this namespace can read all tokens.
# KUBE_CONFIG_PATH names the kubeconfig. If two runs ask for the lock at the same moment,
# one of them can fail ("the object has been modified"). Run it again.
terraform {
  backend "kubernetes" {
    secret_suffix = "registry-access"
    namespace     = "terraform-state"
  }
}
