#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# test.sh: builds and runs the tests, and looks at what they left behind.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: scripts/test.sh [--quick|--vm|--sanitize]

Installs missing packages (scripts/setup.sh), builds, runs the tests by ctest,
and ends with ctest's summary. Exit 0 only if everything passed.

  (nothing)    the release build with every test; and all sources but the tests
               through clang 19 and clang-tidy. Tests of the XDP program and on
               veth pairs need root and CAP_NET_ADMIN; a machine that cannot
               run them is told why they are left out, on one that can they
               must not be skipped.
  --quick      unit, pcap and style tests only; no root, under a minute
  --vm         the release build in virtual machines (scripts/vm-stage.sh):
               zero-copy on NICs that have it and on some that only say so,
               the doctor, and unit, BPF and veth tests on Linux 6.1, the oldest
               that is promised. Where QEMU or kernels cannot be fetched it says
               so and is left out
  --sanitize   all tests but style, package and mutants under AddressSanitizer
               and UBSan, with the coverage of the packet path
               (scripts/coverage.sh), then under ThreadSanitizer

After tests on veth pairs the kernel's log is read for complaints, and nothing
they made (namespaces, links, pinned BPF objects, processes) may remain.
EOF
}

say() { echo "test: $*"; }

# Why this machine cannot run BPF and veth tests; empty if it can.
why_no_veth() {
  local effective bit obstacle
  [ "$(id -u)" -eq 0 ] || { echo "not root"; return; }
  effective=$((16#$(awk '/^CapEff/ {print $2}' /proc/self/status)))
  for bit in 12:CAP_NET_ADMIN 13:CAP_NET_RAW 21:CAP_SYS_ADMIN 38:CAP_PERFMON \
    39:CAP_BPF; do
    ((effective >> ${bit%:*} & 1)) || { echo "no ${bit#*:}"; return; }
  done
  obstacle=$(scripts/why-no-netns.sh)
  [ -z "$obstacle" ] || { echo "$obstacle"; return; }
  python3 -c 'import socket; socket.socket(44, socket.SOCK_RAW, 0)' \
    2>/dev/null || { echo "the kernel has no AF_XDP"; return; }
}

# with_bpffs ARGUMENT...: begins anew with a bpffs, to pin programs in, where
# nobody has mounted one, as systemd would. It ends with this script.
with_bpffs() {
  [ "$(stat -f -c %T /sys/fs/bpf)" != bpf_fs ] || return 0
  exec unshare --mount sh -ec '
    mount -t bpf bpf /sys/fs/bpf
    exec scripts/test.sh "$@"' sh "$@"
}

# Everything that a test might leave behind, one thing per line.
belongings() {
  ip netns list | awk '{print "namespace", $1}'
  ip -br link | awk '{print "link", $1}'
  find /sys/fs/bpf /run/sluice -mindepth 1 -printf 'file %p\n' 2>/dev/null ||
    true
  pgrep -l -x 'sluice|traffic' | awk '{print "process", $2, $1}' || true
  bpftool prog show 2>/dev/null |
    awk '$2 == "xdp" {print "XDP program", $1, $4}' || true
}

watch_begin() {
  before=$(belongings | sort)
  since=$(scripts/kernel-log.sh now)
}

# Things go away a moment after their owner, so the look is repeated.
watch_end() {
  local left tries=30
  while left=$(comm -13 <(echo "$before") <(belongings | sort)) &&
    [ -n "$left" ] && ((tries-- > 0)); do
    sleep 0.1
  done
  scripts/kernel-log.sh check "$since" || return 1
  [ -z "$left" ] || {
    say "the tests left behind:"
    echo "$left"
    return 1
  }
}

# run_tests PRESET CTEST-ARGUMENT...
run_tests() {
  local log=build/$1/ctest.log
  ctest --test-dir "build/$1" -j2 --output-on-failure --no-tests=error \
    --timeout 300 "${@:2}" 2>&1 | tee "$log"
}

# A skip is fine where the machine cannot do it, and a failure elsewhere.
refuse_skips() {
  local skipped
  skipped=$(grep -E '\*\*\*Skipped' "build/$1/ctest.log" || true)
  [ -z "$skipped" ] || {
    say "this machine can run every test, but these were skipped:"
    echo "$skipped"
    return 1
  }
}

# with_watch PRESET CTEST-ARGUMENT...: every test that this machine can run.
with_watch() {
  if [ -n "$obstacle" ]; then
    say "tests of BPF and on veth pairs are left out: $obstacle"
    run_tests "$@" -LE "bpf|veth${leave_out:+|$leave_out}"
    return
  fi
  local result=0
  watch_begin
  SLUICE_REQUIRE_VETH=1 run_tests "$@" ${leave_out:+-LE "$leave_out"} ||
    result=1
  watch_end || result=1
  refuse_skips "$1" || result=1
  return "$result"
}

# Sockets are opened on veth pairs only.
coverage() {
  if [ -n "$obstacle" ]; then
    say "no coverage is told: sockets need veth pairs, and $obstacle"
  else
    scripts/coverage.sh asan
  fi
}

mode=full
case ${1:-} in
  '') ;;
  -h | --help) usage; exit 0 ;;
  --quick) mode=quick ;;
  --vm) mode=vm ;;
  --sanitize) mode=sanitize ;;
  *) echo "test: unknown argument '$1'; see --help" >&2; exit 2 ;;
esac
[ $# -le 1 ] || { echo "test: one argument at most; see --help" >&2; exit 2; }
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# A finding of a sanitizer is a failure, not a line in a log, and has names in
# its stack; addr2line is always there, with g++.
for symbolizer in llvm-symbolizer-19 llvm-symbolizer addr2line; do
  names=external_symbolizer_path=$(command -v "$symbolizer") && break
done
export ASAN_OPTIONS=${ASAN_OPTIONS:-$names}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-$names:halt_on_error=1:print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-$names:halt_on_error=1}

if [ "$mode" = quick ]; then
  scripts/setup.sh --check
  scripts/build.sh release
  run_tests release -L '^(unit|pcap|style)$'
  exit
fi

scripts/setup.sh
if [ "$mode" = vm ]; then
  scripts/build.sh release
  code=0
  scripts/vm-stage.sh || code=$?
  [ "$code" -ne 77 ] || say "not every virtual machine was to be had: see above"
  ((code == 0 || code == 77))
  exit
fi
obstacle=$(why_no_veth)
[ -n "$obstacle" ] || with_bpffs "$@"
leave_out=
if [ "$mode" = full ]; then
  say "building with g++, then with clang 19 and clang-tidy"
  scripts/build.sh release
  scripts/build.sh release-clang shipped
  with_watch release
else
  leave_out='style|package|mutants'
  scripts/coverage.sh --clear
  for preset in asan tsan; do
    say "building and testing $preset"
    scripts/build.sh "$preset"
    with_watch "$preset"
    [ "$preset" = tsan ] || coverage
  done
fi
