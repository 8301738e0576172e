import {
  to = autodevops_registry_access.shop
  id = "acme/shop:42"
}
