#!/bin/sh
# Compiles the local stack program and runs it: deploy/dev/run.sh up|down|dev|status|test|tool …
set -eu
cd "$(dirname "$0")/../.."

say() { echo "$(date +%H:%M:%S)  $*" >&2; }
fail() { echo "mailroom: $*" >&2; exit 1; }

command -v go >/dev/null || fail "the go command is not on PATH: install Go 1.26.8 or later from https://go.dev/dl"
mkdir -p .dev/bin 2>/dev/null || fail "$(pwd) cannot be written to: change its owner, or clone to a folder of your own"
log=.dev/build.log
: 2>/dev/null >"$log" || fail "$(pwd)/.dev cannot be written to: it belongs to another user (make down CLEAN=1 as that user, then remove it), or the disk is full"

# explain says in one line why the go command failed, and what to do.
explain() {
	tab=$(printf '\t')
	while IFS=$tab read -r pattern remedy; do
		cause=$(grep -m 1 -iE "$pattern" "$log") || continue
		fail "$cause: $remedy"
	done <deploy/dev/command/remedies.txt
	fail "the local stack program cannot be compiled: $(grep -v '^[^ :]*$' "$log" | tr '\n' ';')"
}

# ticker says how far the compilation is, which takes a minute the first time.
ticker() {
	seconds=0
	while sleep 5 >/dev/null 2>&1; do
		seconds=$((seconds + 5))
		packages=$(grep -vc ' ' "$log") || true
		packages=$((packages - (packages > 0))) # the one that was begun last is not done
		done="$packages packages so far"
		[ "$todo" -lt 2 ] || done="$((100 * packages / todo)) % ($packages of $todo packages)"
		say "… local stack program: building, $done ($seconds s)"
	done
}
ticker=
trap '[ -z "$ticker" ] || kill "$ticker" 2>/dev/null || true' EXIT
trap 'echo "mailroom: interrupted: what is compiled is kept" >&2; exit 130' INT TERM

# The first time, the modules of all our programs are fetched at once. go list downloads nothing
# that is here, and knows which packages are to be compiled.
todo=1
if [ ! -x .dev/bin/dev ]; then
	began=$(date +%s)
	say "fetching the modules that are not here yet"
	go list -deps ./deploy/dev ./ingress/cmd/... 2>"$log" >/dev/null || explain
	modules=$(grep -c '^go: downloading' "$log") || true
	say "modules     here  $(printf '%5d' $(($(date +%s) - began))) s  ($modules downloaded)"
	todo=$(CGO_ENABLED=0 go list -deps -trimpath -buildvcs=false -f '{{if .Stale}}{{.ImportPath}}{{end}}' ./deploy/dev 2>/dev/null | grep -c .) || true
fi

began=$(date +%s)
ticker &
ticker=$!
CGO_ENABLED=0 go build -v -trimpath -buildvcs=false -o .dev/bin/dev ./deploy/dev 2>"$log" || explain
packages=$(grep -vc ' ' "$log") || true
[ "$todo" -lt 2 ] || say "local stack built $(printf '%5d' $(($(date +%s) - began))) s  ($packages packages compiled)"

[ -z "$ticker" ] || kill "$ticker" 2>/dev/null || true
trap - EXIT INT TERM
exec .dev/bin/dev "$@"
