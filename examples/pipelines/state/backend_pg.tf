# PostgreSQL stores the state, and locks it with advisory locks. PG_CONN_STR contains the
# address and the credentials.
terraform {
  backend "pg" {
    schema_name = "registry_access"
  }
}
