# A Secret of the cluster keeps the state (up to 1 MB, about a hundred accesses), and a
# Lease locks it. Whoever may read Secrets in this namespace can read all tokens.
# KUBE_CONFIG_PATH names the kubeconfig. Two runs that ask for the lock in the same
# instant: one of them can fail ("the object has been modified"); run it again.
terraform {
  backend "kubernetes" {
    secret_suffix = "registry-access"
    namespace     = "terraform-state"
  }
}
