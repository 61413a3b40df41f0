#!/bin/sh
# Writes the licences of every module that the released programs contain, and of Go's
# standard library, into one file: licenses.sh FILE. They ask to be part of what is distributed.
set -eu
[ $# -eq 1 ] || { echo "usage: licenses.sh FILE" >&2; exit 2; }
cd "$(dirname "$0")/../.."

mkdir -p "$(dirname "$1")"
list=$(mktemp)
trap 'rm -f "$list" "$1.new"' EXIT

# modules lists "path version folder" of the modules that packages of the module in folder $1 come from.
modules() {
	folder=$1
	shift
	(cd "$folder" && CGO_ENABLED=0 go list -deps \
		-f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' "$@")
}

modules . ./ingress/cmd/mailroom ./ingress/cmd/mailctl ./deploy/dev ./deploy/dev/sink >"$list"
if [ -d deploy/tools/devstack ]; then
	modules deploy/tools/devstack . >>"$list"
fi
sort -u -o "$list" "$list"

{
	echo "The programs of Mailroom contain these modules. The licence of each follows."
	{
		echo "Go $(go env GOVERSION) $(go env GOROOT)"
		cat "$list"
	} | while read -r module version folder; do
		printf '\n==== %s %s\n' "$module" "$version"
		found=no
		for file in "$folder"/[Ll][Ii][Cc][Ee][Nn][CcSs][Ee]* "$folder"/COPYING* "$folder"/NOTICE*; do
			[ -f "$file" ] || continue
			printf '\n'
			cat "$file"
			found=yes
		done
		[ $found = yes ] || echo "$module $version has no licence file" >&2
	done
} >"$1.new"
mv "$1.new" "$1"
