#!/bin/bash
# The part of docker-library's entrypoint that docker-compose.yml relies on.
set -Eeuo pipefail

if [ "${1:-}" = postgres ] && [ "$(id -u)" = 0 ]; then
	find "$PGDATA" \! -user postgres -exec chown postgres '{}' +
	exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

if [ "${1:-}" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
	# shellcheck disable=SC2086 # several arguments in one variable
	initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") ${POSTGRES_INITDB_ARGS:-} -D "$PGDATA"
	printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
	pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
	for script in /docker-entrypoint-initdb.d/*.sh; do
		"$script"
	done
	pg_ctl -D "$PGDATA" -m fast -w stop
fi

case ${1:-} in postgres) shift && set -- postgres -c listen_addresses='*' "$@" ;; esac
exec "$@"
