#!/usr/bin/env bash
# Tests the npm packages of .dev/dist as a user meets them: installed from the tarballs into an
# empty folder, with an empty HOME and without Go, `npx mailroom dev` processes the three sample
# emails and Ctrl-C leaves no process. It needs the ports of the local stack.
#
#   deploy/packages/npm/test.sh               as the caller; root's PostgreSQL runs as another user
#   deploy/packages/npm/test.sh -as USER      as USER, for root
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

say() { echo "npm-test: $*"; }
fail() {
	say "FAILED: $*" >&2
	exit 1
}

# as copies what the test needs to where the user can read it, and runs the copy as the user.
as() {
	local copy code=0
	copy=$(mktemp -d "/var/tmp/mailroom-npm-$1-XXXXXX")
	mkdir -p "$copy/deploy/packages/npm" "$copy/.dev/dist"
	cp -- .dev/dist/*.tgz .dev/dist/metadata.json "$copy/.dev/dist/"
	cp deploy/packages/npm/test.sh "$copy/deploy/packages/npm/"
	chown -R "$1:" "$copy"
	TMPDIR=$copy setpriv --reuid "$1" --regid "$(id -g "$1")" --clear-groups \
		"$copy/deploy/packages/npm/test.sh" || code=$?
	rm -rf -- "$copy"
	return $code
}
if [[ "${1:-}" == -as ]]; then
	as "${2:?a user}"
	exit
fi

dist=$PWD/.dev/dist
platform=$(node -p 'process.platform + "-" + process.arch')
version=$(sed -n 's/.*"version":"\([^"]*\)".*/\1/p' "$dist/metadata.json")
launcher=$dist/mailroom-mailroom-$version.tgz
programs=$dist/mailroom-$platform-$version.tgz
[[ -f "$launcher" && -f "$programs" ]] || fail "$dist has no npm packages of $version for $platform: run make snapshot"

work=$(mktemp -d "${TMPDIR:-/tmp}/mailroom-npm-XXXXXX")
work=$(cd "$work" && pwd -P)
app=$work/app

# The user's world: Node and what every system has on PATH, and a Go that does not work.
mkdir -p "$app" "$work/home" "$work/path"
for program in node npm npx; do
	ln -s "$(command -v $program)" "$work/path/$program"
done
as_user() { (cd "${folder:-$app}" && exec env -i HOME="$work/home" PATH="$work/path:/usr/bin:/bin" npm_config_update_notifier=false "$@"); }
printf '#!/bin/sh\necho "go must not be needed" >&2\nexit 1\n' >"$work/path/go"
chmod +x "$work/path/go"

# Started by root, PostgreSQL keeps its data where its own user can reach it.
elsewhere=/var/tmp/mailroom-$(printf %s "$app/.mailroom" | openssl dgst -sha256 -r | cut -c1-16)

# left lists the processes that were started from the installed packages.
left() { pgrep -af "$work|$elsewhere" | grep -v -e pgrep -e "$0" || true; }
finish() {
	as_user npx mailroom down -clean >/dev/null 2>&1 || true
	rm -rf "$work"
}
trap finish EXIT

say "install ${launcher##*/} and ${programs##*/}; PostgreSQL comes from the registry"
as_user npm install --no-audit --no-fund --loglevel=error "$launcher" "$programs" >"$work/log" 2>&1 || fail "$(tail -5 "$work/log")"
as_user npx mailroom version | head -1

# refused runs a command that has to fail with one line, which has a text in it.
refused() {
	local want=$1 code=0
	shift
	as_user "$@" >/dev/null 2>"$work/said" || code=$?
	((code == 1 || code == 2)) || fail "$* ended with $code"
	(($(wc -l <"$work/said") == 1)) || fail "$* said more than a line: $(cat "$work/said")"
	grep -q -- "$want" "$work/said" || fail "$* did not say \"$want\": $(cat "$work/said")"
	say "$(cat "$work/said")"
}

say "what cannot work says why in one line"
script=node_modules/@mailroom/mailroom/mailroom.js
pretend() { echo "Object.defineProperty($1, '$2', { value: '$3' })" >"$work/pretend.js"; }
refused "is no command" npx mailroom serve
pretend process platform sunos
refused "no programs for sunos-" node -r "$work/pretend.js" $script dev
pretend process.versions node 16.20.0
refused "Node 18 or later" node -r "$work/pretend.js" $script dev
mv "$app/node_modules/@mailroom/$platform" "$work/aside"
refused "@mailroom/$platform is not installed" npx mailroom dev
mv "$work/aside" "$app/node_modules/@mailroom/$platform"

# states prints how many emails are in each state, in one line.
states() {
	as_user npx mailroom mailctl emails list -o json 2>/dev/null | grep -o '"state": *"[a-z]*"' | cut -d'"' -f4 | sort | uniq -c | xargs
}

say "npx mailroom dev"
began=$SECONDS
# A session of its own, as a terminal's, whose processes all get the signal of a Ctrl-C.
# shellcheck disable=SC2016 # of the inner shell
as_user setsid sh -c 'echo $$ >"$1" && exec npx mailroom dev' sh "$work/session" >"$work/dev.log" 2>&1 &
dev=$!
until [[ "$(states)" == "1 delivered 2 quarantined" ]]; do
	kill -0 $dev 2>/dev/null || fail "mailroom dev ended: $(tail -5 "$work/dev.log")"
	((SECONDS - began < 180)) || fail "after 180 s the emails are: $(states); $(tail -5 "$work/dev.log")"
	sleep 1
done
say "the three sample emails: $(states), after $((SECONDS - began)) s"
pgrep -f "native/bin/postgres -D ($work|$elsewhere)" >/dev/null || fail "PostgreSQL is not that of @embedded-postgres"

say "secrets are neither in command lines nor in files that others may read"
secrets='dev-webhook-secret|dev-operator-token|mailroom-dev-secret|whsec_|bWFpbHJvb20tZGV2'
! pgrep -af "$work|$elsewhere" | grep -v pgrep | grep -E "$secrets" || fail "a secret is in a command line"
open=$(find "$app/.mailroom" "$elsewhere" -type f -perm /o+r -exec grep -l -E "$secrets" {} + 2>/dev/null || true)
[[ -z "$open" ]] || fail "others may read secrets in: $open"

mkdir "$work/second"
folder=$work/second
cp -R "$app/node_modules" "$work/second/"
refused "is in use by" npx mailroom dev
unset folder

say "Ctrl-C"
kill -INT -- "-$(cat "$work/session")"
code=0
wait $dev || code=$?
# npx says 130 of itself where its shell got the signal too.
((code == 0 || code == 130)) || fail "mailroom dev ended with $code after Ctrl-C: $(tail -5 "$work/dev.log")"
tail -1 "$work/dev.log" | grep -q "stopped: .*ingress" || fail "mailroom dev did not stop the stack: $(tail -5 "$work/dev.log")"
[[ -z "$(left)" ]] || fail "processes are left: $(left)"

say "npx mailroom up, status, down"
as_user npx mailroom up >"$work/up.log" 2>&1 || fail "up: $(tail -3 "$work/up.log")"
as_user npx mailroom status >"$work/log" || fail "status: $(cat "$work/log")"
as_user npx mailroom mailctl send --event-id from-npm --to support@yourapp.example >/dev/null
as_user npx mailroom down >"$work/log" || fail "down: $(cat "$work/log")"
[[ -z "$(left)" ]] || fail "processes are left: $(left)"
say "all passed"
