#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What it costs the XDP program to look a packet up in a list of rules.
#
# usage: steering.sh [--quick] [BUILD_DIRECTORY]
#
# Prints nanoseconds a packet of the whole program, counters included, and the
# ratio to a list of one rule on the same packets; the memory a rule takes; the
# same rules in the kernel's hash maps; and xdp-filter with one port, if Debian's
# xdp-tools is installed. Needs root: it runs programs, on no interface. Takes
# three minutes and 3 GB; with --quick, 10,000 exact rules instead of a million.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

options=()
build=$root/build/release
for argument in "$@"; do
  case $argument in
    -h | --help) sed -n '3,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    --quick) options+=("$argument") ;;
    -*) echo "steering.sh: unknown option $argument (see --help)" >&2; exit 2 ;;
    *) build=$argument ;;
  esac
done
program=$build/bench_steering
[[ -x $program ]] || {
  echo "steering.sh: no $program; run scripts/build.sh" >&2
  exit 1
}
exec "$program" "${options[@]}"
