#!/bin/sh
# Runs once, when the cluster is created: one role and database for Mailroom, one
# role and two databases for Temporal. Neither role can read what the other owns.
set -eu

# psql reads a quoted variable only from standard input, not from -c.
psql -v ON_ERROR_STOP=1 -v mailroom="$MAILROOM_DB_PASSWORD" -v temporal="$TEMPORAL_DB_PASSWORD" \
	--username "$POSTGRES_USER" --dbname postgres <<'SQL'
CREATE ROLE mailroom LOGIN PASSWORD :'mailroom';
CREATE ROLE temporal LOGIN PASSWORD :'temporal';
CREATE DATABASE mailroom OWNER mailroom;
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
REVOKE CONNECT ON DATABASE mailroom, temporal, temporal_visibility FROM PUBLIC;
SQL
