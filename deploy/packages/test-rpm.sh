#!/usr/bin/env bash
# Tests the .rpm of .dev/dist with rpm itself, in the root that the .deb is tested in: what it
# contains and requires, installing, upgrading with an edited configuration, removing. No systemd
# runs there; the units are the same files as in the .deb. `make packages-test` runs it.
set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { echo "rpm-test: $*"; }
fail() {
	say "FAILED: $*" >&2
	exit 1
}
trap 'say "FAILED in line ${BASH_LINENO[0]}: $BASH_COMMAND" >&2' ERR

((EUID == 0)) || fail "it makes a chroot, which needs root: run it with sudo"
command -v mmdebstrap >/dev/null || fail "mmdebstrap is not installed: apt-get install mmdebstrap"
machine=$(uname -m)
# shellcheck disable=SC2012 # names of our own, newest first
new=$(ls -t .dev/dist/mailroom-*."$machine".rpm 2>/dev/null | head -1)
[[ -n "$new" ]] || fail ".dev/dist has no .rpm for $machine: run make snapshot"

work=$(mktemp -d /var/tmp/mailroom-rpm-XXXXXX)
root=$work/root
trap 'rm -rf --one-file-system "$work"' EXIT
mkdir "$root"
tar -C "$root" -xf "$(deploy/packages/base.sh)"
cp "$new" "$root/new.rpm"
within() { chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }

# rpm runs rpm without the dependencies of this root, which are Debian packages that it does not know.
rpm() { within rpm --nodeps "$@" >"$work/log" 2>&1 || fail "rpm $*: $(tail -3 "$work/log")"; }

# expect compares what a command prints inside with a text.
expect() {
	local want=$1 got
	shift
	got=$(within "$@" 2>&1) || true
	[[ "$got" == "$want" ]] || fail "$* said \"$got\", not \"$want\""
}

say "contents of ${new##*/}"
expect "mailroom Apache-2.0 $machine" rpm -qp --queryformat '%{NAME} %{LICENSE} %{ARCH}' /new.rpm
expect "$(printf '/etc/mailroom/%s\n' ingress.env mailroom.yaml migrate.env worker.env)" rpm -qpc /new.rpm
within rpm -qpR /new.rpm >"$work/requires"
! grep -v -e '^rpmlib(' -e '^config(mailroom)' -e '^/bin/sh$' "$work/requires" || fail "it requires the above, and the programs are static"
within sh -c 'rpm -qpl /new.rpm' | sort >"$work/rpm-files"
dpkg-deb -c "$(find .dev/dist -name "mailroom_*_$(dpkg --print-architecture).deb" -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2)" |
	sed -n 's/^-.* \.\(\/.*\)$/\1/p' | sort >"$work/deb-files"
grep -v -x -F -f "$work/rpm-files" "$work/deb-files" | grep -v '/changelog' && fail "the .deb has the files above, and the .rpm has not"

# older makes an earlier version of the package: the same files and scripts, another configuration.
older() {
	local spec=$root/older.spec
	within sh -c 'mkdir /payload && cd /payload && rpm2cpio /new.rpm | cpio -idm --quiet --no-absolute-filenames 2>/dev/null' || fail "rpm2cpio cannot read the package"
	sed -i '1i # The configuration of an earlier version.' "$root/payload/etc/mailroom/"{mailroom.yaml,worker.env}
	cp deploy/packages/scripts/*.sh "$root/"
	{
		printf 'Name: mailroom\nVersion: 0.0.0\nRelease: 1\nSummary: earlier\nLicense: none\nAutoReqProv: no\n%%description\nearlier\n'
		printf '%%install\ncp -a /payload/. %%{buildroot}/\n'
		printf '%%post -f /postinstall.sh\n%%preun -f /preremove.sh\n%%postun -f /postremove.sh\n'
		printf '%%files\n%%dir /etc/mailroom\n%%config(noreplace) /etc/mailroom/mailroom.yaml\n'
		printf '%%config(noreplace) %%attr(0640, root, root) /etc/mailroom/%s\n' ingress.env worker.env migrate.env
		(cd "$root/payload" && find usr -type f -printf '/%p\n')
	} >"$spec"
	within rpmbuild --quiet -bb --define '_rpmdir /' --define '_build_id_links none' --define '__os_install_post %{nil}' /older.spec >"$work/log" 2>&1 ||
		fail "rpmbuild: $(tail -3 "$work/log")"
	mv "$root"/*/mailroom-0.0.0-1.*.rpm "$root/older.rpm"
}
older

# readable checks who may read the files with secrets.
readable() {
	for file in ingress.env worker.env migrate.env; do
		expect "640 root mailroom" stat -c '%a %U %G' /etc/mailroom/$file
	done
	expect "644 root root" stat -c '%a %U %G' /etc/mailroom/mailroom.yaml
}

say "install an earlier version"
rpm -i /older.rpm
readable
expect "/usr/sbin/nologin" sh -c 'getent passwd mailroom | cut -d: -f7'
expect "disabled" systemctl is-enabled mailroom-ingress.service
within systemctl --quiet enable mailroom-ingress.service mailroom-worker.service

say "upgrade with an edited configuration"
echo 'WEBHOOK_SECRET=edited' >>"$root/etc/mailroom/ingress.env"
sed -i 's/^scanner:.*/scanner: {max_signature_age: off}/' "$root/etc/mailroom/mailroom.yaml"
rpm -U /new.rpm
readable
grep -q '^WEBHOOK_SECRET=edited' "$root/etc/mailroom/ingress.env" || fail "the upgrade lost the secrets"
grep -q 'max_signature_age: off' "$root/etc/mailroom/mailroom.yaml" || fail "the upgrade lost an edited configuration"
[[ -f $root/etc/mailroom/mailroom.yaml.rpmnew ]] || fail "the upgrade left no mailroom.yaml.rpmnew beside the edited one"
! grep -q 'earlier version' "$root/etc/mailroom/worker.env" || fail "the upgrade left the old worker.env, which was not edited"
expect "enabled" systemctl is-enabled mailroom-ingress.service
within rpm -V --nodeps mailroom >"$work/verify" || true
! grep -v -e ' c /etc/mailroom/' "$work/verify" || fail "rpm -V finds the above changed"
within mailroom version | head -1
within mailctl --help >/dev/null || fail "mailctl does not run"

say "remove"
rpm -e mailroom
for path in /usr/bin/mailroom /usr/lib/systemd/system/mailroom-ingress.service /etc/mailroom/migrate.env; do
	[[ ! -e $root$path ]] || fail "$path is left"
done
[[ -f $root/etc/mailroom/ingress.env.rpmsave && -f $root/etc/mailroom/mailroom.yaml.rpmsave ]] || fail "the removal took an edited configuration"
[[ -z "$(find "$root/etc/systemd/system" -type l -name 'mailroom*')" ]] || fail "the removal left links to the units"
say "all passed"
