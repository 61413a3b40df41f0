#!/usr/bin/env bash
# Tests the .deb of .dev/dist as a user meets it, in a Debian that mmdebstrap makes: installing,
# upgrading, removing; then with systemd as process 1, in namespaces of its own: the units start
# the programs with their hardening, an email is delivered, an upgrade under way loses nothing.
# `make packages-test` runs it with throw-away services. It needs root and mmdebstrap.
set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { echo "packages-test: $*"; }
fail() {
	say "FAILED: $*" >&2
	exit 1
}

((EUID == 0)) || fail "it makes a chroot, which needs root: run it with sudo"
for program in mmdebstrap unshare nsenter dpkg-deb curl; do
	command -v "$program" >/dev/null || fail "$program is not installed: apt-get install mmdebstrap util-linux dpkg curl"
done
: "${MAILROOM_TEST_DATABASE_URL:?run it with make packages-test, which starts the services}"

arch=$(dpkg --print-architecture)
dist=$PWD/.dev/dist
# shellcheck disable=SC2012 # names of our own, newest first
newest() { ls -t "$@" 2>/dev/null | head -1; }
new=$(newest "$dist"/mailroom_*_"$arch".deb)
[[ -n "$new" ]] || fail "$dist has no .deb for $arch: run make snapshot"

work=$(mktemp -d /var/tmp/mailroom-packages-XXXXXX)
root=$work/root
booted='' sink=''
finish() {
	[[ -z "$booted" ]] || kill -KILL "$booted" 2>/dev/null || true
	[[ -z "$sink" ]] || kill "$sink" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf --one-file-system "$work"
}
trap finish EXIT
trap 'say "FAILED in line ${BASH_LINENO[0]}: $BASH_COMMAND" >&2; journal >&2' ERR

mkdir -p "$root"
tar -C "$root" -xf "$(deploy/packages/base.sh)"

# older makes an earlier version of the package, whose configuration is another one.
older() {
	dpkg-deb -R "$new" "$work/older"
	sed -i 's/^Version: .*/Version: 0.0.0/' "$work/older/DEBIAN/control"
	sed -i '1i # The configuration of an earlier version.' "$work/older/etc/mailroom/mailroom.yaml"
	dpkg-deb --root-owner-group -Zgzip -b "$work/older" "$root/older.deb" >/dev/null
}
older
cp "$new" "$root/new.deb"

# expect compares what a command prints inside with a text.
expect() {
	local want=$1 got
	shift
	got=$("$@" 2>&1) || true
	[[ "$got" == "$want" ]] || fail "$* said \"$got\", not \"$want\""
}

within() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }

say "install in a chroot, where no systemd runs: ${new##*/}"
within dpkg -i /new.deb >"$work/log" 2>&1 || fail "dpkg -i: $(tail -3 "$work/log")"
for file in ingress.env worker.env migrate.env; do
	expect "640 root mailroom" within stat -c '%a %U %G' /etc/mailroom/$file
done
expect "644 root root" within stat -c '%a %U %G' /etc/mailroom/mailroom.yaml
expect "755 root root" within stat -c '%a %U %G' /usr/bin/mailroom
expect "/usr/sbin/nologin" within sh -c 'getent passwd mailroom | cut -d: -f7'
expect "disabled" within systemctl is-enabled mailroom-ingress.service
within mailroom version | head -1
within mailctl --help >/dev/null || fail "mailctl does not run"

say "check the units"
within systemd-analyze verify /usr/lib/systemd/system/mailroom-{ingress,worker,all,migrate}.service >"$work/log" 2>&1 || fail "$(cat "$work/log")"
! grep mailroom "$work/log" || fail "systemd-analyze verify found the above"
for unit in ingress worker all migrate; do
	within systemd-analyze security --offline=true --threshold=20 --no-pager "/usr/lib/systemd/system/mailroom-$unit.service" >"$work/log" 2>&1 ||
		fail "mailroom-$unit.service is exposed: $(tail -1 "$work/log")"
	say "$(tail -1 "$work/log")"
done

say "purge"
within dpkg --purge mailroom >"$work/log" 2>&1 || fail "dpkg --purge: $(tail -3 "$work/log")"
for path in /etc/mailroom /usr/bin/mailroom /usr/lib/systemd/system/mailroom-ingress.service; do
	[[ ! -e $root$path ]] || fail "$path is left after a purge"
done

say "start systemd in namespaces of its own"
cat >"$work/boot" <<END
set -e
mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount --rbind /dev dev
mount -t cgroup2 cgroup2 sys/fs/cgroup
# Not a chroot, in which services could have no user namespaces. Mounts are shared, as where
# systemd starts itself: it hands credentials over in one.
mkdir before
pivot_root . before
exec chroot . /usr/bin/env -i container=mailroom PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  sh -c 'umount -l /before && mount --make-rshared / && exec /lib/systemd/systemd --system'
END
unshare --mount --pid --fork --uts --ipc --cgroup --kill-child bash "$work/boot" >"$work/boot.log" 2>&1 &
unshare=$!

