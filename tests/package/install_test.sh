#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# install_test.sh: what is installed can be built against, from anywhere.
set -euo pipefail

case ${1:-} in
  -h | --help | '')
    echo "usage: install_test.sh BUILD-DIRECTORY C++-COMPILER CMAKE"
    [ -n "${1:-}" ] && exit 0 || exit 2
    ;;
esac
build=$1 compiler=$2 cmake=$3
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
fail() { echo "install_test: $*" >&2; exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$cmake" --install "$build" --prefix "$scratch/first" >"$scratch/log" ||
  fail "the installation failed: $(cat "$scratch/log")"

# Nothing may depend on where it was built, nor on where it was installed first.
mv "$scratch/first" "$scratch/prefix"
for path in "$build" "$source" "$scratch"; do
  found=$(grep -rlF -- "$path/" "$scratch/prefix" || true)
  [ -z "$found" ] || fail "$path/ is named in" "$found"
done

prefix=$scratch/prefix
for header in sluice.hpp abi.h app.hpp services/macswap.hpp; do
  [ -f "$prefix/include/sluice/$header" ] || fail "no <sluice/$header>"
done
"$prefix/bin/sluice" --version | grep -qx 'sluice [0-9.]*' ||
  fail "the installed sluice does not know its version"

"$cmake" -S "$source/tests/package" -B "$scratch/build" \
  -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$prefix" \
  -DCMAKE_BUILD_TYPE=Release >"$scratch/log" 2>&1 ||
  fail "the consumer can't be configured: $(cat "$scratch/log")"
"$cmake" --build "$scratch/build" -j2 >"$scratch/log" 2>&1 ||
  fail "the consumer can't be built: $(cat "$scratch/log")"
"$scratch/build/five_lines" || fail "the five lines end with $?"
help=$("$scratch/build/handler" --help) || fail "the handler has no --help"
for flag in --most --steer; do
  grep -q -- "$flag " <<<"$help" || fail "the handler's --help lacks $flag"
done
status=0
"$scratch/build/handler" --no-such-flag >"$scratch/log" 2>&1 || status=$?
[ "$status" -eq 2 ] || fail "an unknown flag ends with $status instead of 2"
