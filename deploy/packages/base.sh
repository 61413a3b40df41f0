#!/bin/sh
# Prints the path of an archive with a small Debian that has systemd and rpm, which mmdebstrap
# makes the first time: base.sh. It needs root.
set -eu
cd "$(dirname "$0")/../.."

include=systemd,systemd-sysv,dbus,ca-certificates,rpm,cpio
arch=$(dpkg --print-architecture)
base=$PWD/.dev/packages-test/base-$arch-$(echo $include | cksum | cut -d' ' -f1).tar
if [ ! -f "$base" ]; then
	echo "packages-test: making a Debian with mmdebstrap (a minute or two; $base keeps it)" >&2
	mkdir -p "${base%/*}"
	mmdebstrap --quiet --format=tar --variant=minbase --include=$include bookworm "$base.new" >&2
	mv "$base.new" "$base"
fi
echo "$base"
