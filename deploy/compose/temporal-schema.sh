#!/bin/sh
# Migrates Temporal's two databases to the schema of this release. Safe to repeat:
# applied versions are skipped. Connection and password: SQL_*.
set -eu

for store in temporal visibility; do
	database=temporal
	[ "$store" = visibility ] && database=temporal_visibility
	temporal-sql-tool --db "$database" setup-schema -v 0.0
	temporal-sql-tool --db "$database" update-schema -d "/etc/temporal/schema/postgresql/v12/$store/versioned"
done
