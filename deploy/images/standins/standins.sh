#!/bin/bash
# Makes the images that docker-compose.yml and the Dockerfile name and that are neither here
# nor to be had from a registry: see Dockerfile. `deploy/images/engine.sh run` runs it.
#
#   standins.sh NAME…     names without tag, such as postgres or temporalio/server; all of them
set -euo pipefail
cd "$(dirname "$0")"
root=$PWD/../../..
context=$root/.dev/standins
pinned_in=("$root/docker-compose.yml" "$root"/deploy/compose/*.yaml "$root/deploy/images/Dockerfile")

fail() {
	echo "standins.sh: $*" >&2
	exit 1
}

# pinned prints the full name of an image, as the files pin it.
pinned() {
	grep -ohE "(^|[ =:-])$1:[A-Za-z0-9._-]+" "${pinned_in[@]}" | grep -oE "$1:.*" | sort -u | head -n 1
}

# tool builds a program that a module of deploy/tools pins into bin/$3.
tool() {
	mkdir -p "$context/bin"
	(cd "$root/deploy/tools/$1" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags disable_grpc_modules,release \
		-ldflags "-s -w" -o "$context/bin/$3" "$2")
}

# version prints the version of module $2 that deploy/tools/$1 pins.
version() {
	(cd "$root/deploy/tools/$1" && go list -m -f '{{.Version}}' "$2")
}

# upstream prints the folder of the source of module $2 that deploy/tools/$1 pins.
upstream() {
	(cd "$root/deploy/tools/$1" && go mod download "$2" && go list -m -f '{{.Dir}}' "$2")
}

# same fails unless the image's tag says the version that deploy/tools pins.
same() {
	[[ ${1##*:} == "${2#v}" || ${1##*:} == "$2" ]] || fail "$1 is pinned in docker-compose.yml, but deploy/tools has $2"
}

debian() {
	docker image inspect standin-debian >/dev/null 2>&1 && return
	if ! command -v mmdebstrap >/dev/null; then
		DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends mmdebstrap >&2 || fail "mmdebstrap is missing: install it"
	fi
	mkdir -p "$context"
	# No cluster is made when PostgreSQL is installed; the single quotes are for mmdebstrap's shell.
	# shellcheck disable=SC2016
	mmdebstrap --quiet --variant=minbase \
		--essential-hook='mkdir -p "$1/etc/postgresql-common" && echo create_main_cluster=false >"$1/etc/postgresql-common/createcluster.conf"' \
		--include=postgresql-15,clamav-daemon,clamdscan,caddy,prometheus,netcat-openbsd,wget,bash,ca-certificates \
		bookworm "$context/debian.tar"
	docker import "$context/debian.tar" standin-debian >/dev/null
	rm "$context/debian.tar"
}

# prepare puts what the image needs into the context.
prepare() {
	local server=go.temporal.io/server ui=github.com/temporalio/ui-server/v2 dir
	mkdir -p "$context/upstream"
	case $1 in
	temporalio/server)
		same "$2" "$(version temporal-server $server)"
		tool temporal-server $server/cmd/server server
		dir=$(upstream temporal-server $server)
		# Debian's sh knows no pipefail; that of the published image does.
		sed '1s,^#!/bin/sh$,#!/bin/bash,' "$dir/docker/scripts/sh/entrypoint.sh" >"$context/upstream/entrypoint.sh"
		chmod 0755 "$context/upstream/entrypoint.sh"
		;;
	temporalio/admin-tools)
		same "$2" "$(version temporal-server $server)"
		tool temporal-server $server/cmd/tools/sql sql
		tool temporal github.com/temporalio/cli/cmd/temporal temporal
		dir=$(upstream temporal-server $server)
		rm -rf "$context/upstream/schema" && cp -R "$dir/schema" "$context/upstream/" && chmod -R u+w "$context/upstream/schema"
		;;
	temporalio/ui)
		same "$2" "$(version temporal-ui $ui)"
		tool temporal-ui $ui/cmd/server ui-server
		dir=$(upstream temporal-ui $ui)
		install -m 0644 "$dir/config/docker.yaml" "$context/upstream/"
		install -m 0755 "$dir/docker/start-ui-server.sh" "$context/upstream/"
		;;
	versity/versitygw)
		same "$2" "$(version versitygw github.com/versity/versitygw)"
		tool versitygw github.com/versity/versitygw/cmd/versitygw versitygw
		;;
	clamav/clamav)
		# In two halves, so that no scanner reports this file.
		# shellcheck disable=SC2016
		printf 'Eicar-Test-Signature:0:*:%s\n' "$(printf '%s%s' 'X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR' '-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*' | od -An -v -tx1 | tr -d ' \n')" >"$context/eicar.ndb"
		;;
	golang)
		same "${2%-bookworm}" "$(go env GOVERSION | sed 's/^go//')"
		dir=$(go env GOROOT)
		rm -rf "$context/go" && mkdir "$context/go"
		tar -C "$dir" --exclude=./src/cmd --exclude='*/testdata' --exclude='*_test.go' -cf - ./VERSION ./bin ./pkg ./src ./lib ./go.env |
			tar -C "$context/go" -xf -
		# Modules are downloaded with the certificates that this machine trusts.
		cp /etc/ssl/certs/ca-certificates.crt "$context/"
		;;
	esac
}

if [[ $* == all ]]; then
	set -- golang postgres clamav/clamav temporalio/server temporalio/admin-tools temporalio/ui prom/prometheus caddy versity/versitygw
fi
for name in "$@"; do
	full=$(pinned "$name")
	[[ -n $full ]] || fail "no image $name is pinned"
	if docker image inspect "$full" >/dev/null 2>&1; then
		continue
	fi
	if docker pull --quiet "$full" 2>/dev/null; then
		continue
	fi
	case $name in
	temporalio/server) target=temporal-server ;;
	temporalio/*) target=${name#temporalio/} ;;
	*) target=${name##*/} ;;
	esac
	[[ $target != ui ]] || target=temporal-ui
	echo "standins.sh: no registry has $full: making a stand-in" >&2
	debian
	prepare "$name" "$full"
	cp ./*-entrypoint.sh "$context/"
	docker build --quiet --file Dockerfile --target "$target" --tag "$full" --label mailroom.standin=true "$context" >/dev/null
done
