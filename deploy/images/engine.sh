#!/bin/bash
# Runs a command with a container engine: the Docker daemon that answers already, else one
# of its own that it starts and stops again.
#
#   deploy/images/engine.sh run COMMAND…   the command finds docker and `docker compose`
#   deploy/images/engine.sh clean          removes images, volumes and caches of its own daemon
#
# Its own daemon needs root on Linux, keeps everything in .dev/docker (ENGINE_DIR) and, on
# Debian, is installed when it is missing. `docker compose` is built from
# deploy/tools/docker-compose where the one that is installed is older than 2.24.
set -euo pipefail
cd "$(dirname "$0")/../.."
dir=${ENGINE_DIR:-$PWD/.dev/docker}
socket=$dir/docker.sock
pidfile=$dir/dockerd.pid

fail() {
	echo "engine.sh: $*" >&2
	exit 1
}

# install_engine installs Docker from Debian, without what it only recommends.
install_engine() {
	if command -v dockerd >/dev/null && command -v docker >/dev/null && command -v iptables >/dev/null; then
		return
	fi
	[ "$(id -u)" -eq 0 ] || fail "no Docker daemon answers, and only root can start one: start Docker, or install it"
	command -v apt-get >/dev/null || fail "dockerd is not installed: install Docker"
	echo "engine.sh: installing docker.io" >&2
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends docker.io iptables >&2 ||
		fail "apt-get cannot install docker.io: run apt-get update, or install Docker"
}

# start_daemon starts a daemon that is this script's own, and waits until it answers.
start_daemon() {
	mkdir -p "$dir/bin"
	# The client that came with the daemon: a newer one wants buildx beside it.
	ln -sfn "$(dirname "$(dirname "$(command -v dockerd)")")/bin/docker" "$dir/bin/docker"
	[ "$(id -u)" -eq 0 ] || fail "no Docker daemon answers, and only root can start one: start Docker"
	# Containers get the limits that this machine allows: a higher default is refused.
	files=$(ulimit -H -n)
	case $files in unlimited) files=1048576 ;; esac
	dockerd --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$pidfile" --host "unix://$socket" \
		--default-ulimit "nofile=$files:$files" >"$dir/dockerd.log" 2>&1 &
	daemon=$!
	tries=0
	until docker info >/dev/null 2>&1; do
		kill -0 "$daemon" 2>/dev/null || fail "dockerd ended: $(tail -n 1 "$dir/dockerd.log") (log: $dir/dockerd.log)"
		tries=$((tries + 1))
		[ "$tries" -lt 120 ] || fail "dockerd does not answer within 120 s (log: $dir/dockerd.log)"
		sleep 1
	done
}

stop_daemon() {
	[ -n "$daemon" ] || return 0
	kill "$daemon" 2>/dev/null || return 0
	wait "$daemon" 2>/dev/null || true
}

# compose_fits reports whether `docker compose` knows !reset and `up --wait`.
compose_fits() {
	local major minor
	IFS=. read -r major minor _ < <(docker compose version --short 2>/dev/null | sed 's/^v//')
	[[ ${major:-0} =~ ^[0-9]+$ && ${minor:-0} =~ ^[0-9]+$ ]] || return 1
	((major > 2 || (major == 2 && minor >= 24)))
}

# find_compose makes `docker compose` one that fits.
find_compose() {
	compose_fits && return
	export DOCKER_CONFIG="$dir/config"
	compose_fits && return
	echo "engine.sh: docker compose is built from deploy/tools/docker-compose (minutes, the first time)" >&2
	mkdir -p "$DOCKER_CONFIG/cli-plugins"
	(
		cd deploy/tools/docker-compose
		version=$(go list -m -f '{{.Version}}' github.com/docker/compose/v2)
		CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X github.com/docker/compose/v2/internal.Version=$version" \
			-o "$DOCKER_CONFIG/cli-plugins/docker-compose" github.com/docker/compose/v2/cmd
	) || fail "cannot build docker compose"
	compose_fits || fail "docker compose does not run: $(docker compose version 2>&1)"
}

case ${1:-} in
run)
	shift
	[ "$#" -gt 0 ] || fail "usage: deploy/images/engine.sh run COMMAND…"
	daemon=
	if ! docker info >/dev/null 2>&1; then
		export DOCKER_HOST="unix://$socket"
		export PATH="$dir/bin:$PATH"
		if ! docker info >/dev/null 2>&1; then
			install_engine
			trap stop_daemon EXIT
			trap 'exit 130' INT
			trap 'exit 143' TERM
			start_daemon
		fi
	fi
	find_compose
	export DOCKER_BUILDKIT=1
	"$@"
	;;
clean)
	[ ! -S "$socket" ] || ! DOCKER_HOST="unix://$socket" docker info >/dev/null 2>&1 || fail "its daemon runs: end it first"
	rm -rf "$dir"
	;;
*) fail "usage: deploy/images/engine.sh run COMMAND… | clean" ;;
esac
