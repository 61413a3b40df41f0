#!/bin/sh
# Builds what a release consists of into .dev/dist: snapshot.sh [all|release]. Without an argument
# for this platform alone; all: for every platform; release: from a tag, and drafts the release.
set -eu
cd "$(dirname "$0")/../.."

goreleaser=$(deploy/dev/run.sh tool goreleaser)
PATH=$(dirname "$(deploy/dev/run.sh tool cyclonedx-gomod)"):$PATH
export PATH GOFLAGS=
# Without a remote goreleaser would know neither commit nor date.
if [ -z "$(git remote)" ]; then
	export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=remote.origin.url GIT_CONFIG_VALUE_0=https://github.com/mailroom/mailroom
fi

"$goreleaser" check --quiet
config=.goreleaser.yaml
case "${1:-}" in
release)
	"$goreleaser" release --clean
	exec deploy/packages/npm/pack.sh
	;;
all) ;;
"")
	target=$(go env GOOS)_$(go env GOARCH)
	config=.dev/goreleaser.yaml
	sed "s/&targets \[[^]]*\]/\&targets [$target]/" .goreleaser.yaml >$config
	grep -q "&targets \[$target\]" $config || { echo "snapshot.sh: .goreleaser.yaml has no line with &targets [ … ]" >&2; exit 1; }
	;;
*)
	echo "usage: snapshot.sh [all|release]" >&2
	exit 2
	;;
esac
"$goreleaser" release --clean --snapshot --config $config
deploy/packages/npm/pack.sh
