#!/bin/sh
# Runs once, when the database is made: the owner of the schema, and the role that web and worker connect as.
set -eu
psql --username "${POSTGRES_USER:-postgres}" --set=ON_ERROR_STOP=1 \
  --set=owner_password="$HOLDFAST_OWNER_PASSWORD" --set=app_password="$HOLDFAST_APP_PASSWORD" <<'SQL'
CREATE ROLE holdfast_owner LOGIN NOSUPERUSER NOCREATEROLE PASSWORD :'owner_password';
CREATE ROLE holdfast_app LOGIN NOSUPERUSER NOCREATEROLE PASSWORD :'app_password';
CREATE DATABASE holdfast OWNER holdfast_owner;
\connect holdfast
GRANT USAGE ON SCHEMA public TO holdfast_app;
ALTER DEFAULT PRIVILEGES FOR ROLE holdfast_owner GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO holdfast_app;
ALTER DEFAULT PRIVILEGES FOR ROLE holdfast_owner GRANT USAGE, SELECT ON SEQUENCES TO holdfast_app;
SQL
