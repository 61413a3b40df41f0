#!/bin/sh
# After the files of the package are in place: postinst of Debian (configure [OLD-VERSION]),
# %post of RPM (the number of installed versions).
set -eu

reset=''
case "${1:-}" in
configure) first=$([ -n "${2:-}" ] || echo yes) ;;
1) first=yes ;;
2) first='' reset=yes ;;
*) exit 0 ;;
esac

if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers mailroom.conf
elif ! getent passwd mailroom >/dev/null; then
	getent group mailroom >/dev/null || groupadd --system mailroom
	useradd --system --gid mailroom --comment Mailroom --home-dir /nonexistent --no-create-home \
		--shell /usr/sbin/nologin mailroom
fi

# Later changes of owner and mode are the administrator's, and upgrades keep them. An upgrade with
# rpm writes a file that was not edited again, as root's.
if [ -n "$first$reset" ]; then
	for file in ingress.env worker.env migrate.env; do
		[ -f "/etc/mailroom/$file" ] || continue
		[ -n "$first" ] || [ "$(stat -c '%a %U %G' "/etc/mailroom/$file")" = "640 root root" ] || continue
		chgrp mailroom "/etc/mailroom/$file"
		chmod 0640 "/etc/mailroom/$file"
	done
fi

[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload

if [ -n "$first" ]; then
	echo "mailroom: edit /etc/mailroom/mailroom.yaml, ingress.env, worker.env and migrate.env, then" \
		"systemctl enable --now mailroom-ingress mailroom-worker"
	exit 0
fi

# Programs of the version before run on until the database is up to date: both versions
# work with it, and a server with a pending migration does not start.
running=
for unit in mailroom-ingress.service mailroom-worker.service mailroom-all.service; do
	! systemctl is-active --quiet "$unit" || running="$running $unit"
done
[ -n "$running" ] || exit 0
if ! systemctl start mailroom-migrate.service; then
	echo "mailroom: the database was not migrated, so the version before runs on:" \
		"see journalctl -u mailroom-migrate, then systemctl restart$running" >&2
	exit 0
fi
# shellcheck disable=SC2086 # a list of units
systemctl try-restart $running ||
	echo "mailroom: not everything was restarted: see systemctl status$running" >&2
