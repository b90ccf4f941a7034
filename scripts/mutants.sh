#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# mutants.sh: puts small bugs into the code, and shows which test finds each.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: scripts/mutants.sh [--slice] [--only REGEX] [--random N] [--seed N]
                          [--jobs N]

Applies the bugs of tests/mutants/named.py, and some drawn at random, one at a
time to a copy of the packet path. Builds and runs the tests over the simulated
kernel, then the unit tests, the two-threaded test under TSan, and the litmus
test, until one fails; prints a line for each: its name and that test. About
half a minute each. Exit 1 if a named one survives, is caught by a time-out, or
changes a text that is no longer in its file.

  --slice       three named ones, and the test over the simulated kernel only:
                less than a minute, and the part that scripts/test.sh runs
  --only REGEX  mutants whose name it is found in
  --random N    so many drawn at random: 10. One that survives may be no bug
  --seed N      what those are drawn from; printed
  --jobs N      at a time: 2
EOF
}

case ${1:-} in -h | --help) usage; exit 0 ;; esac
cd "$(dirname "${BASH_SOURCE[0]}")/../tests/mutants"
PYTHONDONTWRITEBYTECODE=1 exec python3 run.py "$@"
