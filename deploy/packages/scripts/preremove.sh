#!/bin/sh
# Before the files of the package go: prerm of Debian (remove, upgrade …), %preun of RPM
# (the number of versions that stay). An upgrade stops nothing.
set -eu

case "${1:-}" in
remove | 0) ;;
*) exit 0 ;;
esac

units="mailroom-ingress.service mailroom-worker.service mailroom-all.service mailroom-migrate.service"
if [ -d /run/systemd/system ]; then
	# shellcheck disable=SC2086 # a list of units
	systemctl stop $units
fi
if command -v systemctl >/dev/null; then
	# shellcheck disable=SC2086 # a list of units
	systemctl --quiet disable $units
fi
