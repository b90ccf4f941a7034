#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# offline.sh: without an archive there is no machine; that is said, as code 77.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# refuses CONFIGURATION WORDS: with that configuration of apt.
refuses() {
  local output code=0
  echo "$1" >"$work/apt.conf"
  output=$(APT_CONFIG=$work/apt.conf SLUICE_VM_CACHE=$work/cache \
    scripts/vm.sh true 2>&1) || code=$?
  if [ "$code" -ne 77 ] || ! grep -q "vm-fetch: .*$2" <<<"$output"; then
    printf 'exit code %s instead of 77 with "%s":\n%s\n' "$code" "$2" "$output"
    exit 1
  fi
  # Nothing half done that would be taken for whole the next time.
  [ "$(ls -A "$work/cache")" = lock ] || {
    echo "something is left in the cache"
    exit 1
  }
}

if [ "$(uname -m)" != x86_64 ] || ! command -v apt-get >/dev/null ||
  [ ! -f /usr/share/keyrings/debian-archive-keyring.gpg ]; then
  echo "it takes an apt that could fetch for amd64"
  exit 77
fi
refuses 'Dir::Etc::sourcelist "/none"; Dir::Etc::sourceparts "/none";' \
  "apt has no source"
refuses 'Dir::Bin::Methods "/none";' "no network, or no such archive"
