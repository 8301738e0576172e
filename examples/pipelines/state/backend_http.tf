# GitLab stores the state with versions, locks it, and restricts access by role.
# Maintainers can write the state. Developers can read it, and the token in it.
#
#   terraform init \
#     -backend-config=address=https://gitlab.example.com/api/v4/projects/42/terraform/state/registry-access \
#     -backend-config=lock_address=https://gitlab.example.com/api/v4/projects/42/terraform/state/registry-access/lock \
#     -backend-config=unlock_address=https://gitlab.example.com/api/v4/projects/42/terraform/state/registry-access/lock \
#     -backend-config=username=platform -backend-config=password="$GITLAB_STATE_TOKEN"
terraform {
  backend "http" {
    lock_method    = "POST"
    unlock_method  = "DELETE"
    retry_wait_min = 5
  }
}
