#!/bin/sh
# Runs every fuzz target of the module for a while: deploy/dev/fuzz.sh 10s. The test
# program of a package is linked once and serves all its targets. Only our packages get
# the instructions that guide a fuzzer: the others are compiled as for the programs, and a
# target makes 10 times as many calls as with go test -fuzz, which instruments all.
set -eu
cd "$(dirname "$0")/../.."
time=${1:-10s}

targets=$(grep -rlE --include='*_test.go' '^func Fuzz' activities ingress shared worker workflows | sort)
packages=$(printf '%s\n' "$targets" | xargs -n 1 dirname | sort -u)
corpus=$(go env GOCACHE)/fuzz/$(go list -m)
programs=$(mktemp -d)
export CGO_ENABLED=0
trap 'rm -rf "$programs"' EXIT

echo "compiling the fuzz targets of $(printf '%s\n' "$packages" | wc -l) packages"
# go test links without symbols as well when it runs what it links.
printf '%s\n' "$packages" | xargs -P "$(nproc)" -I '{}' \
	go test -c -trimpath -gcflags='mailroom/...=-d=libfuzzer' -ldflags='-s -w' -o "$programs/{}/fuzz.test" './{}'

# One worker each, and as many targets at once as there are processors. Go 1.26 sometimes
# takes the end of the time for a failure of the target (golang/go#75804, mended in 1.27):
# where that is all that it says, the target runs again, three times at most.
# shellcheck disable=SC2016 # the inner shell expands them
for file in $targets; do
	sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$file" | sed "s|^|$(dirname "$file") |"
done | xargs -P "$(nproc)" -L 1 sh -c '
	cd "$4" || exit 1
	said=$2/$4/$5.said
	for try in 1 2 3; do
		echo "fuzz $5 in $4 for $1"
		if "$2/$4/fuzz.test" -test.run="^$" -test.fuzz="^$5\$" -test.parallel=1 -test.fuzztime="$1" -test.fuzzcachedir="$3/$4" >"$said" 2>&1
		then cat "$said"; exit 0
		fi
		cat "$said"
		if grep -q "Failing input written" "$said" || ! grep -qx " *context deadline exceeded" "$said"; then exit 1; fi
		echo "fuzz $5 in $4: its time ended in try $try, and nothing was found"
	done
	exit 1
' fuzz "$time" "$programs" "$corpus"