# inside runs a command in the booted Debian; within it 127.0.0.1 is this machine.
inside() {
	nsenter -t "$booted" -m -p -i -u -C -r -w -- /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# journal prints what the units said last.
journal() {
	[[ -z "$booted" ]] || inside journalctl --no-pager -n 30 -o cat -u 'mailroom*' || tail -20 "$work/boot.log"
}

# await tries a command until it works, for at most SECONDS.
await() {
	local what=$1 end=$((SECONDS + $2))
	shift 2
	until "$@" >"$work/await" 2>&1; do
		if ((SECONDS >= end)); then
			journal >&2
			fail "$what did not happen: $(tail -1 "$work/await")"
		fi
		sleep 0.5
	done
}
await "the start of systemd" 20 pgrep -P "$unshare"
booted=$(pgrep -P "$unshare" | head -1)
await "the start of systemd" 60 inside systemctl list-units --no-pager

say "install an earlier version, configure it, start it"
inside dpkg -i /older.deb >"$work/log" 2>&1 || fail "dpkg -i: $(tail -3 "$work/log")"
expect "inactive" inside systemctl is-active mailroom-ingress
sed -i -e 's|"https://tickets.yourapp.example/inbound"|"http://127.0.0.1:28090/tickets"\n    allow_private: true|' \
	-e 's/^scanner:.*/scanner: {max_signature_age: off}/' "$root/etc/mailroom/mailroom.yaml"
common="DATABASE_URL=$MAILROOM_TEST_DATABASE_URL
S3_ENDPOINT=$MAILROOM_TEST_S3_ENDPOINT
S3_ACCESS_KEY=$MAILROOM_TEST_S3_ACCESS_KEY
S3_SECRET_KEY=$MAILROOM_TEST_S3_SECRET_KEY
TEMPORAL_ADDRESS=$MAILROOM_TEST_TEMPORAL
MAILROOM_ENCRYPTION_KEY=$(openssl rand -base64 32)"
token=$(openssl rand -hex 24) secret=$(openssl rand -hex 32)
cat >>"$root/etc/mailroom/ingress.env" <<END
$common
WEBHOOK_SECRET=$secret
OPERATOR_TOKEN=$token
MAILROOM_LISTEN=127.0.0.1:28080
MAILROOM_OPERATOR_LISTEN=127.0.0.1:28081
MAILROOM_METRICS_LISTEN=127.0.0.1:29464
END
cat >>"$root/etc/mailroom/worker.env" <<END
$common
TICKETING_SECRET=whsec_$(openssl rand -base64 24)
CLAMD_ADDRESS=$MAILROOM_TEST_CLAMD
END
echo "DATABASE_URL=$MAILROOM_TEST_DATABASE_URL" >>"$root/etc/mailroom/migrate.env"
# The worker alone takes MAILROOM_METRICS_LISTEN, mailroom-all would give it to its ingress.
mkdir -p "$root/etc/systemd/system/mailroom-worker.service.d"
printf '[Service]\nEnvironment=MAILROOM_METRICS_LISTEN=127.0.0.1:29465\n' >"$root/etc/systemd/system/mailroom-worker.service.d/port.conf"
echo MAILROOM_WORKER_METRICS_LISTEN=127.0.0.1:29465 >>"$root/etc/mailroom/worker.env"

tar -xzf "$(newest "$dist"/mailroom-dev_*_linux_"$arch".tar.gz)" -C "$work" --strip-components=1
SINK_LISTEN=127.0.0.1:28090 SINK_SECRET='' "$work/sink" >"$work/sink.log" 2>&1 &
sink=$!

inside systemctl daemon-reload
inside systemctl enable --now mailroom-ingress mailroom-worker
await "the start of the ingress" 60 curl -fsS http://127.0.0.1:28080/readyz
await "the start of the worker" 60 curl -fsS http://127.0.0.1:29465/readyz
expect "success" inside systemctl show -P Result mailroom-migrate
expect "mailroom" inside stat -c %U "/proc/$(inside systemctl show -P MainPID mailroom-ingress)"

# ctl runs mailctl of the package, as an operator would.
ctl() {
	inside env MAILROOM_TOKEN="$token" WEBHOOK_SECRET="$secret" MAILROOM_API=http://127.0.0.1:28081 \
		mailctl "$@"
}
url=http://127.0.0.1:28080
delivered() { ctl emails get "$1" -o json | grep -q '"state": *"delivered"'; }
send() {
	ctl send --url $url/webhooks/email --event-id "$1" --to support@yourapp.example --subject "$1" >/dev/null
	await "delivery of $1" 60 delivered "$1"
	say "delivered: $1"
}
send before-upgrade

say "upgrade while it runs, with an edited configuration"
before=$(inside systemctl show -P MainPID mailroom-ingress)
inside dpkg -i --force-confold /new.deb >"$work/log" 2>&1 || fail "dpkg -i: $(tail -3 "$work/log")"
grep -q 127.0.0.1:28090 "$root/etc/mailroom/mailroom.yaml" || fail "the upgrade lost an edited configuration"
grep -q "$token" "$root/etc/mailroom/ingress.env" || fail "the upgrade lost the secrets"
expect "640 root mailroom" inside stat -c '%a %U %G' /etc/mailroom/ingress.env
after=$(inside systemctl show -P MainPID mailroom-ingress)
[[ "$before" != "$after" && "$after" != 0 ]] || fail "the upgrade did not restart the ingress"
await "the start of the ingress" 60 curl -fsS http://127.0.0.1:28080/readyz
send after-upgrade

say "kill the worker: systemd starts it again"
inside systemctl kill --signal=KILL mailroom-worker
await "the restart of the worker" 60 curl -fsS http://127.0.0.1:29465/readyz
send after-kill

say "stop, and run both roles in one process"
began=$SECONDS
inside systemctl stop mailroom-ingress mailroom-worker
((SECONDS - began < 45)) || fail "the stop took $((SECONDS - began)) s"
for unit in mailroom-ingress mailroom-worker; do
	expect "success" inside systemctl show -P Result $unit
done
inside systemctl start mailroom-ingress
inside systemctl start mailroom-all
expect "inactive" inside systemctl is-active mailroom-ingress
await "the start of mailroom-all" 60 curl -fsS http://127.0.0.1:28080/readyz
send in-one-process

# documented prints a block of installing.md: the first that contains a text.
documented() {
	awk -v text="$1" '/^```/ { if (block && index(lines, text)) { printf "%s", lines; exit }; block = !block; lines = ""; next }
		block { lines = lines $0 "\n" }' deploy/docs/installing.md
}

say "the drop-ins of installing.md: a port below 1024, a secret that systemd hands over"
inside systemctl stop mailroom-all
sed -i 's/^MAILROOM_LISTEN=.*/MAILROOM_LISTEN=127.9.9.9:443/' "$root/etc/mailroom/ingress.env"
port=$(</proc/sys/net/ipv4/ip_unprivileged_port_start)
if ((port > 443)); then
	refused() { ! inside systemctl is-active --quiet mailroom-ingress; }
	inside systemctl start mailroom-ingress || true
	await "the refusal of port 443" 20 refused
	inside systemctl stop mailroom-ingress
fi
dropins=$root/etc/systemd/system/mailroom-ingress.service.d
mkdir -p "$dropins"
documented CAP_NET_BIND_SERVICE >"$dropins/port.conf"
documented LoadCredential= >"$dropins/secret.conf"
[[ -s $dropins/port.conf && -s $dropins/secret.conf ]] || fail "installing.md has not both drop-ins"
(umask 077 && printf %s "$secret" >"$root/etc/mailroom/webhook.secret")
sed -i 's|env:WEBHOOK_SECRET"|file:/run/credentials/mailroom-ingress.service/webhook"|' "$root/etc/mailroom/mailroom.yaml"
sed -i '/^WEBHOOK_SECRET=/d' "$root/etc/mailroom/ingress.env"
inside systemctl daemon-reload
inside systemctl start mailroom-ingress
inside systemctl start mailroom-worker
url=http://127.9.9.9:443
await "the start of the ingress on port 443" 60 curl -fsS $url/readyz
expect "mailroom" inside stat -c %U "/proc/$(inside systemctl show -P MainPID mailroom-ingress)"
send with-drop-ins

say "remove, then purge"
cp -a "$root/etc/mailroom" "$work/kept"
inside dpkg --remove mailroom >"$work/log" 2>&1 || fail "dpkg --remove: $(tail -3 "$work/log")"
! curl -fsS $url/healthz >/dev/null 2>&1 || fail "the program runs on after the removal"
[[ -f $root/etc/mailroom/mailroom.yaml ]] || fail "a removal took the configuration"
[[ -z "$(find "$root/etc/systemd/system" -type l -name 'mailroom*')" ]] || fail "a removal left links to the units"
inside dpkg --purge mailroom >"$work/log" 2>&1 || fail "dpkg --purge: $(tail -3 "$work/log")"
[[ ! -e $root/etc/mailroom/mailroom.yaml && ! -e $root/etc/mailroom/ingress.env ]] || fail "a purge left the configuration"

say "install again: the emails are still there"
inside dpkg -i /new.deb >"$work/log" 2>&1 || fail "dpkg -i: $(tail -3 "$work/log")"
cp -a "$work/kept/." "$root/etc/mailroom/"
inside systemctl start mailroom-ingress
await "the start of the ingress" 60 curl -fsS $url/readyz
delivered before-upgrade || fail "the email from before the purge is gone"
say "all passed"
