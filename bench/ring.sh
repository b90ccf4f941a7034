#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The cost of the public API, as instructions and time against a raw loop.
#
# usage: ring.sh [--instructions] [BUILD_DIRECTORY]
#
# Prints instructions per packet of the application's side (callgrind), then
# nanoseconds per packet of both sides (median of interleaved runs). Without a
# directory: build/release. With --instructions: no times.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

times=yes
build=$root/build/release
for argument in "$@"; do
  case $argument in
    -h | --help) sed -n '3,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    --instructions) times=no ;;
    -*) echo "ring.sh: unknown option $argument (see --help)" >&2; exit 2 ;;
    *) build=$argument ;;
  esac
done
program=$build/bench_ring
[[ -x $program ]] || { echo "ring.sh: no $program; run scripts/build.sh" >&2
                       exit 1; }
command -v valgrind >/dev/null || {
  echo "ring.sh: no valgrind; run scripts/setup.sh" >&2; exit 1; }

# Instructions a packet: a long run less a short one, so that neither the first
# fill of the rings nor start-up counts.
instructions() {  # WORK LOOP
  local out turns refs=()
  out=$(mktemp)
  for turns in 500 2500; do
    valgrind --tool=callgrind --callgrind-out-file=/dev/null \
      --toggle-collect='*application_turn*' \
      "$program" --count "$1" "$2" "$turns" >/dev/null 2>"$out" || {
      cat "$out" >&2; rm -f "$out"; return 1; }
    refs+=("$(sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$out")")
  done
  rm -f "$out"
  awk -v a="${refs[0]}" -v b="${refs[1]}" \
    'BEGIN { printf "%.2f", (b - a) / (2000 * 64) }'
}

echo "instructions per packet (64 a batch, statistics on)"
printf '%-10s %8s %8s %8s %8s %8s\n' work raw each ratio burst ratio
for work in drop macswap reflect; do
  raw=$(instructions "$work" raw)
  each=$(instructions "$work" each)
  burst=$(instructions "$work" burst)
  awk -v w="$work" -v r="$raw" -v e="$each" -v b="$burst" 'BEGIN {
    printf "%-10s %8.2f %8.2f %8.3f %8.2f %8.3f\n", w, r, e, e / r, b, b / r }'
done
[[ $times == yes ]] || exit 0

echo
echo "nanoseconds per packet, with the wire's side of the rings"
printf '%-15s %8s %8s %8s\n' work raw sluice ratio
"$program" --benchmark_format=csv 2>/dev/null | awk -F, '
  NR == 1 { for (i = 1; i <= NF; ++i) { gsub(/"/, "", $i); at[$i] = i }; next }
  { name = $1; gsub(/"|\/manual_time/, "", name)
    printf "%-15s %8.2f %8.2f %8.3f\n", name, $at["raw_ns"], $at["ns"],
      $at["ratio"] }'
