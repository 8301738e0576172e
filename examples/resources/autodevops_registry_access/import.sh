# By project and token id. The project is its path or its id:
terraform import autodevops_registry_access.shop acme/shop:42

# By project: the only working token named "autodevops-registry-access" or, if there is
# none, GitLab's own "gitlab-deploy-token". A token that an autodevops_registry_access has
# minted can be imported only by its id.
terraform import autodevops_registry_access.shop acme/shop
