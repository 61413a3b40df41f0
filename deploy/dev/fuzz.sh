#!/bin/sh
# Runs every fuzz target of the module for a while: deploy/dev/fuzz.sh 10s.
set -eu
cd "$(dirname "$0")/../.."
time=${1:-10s}

targets=$(grep -rlE --include='*_test.go' '^func Fuzz' activities ingress shared worker workflows | sort)
for file in $targets; do
	sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$file" | while read -r target; do
		echo "fuzz $target in $(dirname "$file") for $time"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "./$(dirname "$file")"
	done
done
