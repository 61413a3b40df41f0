#!/bin/sh
# Compiles the local stack program and runs it: deploy/dev/run.sh up|down|dev|status|test|tool …
set -eu
cd "$(dirname "$0")/../.."

if ! command -v go >/dev/null; then
	echo "mailroom: the go command is not on PATH: install Go 1.26 or later from https://go.dev/dl" >&2
	exit 1
fi

# A first compilation takes a minute or two; say so while it lasts.
(
	seconds=0
	while sleep 5 >/dev/null 2>&1; do
		seconds=$((seconds + 5))
		echo "  … compiling the local stack program, the first time with all it needs ($seconds s)" >&2
	done
) &
ticker=$!
trap 'kill "$ticker" 2>/dev/null || true' EXIT
mkdir -p .dev/bin
CGO_ENABLED=0 go build -trimpath -buildvcs=false -o .dev/bin/dev ./deploy/dev
kill "$ticker" 2>/dev/null || true
trap - EXIT

exec .dev/bin/dev "$@"
