#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# check_use_after_move.sh: clang-tidy refuses a packet touched after it was sent.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if output=$(clang-tidy-19 --quiet tests/style/use_after_move.cpp -- \
  -std=c++20 -Iinclude 2>&1); then
  echo "clang-tidy accepts a packet touched after it was sent"
  exit 1
fi
errors=$(grep 'error:' <<<"$output")
# One error, and that one: another would hide that this check is blind.
if ! grep -q "'packet' used after it was moved" <<<"$errors" ||
  [ "$(wc -l <<<"$errors")" -ne 1 ]; then
  printf 'expected one error, use after move, but got:\n%s\n' "$output"
  exit 1
fi
