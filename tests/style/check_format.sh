#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# check_format.sh: every source is as clang-format 19 would write it.
set -euo pipefail

case ${1:-} in
  '' | --fix) ;;
  -h | --help)
    echo "usage: check_format.sh [--fix]   (--fix: rewrites what differs)"
    exit 0
    ;;
  *) echo "check_format: unknown argument '$1'; see --help" >&2; exit 2 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
mapfile -d '' sources < <(find bpf userspace include tests examples bench \
  -type f \( -name '*.[ch]pp' -o -name '*.[ch]' \) -print0)
if [ "${1:-}" = --fix ]; then
  exec clang-format-19 -i "${sources[@]}"
fi
exec clang-format-19 --dry-run -Werror "${sources[@]}"
