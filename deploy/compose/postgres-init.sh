#!/bin/sh
# Makes the roles and databases that are missing, and sets every password to that of the
# environment. PostgreSQL's image runs it when it creates the cluster; it is safe to run
# again, after an upgrade that adds roles or a change of a password in .env:
#
#   docker compose exec postgres /docker-entrypoint-initdb.d/10-mailroom.sh
#
# mailroom owns the ledger and migrates it; mailroom_ingress and mailroom_worker read and
# write its rows (grants.sql) and change no schema; temporal owns Temporal's two databases.
# No role can connect to what it does not need.
set -eu

: "$MAILROOM_DB_PASSWORD" "$INGRESS_DB_PASSWORD" "$WORKER_DB_PASSWORD" "$TEMPORAL_DB_PASSWORD"

# psql takes the passwords from its environment: arguments are in the process list. A
# statement that fails is not logged, for the same reason.
psql -v ON_ERROR_STOP=1 --quiet --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv mailroom MAILROOM_DB_PASSWORD
\getenv ingress INGRESS_DB_PASSWORD
\getenv worker WORKER_DB_PASSWORD
\getenv temporal TEMPORAL_DB_PASSWORD
SET log_min_error_statement = panic;
SELECT format('CREATE ROLE %I LOGIN', name)
  FROM unnest(ARRAY['mailroom', 'mailroom_ingress', 'mailroom_worker', 'temporal']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE mailroom PASSWORD :'mailroom';
ALTER ROLE mailroom_ingress PASSWORD :'ingress';
ALTER ROLE mailroom_worker PASSWORD :'worker';
ALTER ROLE temporal PASSWORD :'temporal';

SELECT format('CREATE DATABASE %I OWNER %I', name, owner)
  FROM (VALUES ('mailroom', 'mailroom'), ('temporal', 'temporal'), ('temporal_visibility', 'temporal')) AS d (name, owner)
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec
REVOKE ALL ON DATABASE postgres, template1, mailroom, temporal, temporal_visibility FROM PUBLIC;
GRANT CONNECT ON DATABASE mailroom TO mailroom_ingress, mailroom_worker;
SQL
