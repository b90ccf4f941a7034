#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# coverage.sh: which lines of the packet path the tests of a build have run.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: scripts/coverage.sh [--clear] [preset]

Prints, for each file of the poller, the frame pool, the rings and the sockets,
how many of its lines ran in the tests of build/<preset>/, and the numbers of
those that did not. Exit 1 if it is under 95 % for one of the four. The default
preset is asan, the one that counts; the files are named in cmake/coverage.list.

  --clear   forget what ran so far

scripts/test.sh --sanitize clears, runs the tests and prints. Processes that
are killed before they end count nothing.
EOF
}

readonly percent_min=95

# Every program of the build that counts, as flags of llvm-cov.
programs() {
  find "$build" -maxdepth 2 -type f -perm -u+x -exec \
    sh -c 'readelf -SW "$1" 2>/dev/null | grep -q __llvm_covmap' _ {} \; \
    -printf '-object\n%p\n'
}

# LCOV on standard input: DA:LINE,RUNS for each line of each SF:FILE.
report() {
  awk -v least="$percent_min" '
    BEGIN {
      split("poller pool rings sockets", groups)
      in_group["poller"] = "poller"
      in_group["frame_pool"] = in_group["packet"] = "pool"
      in_group["ring"] = in_group["spsc"] = in_group["port"] = "rings"
      in_group["socket"] = in_group["umem"] = "sockets"
    }
    /^SF:/ {
      sub(/^SF:/, ""); sub(/.*\/include\//, "include/")
      sub(/.*\/userspace\//, "userspace/")
      file = stem = $0
      sub(/.*\//, "", stem); sub(/\..*/, "", stem)
      group = in_group[stem]
      ran = lines = first = last = 0
      missed = ""
    }
    function add_missed() {
      if (first == 0) return
      missed = missed " " first (last > first ? "-" last : "")
      first = 0
    }
    /^DA:/ {
      split(substr($0, 4), of, ",")
      ++lines
      if (of[2] > 0) { ++ran; add_missed(); next }
      if (first == 0) first = of[1]
      last = of[1]
    }
    /^end_of_record/ && group != "" {
      add_missed()
      printf "coverage: %-32s %5.1f %%  %3d of %3d lines%s\n", file,
        100 * ran / lines, ran, lines,
        missed == "" ? "" : "; not" missed
      ran_in[group] += ran
      lines_in[group] += lines
    }
    END {
      for (i = 1; i in groups; ++i) {
        group = groups[i]
        if (lines_in[group] == 0) {
          printf "coverage: %s: nothing was counted\n", group
          bad = 1
          continue
        }
        percent = 100 * ran_in[group] / lines_in[group]
        printf "coverage: %-32s %5.1f %%%s\n", "all of " group, percent,
          percent < least ? ", less than " least " %" : ""
        if (percent < least) bad = 1
      }
      exit bad
    }'
}

clear=
case ${1:-} in
  -h | --help) usage; exit 0 ;;
  --clear) clear=1; shift ;;
  -*) echo "coverage: unknown argument '$1'; see --help" >&2; exit 2 ;;
esac
[ $# -le 1 ] || { echo "coverage: too many arguments; see --help" >&2; exit 2; }
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=build/${1:-asan}
profile=$build/profile
if [ -n "$clear" ]; then
  rm -rf "$profile"
  exit
fi

[ -n "$(find "$profile" -name '*.profraw' 2>/dev/null)" ] || {
  echo "coverage: no test of $build was run; scripts/test.sh --sanitize" >&2
  exit 1
}
# A process that was killed as it wrote leaves a file that is none.
llvm-profdata-19 merge --failure-mode=all -o "$profile/merged" \
  "$profile"/*.profraw
mapfile -t objects < <(programs)
llvm-cov-19 export -dump -format=lcov -instr-profile "$profile/merged" \
  "${objects[@]}" >"$profile/lcov" 2>"$profile/said" || {
  cat "$profile/said" >&2
  exit 1
}
# Hash 0: an inline function that this program does not use; others have it.
# Any other without a profile was not what ran.
if grep -Ev 'hash = 0x0$|functions have mismatched data$' "$profile/said" >&2
then
  echo "coverage: that is of another build; --clear, and run the tests" >&2
  exit 1
fi
report <"$profile/lcov"
