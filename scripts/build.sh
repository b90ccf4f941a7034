#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# build.sh: configures a preset when that is needed and builds it.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: scripts/build.sh [preset] [target...]

Builds into build/<preset>/; the default preset is release, the default
target everything. The command line program is build/release/sluice.

presets:
  release         g++, -O2, asserts on
  release-clang   clang 19, -O2, asserts on, clang-tidy beside the compiler
  debug           clang 19, -O0, frames poisoned
  asan            clang 19, AddressSanitizer and UBSan
  tsan            clang 19, ThreadSanitizer

Run scripts/setup.sh first; it installs compilers and libraries.
EOF
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
case ${1:-} in
  -h | --help) usage; exit 0 ;;
  -*) echo "build: unknown argument '$1'; see --help" >&2; exit 2 ;;
esac
preset=${1:-release}
[ $# -eq 0 ] || shift
case $preset in
  release | release-clang | debug | asan | tsan) ;;
  *)
    echo "build: no preset '$preset'; there are release, release-clang," \
      "debug, asan and tsan" >&2
    exit 2
    ;;
esac
for tool in cmake ninja; do
  command -v "$tool" >/dev/null || {
    echo "build: $tool is not installed; run scripts/setup.sh" >&2
    exit 1
  }
done

build=build/$preset
# Ninja re-runs CMake by itself, but does not know that a preset has changed.
if [ ! -f "$build/build.ninja" ] ||
  [ CMakePresets.json -nt "$build/CMakeCache.txt" ]; then
  mkdir -p "$build"
  if ! cmake --preset "$preset" >"$build/configure.log" 2>&1; then
    cat "$build/configure.log" >&2
    echo "build: cmake could not configure '$preset'" >&2
    exit 1
  fi
  touch "$build/CMakeCache.txt"
fi
if [ $# -gt 0 ]; then
  exec cmake --build "$build" --target "$@"
fi
exec cmake --build "$build"
