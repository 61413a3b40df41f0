#!/bin/sh
# After the files of the package are gone: postrm of Debian, %postun of RPM. A purge removes
# the files of /etc/mailroom that came with the package. The user mailroom stays, because files
# may still belong to it, and so does what is in PostgreSQL, Temporal and the object store.
set -eu

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
