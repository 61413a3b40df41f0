#!/bin/sh
# Measures the first `make dev` of a fresh clone of HEAD: an empty HOME, empty Go caches, no
# temporal, minio or other S3 server on PATH. Prints when each phase ended, from the times that
# make dev prints. It uses the ports of development, so no other stack may run. It leaves nothing
# behind.
#
#   sh deploy/dev/firstrun.sh          the first run
#   sh deploy/dev/firstrun.sh -warm    with the caller's Go caches, to try this script
set -eu

warm=
case "${1:-}" in
-warm) warm=1 ;;
'') ;;
*) sed -n 's/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/mailroom-firstrun-XXXXXX")
chmod 755 "$work" # PostgreSQL's own user has to pass
clone=$work/mailroom
log=$work/log
child=

cleanup() {
	trap '' INT TERM
	if [ -n "$child" ] && kill -TERM "$child" 2>/dev/null; then wait "$child" || true; fi
	[ ! -x "$clone/.dev/bin/dev" ] || (cd "$clone" && .dev/bin/dev down -clean >/dev/null 2>&1) || true
	chmod -R u+w "$work" # module caches are read-only
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# path returns PATH without the folders that hold what a first run has to build.
path() {
	mkdir -p "$work/bin"
	for tool in go git; do ln -sf "$(command -v $tool)" "$work/bin/$tool"; done
	kept=$work/bin
	IFS=:
	for dir in $PATH; do
		if [ -x "$dir/temporal" ] || [ -x "$dir/minio" ] || [ -x "$dir/versitygw" ]; then continue; fi
		kept=$kept:$dir
	done
	echo "$kept"
}

if [ -n "$warm" ]; then
	cache=$(go env GOCACHE) modules=$(go env GOMODCACHE)
else
	cache=$work/cache modules=$work/modules
fi
mkdir -p "$work/home" "$work/tmp"
git clone -q --no-hardlinks "$root" "$clone"
load=$(cut -d' ' -f1 /proc/loadavg 2>/dev/null || echo unknown)
clock=$(path)

began=$(date +%s)
date +%H:%M:%S >"$log"
(
	cd "$clone"
	exec env -i HOME="$work/home" PATH="$clock" TMPDIR="$work/tmp" LANG=C \
		GOCACHE="$cache" GOMODCACHE="$modules" GOFLAGS=-modcacherw GOTOOLCHAIN=local \
		GOPROXY="$(go env GOPROXY)" GOSUMDB="$(go env GOSUMDB)" GONOSUMDB="$(go env GONOSUMDB)" \
		MAILROOM_POSTGRES_BIN="${MAILROOM_POSTGRES_BIN:-}" \
		deploy/dev/run.sh dev
) >>"$log" 2>&1 &
child=$!

# The samples rest soon after the first one is delivered.
while kill -0 "$child" 2>/dev/null && ! grep -q '^Logs' "$log"; do
	sleep 1
	[ $(($(date +%s) - began)) -lt 3600 ] || break
done
if ! grep -q ' delivered$' "$log"; then
	cat "$log" >&2
	echo "firstrun: no email was delivered" >&2
	exit 1
fi

echo "First run of commit $(git -C "$clone" rev-parse --short HEAD), $(go env GOVERSION), $(getconf _NPROCESSORS_ONLN) processors, load $load before${warm:+, WARM CACHES}"
awk '
function clock(t,  f) { split(t, f, ":"); return f[1] * 3600 + f[2] * 60 + f[3] }
function at(what) { if (!(what in ends)) { ends[what] = (now - start + 86400) % 86400; order[++n] = what } }
function count(  i) { for (i = 1; i < NF; i++) if ($(i + 1) ~ /^packages/ && $(i + 2) ~ /^compiled/) { gsub(/\(/, "", $i); return $i + 0 }; return 0 }
NR == 1 { start = clock($1); next }
$1 !~ /^[0-9][0-9]:[0-9][0-9]:[0-9][0-9]$/ || / … / { next }
{ now = clock($1) }
$2 == "modules" { at("modules of our programs downloaded") }
/local stack built/ { at("local stack program compiled"); packages += count() }
$2 == "mailroom" && $3 == "built" { at("mailroom compiled"); packages += count() }
$2 == "devstack" && $3 == "built" { at("devstack compiled"); packages += count() }
$2 == "postgres" && $3 == "ready" { at("PostgreSQL ready") }
$2 == "ingress" && $3 == "ready" { at("ingress ready") }
$2 == "temporal" && $3 == "ready" { at("Temporal ready") }
/ sample-[a-z]+-.* accepted$/ { at("first sample accepted") }
/ delivered$/ { at("first email delivered") }
END {
	total = ends["first email delivered"]
	printf "  %8s  %7s  %5s  %s\n", "ended at", "lasted", "share", "phase"
	for (i = 1; i <= n; i++) {
		t = ends[order[i]]
		printf "  %6d s  %5d s  %3d %%  %s\n", t, t - last, total ? 100 * (t - last) / total : 0, order[i]
		last = t
	}
	built = ends["mailroom compiled"]
	both = ends["devstack compiled"] > built ? ends["devstack compiled"] : built
	printf "first sample accepted %d s after mailroom was compiled (goal: at most 20)\n", ends["first sample accepted"] - built
	printf "first email delivered %d s after both were compiled (goal: at most 20)\n", total - both
	printf "%d packages compiled (goal: at most 1850)\n", packages
}' "$log"
