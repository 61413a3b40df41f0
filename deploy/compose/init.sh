#!/bin/sh
# Writes the secrets of docker-compose.yml, made here, to .env beside it (or to FILE), for
# its owner alone. It never changes a file that exists, and leaves none that is not whole.
#
#   deploy/compose/init.sh [FILE]
set -eu
umask 077

fail() {
	echo "init.sh: $*" >&2
	exit 1
}

[ "$#" -le 1 ] || fail "usage: deploy/compose/init.sh [FILE]"
target=${1:-$(dirname "$0")/../../.env}
folder=$(cd "$(dirname "$target")" 2>/dev/null && pwd) || fail "no folder $(dirname "$target"): make it first"
target=$folder/$(basename "$target")
new=$target.new.$$

# draw sets drawn to that many random bytes in hex: letters and digits alone, because
# passwords become part of a URL. The text is base64 as well.
draw() {
	drawn=$(od -An -v -tx1 -N"$1" /dev/urandom | tr -d ' \n')
	[ "${#drawn}" -eq $(($1 * 2)) ] || fail "cannot read $1 random bytes from /dev/urandom"
}

write() {
	for name in POSTGRES_PASSWORD MAILROOM_DB_PASSWORD INGRESS_DB_PASSWORD WORKER_DB_PASSWORD TEMPORAL_DB_PASSWORD; do
		draw 24
		echo "$name=$drawn"
	done
	draw 10
	echo "S3_ACCESS_KEY=$drawn"
	draw 24
	echo "S3_SECRET_KEY=$drawn"

	echo "# The provider signs with it."
	draw 32
	echo "WEBHOOK_SECRET=$drawn"
	echo "# The destination verifies with it."
	draw 24
	echo "TICKETING_SECRET=whsec_$drawn"
	echo "# Signs you in to the console, and mailctl to the operator API."
	draw 24
	echo "OPERATOR_TOKEN=$drawn"
	echo "# Without it what Temporal stores cannot be read: keep a copy elsewhere."
	draw 32
	echo "MAILROOM_ENCRYPTION_KEY=$drawn"
}

if [ -e "$target" ] || [ -L "$target" ]; then
	fail "$target exists and stays as it is: move it away to make new secrets"
fi

trap 'rm -f "$new"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
text=$(write) || exit 1
set -C # never write through a file or link that is there already
{ printf '%s\n' "$text" >"$new"; } 2>/dev/null || fail "cannot write $new: make room, or make its folder writable"

# A link is made only where nothing is, also while another init.sh runs.
ln "$new" "$target" 2>/dev/null || fail "cannot create $target: it exists by now, or the file system has no hard links"
echo "wrote $target (mode 0600). Next: docker compose up --detach --wait"
