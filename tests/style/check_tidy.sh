#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# check_tidy.sh: clang-tidy finds use after move, and nothing in our own code.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: check_tidy.sh use-after-move
       check_tidy.sh clean BUILD-DIRECTORY FOLDER...

  use-after-move   a packet touched after core.reply() is reported as an error
  clean            every .cpp of the folders passes with .clang-tidy
EOF
}

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
case ${1:-} in
  use-after-move)
    if output=$(clang-tidy-19 --quiet tests/style/use_after_move.cpp -- \
      -std=c++20 -Iinclude 2>&1); then
      echo "clang-tidy accepts a packet touched after it was sent"
      exit 1
    fi
    grep -q "error: 'packet' used after it was moved" <<<"$output" || {
      printf 'expected the error of a use after move, but got:\n%s\n' "$output"
      exit 1
    }
    ;;
  clean)
    [ $# -ge 3 ] || { usage >&2; exit 2; }
    mapfile -t sources < <(find "${@:3}" -name '*.cpp' | sort)
    [ ${#sources[@]} -gt 0 ] || { echo "no sources in ${*:3}"; exit 1; }
    # A crash of one clang-tidy makes xargs fail as a finding does.
    printf '%s\0' "${sources[@]}" | xargs -0 -n 1 -P 2 \
      clang-tidy-19 --quiet -p "$2" 2> >(grep -v ' warnings\? generated' >&2)
    ;;
  -h | --help) usage ;;
  *) usage >&2; exit 2 ;;
esac
