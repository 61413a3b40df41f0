#!/bin/sh
# Runs every fuzz target of the module for a while: deploy/dev/fuzz.sh 10s. The test
# program of a package is linked once, with the instructions that guide a fuzzer,
# and serves all its targets.
set -eu
cd "$(dirname "$0")/../.."
time=${1:-10s}

targets=$(grep -rlE --include='*_test.go' '^func Fuzz' activities ingress shared worker workflows | sort)
packages=$(printf '%s\n' "$targets" | xargs -n 1 dirname | sort -u)
corpus=$(go env GOCACHE)/fuzz/$(go list -m)
programs=$(mktemp -d)
trap 'rm -rf "$programs"' EXIT

echo "compiling the fuzz targets of $(printf '%s\n' "$packages" | wc -l) packages"
# go test links without symbols as well when it runs what it links.
printf '%s\n' "$packages" | xargs -P 2 -I '{}' go test -c -fuzz=. -ldflags='-s -w' -o "$programs/{}/fuzz.test" './{}'

for file in $targets; do
	package=$(dirname "$file")
	sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$file" | while read -r target; do
		echo "fuzz $target in $package for $time"
		(cd "$package" && "$programs/$package/fuzz.test" -test.run='^$' -test.fuzz="^$target\$" -test.fuzztime="$time" -test.fuzzcachedir="$corpus/$package")
	done
done
