# Outside of GitLab CI, with GitLab's agent. The agent's user_access must name your group or
# project. The personal access token needs the scope k8s_proxy.
variable "agent_id" {
  description = "Operate > Kubernetes clusters > the agent: its number."
  type        = number
}

variable "agent_token" {
  type      = string
  sensitive = true
}

provider "kubernetes" {
  host  = "https://kas.gitlab.com/k8s-proxy" # elsewhere: the address of your KAS
  token = "pat:${var.agent_id}:${var.agent_token}"
}
