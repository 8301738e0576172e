# GitLab keeps and locks the state: versioned, with access by role. Maintainers write
# it, Developers read it, and with it the token.
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
