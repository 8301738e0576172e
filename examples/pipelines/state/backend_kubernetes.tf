# A Secret of the cluster keeps the state (up to 1 MB, about a hundred accesses), and a
# Lease locks it. Whoever may read Secrets in this namespace can read all tokens.
terraform {
  backend "kubernetes" {
    secret_suffix = "registry-access"
    namespace     = "terraform-state"
  }
}
