#!/bin/sh
# Makes the npm packages from the archives in .dev/dist: @mailroom/<platform> of each
# mailroom-dev archive, and @mailroom/mailroom, the launcher, which depends on all of them.
set -eu
cd "$(dirname "$0")/../../.."

dist=$PWD/.dev/dist
version=$(sed -n 's/.*"version":"\([^"]*\)".*/\1/p' "$dist/metadata.json")
[ -n "$version" ] || { echo "pack.sh: $dist/metadata.json names no version: run make snapshot" >&2; exit 1; }
command -v npm >/dev/null || { echo "pack.sh: npm is not on PATH: install Node.js 18 or later" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# pack writes the package in a folder to .dev/dist.
pack() {
	(cd "$1" && npm pack --silent --ignore-scripts --pack-destination "$dist")
}

for archive in "$dist/mailroom-dev_${version}_"*.tar.gz; do
	[ -f "$archive" ] || { echo "pack.sh: $dist has no mailroom-dev archive of $version: run make snapshot" >&2; exit 1; }
	name=${archive##*/mailroom-dev_"${version}"_}
	name=${name%.tar.gz}
	os=${name%_*}
	cpu=${name#*_}
	[ "$cpu" != amd64 ] || cpu=x64

	folder=$work/$os-$cpu
	mkdir -p "$folder/bin"
	tar -xzf "$archive" -C "$folder/bin" --strip-components=1
	mv "$folder/bin/LICENSE" "$folder/bin/THIRD_PARTY_LICENSES" "$folder/"
	cat >"$folder/package.json" <<END
{
  "name": "@mailroom/$os-$cpu",
  "version": "$version",
  "description": "The programs of @mailroom/mailroom for $os $cpu",
  "license": "Apache-2.0",
  "os": ["$os"],
  "cpu": ["$cpu"],
  "files": ["bin", "LICENSE", "THIRD_PARTY_LICENSES"],
  "preferUnplugged": true
}
END
	pack "$folder"
done

cp -R deploy/packages/npm/launcher "$work/launcher"
cp LICENSE "$work/launcher/"
sed "s/\"0\.0\.0\"/\"$version\"/" deploy/packages/npm/launcher/package.json >"$work/launcher/package.json"
pack "$work/launcher"

cd "$dist"
if command -v sha256sum >/dev/null; then
	sha256sum -- *.tgz >>checksums.txt
else
	shasum -a 256 -- *.tgz >>checksums.txt
fi
