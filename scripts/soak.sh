#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# soak.sh: the random tests, for as long as you like.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: scripts/soak.sh [--rules | --heal [--nic NIC]] [--duration SECONDS]
                       [--preset PRESET] [--seed SEED]

Builds the tests and runs loop, simulated kernel and random handlers, a million
packets at a time, with fresh seeds, each printed before it is used. Ends at the
first failure with exit 1 and the command that replays it, else after --duration
(without: never) with exit 0. No root, but for --heal.

  --rules             random rules on random packets instead, judged by libpcap,
                      the reference and, as root, the XDP program
  --heal              two hundred interfaces set down, renamed, deleted and made
                      again under a run on a veth pair; root
  --nic NIC           forty on this NIC of scripts/vm.sh, in a machine; no root,
                      but for virtio-mq
  --duration SECONDS  no new run is begun after that
  --preset PRESET     release (default), debug, asan or tsan: the last three run
                      ten thousand packets at a time and check every frame
  --seed SEED         the first seed; the others are drawn from the system
EOF
}

fail() {
  echo "soak: $1; see --help" >&2
  exit 2
}

duration=
preset=release
seed=
what=simulation
nic=
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --rules) what=rules; shift ;;
    --heal) what=heal; shift ;;
    --duration | --preset | --seed | --nic)
      [ $# -ge 2 ] || fail "$1 needs a value"
      declare "${1#--}=$2"
      shift 2
      ;;
    *) fail "unknown argument '$1'" ;;
  esac
done
[[ $duration =~ ^[0-9]*$ ]] || fail "--duration is a number, not '$duration'"
[[ $seed =~ ^[0-9]*$ ]] || fail "--seed is a number, not '$seed'"
case $preset in
  release) packets=1000000 ;;
  debug | asan | tsan) packets=10000 ;;
  *) fail "there is no preset '$preset'" ;;
esac
[ -z "$nic" ] || [ "$what" = heal ] || fail "--nic goes with --heal"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

targets=(sim_tests)
if [ "$what" = rules ]; then
  targets=(pcap_tests)
  [ "$(id -u)" -ne 0 ] || targets+=(bpf_tests)
fi
[ "$what" != heal ] || targets=(veth_tests)
[ -z "$nic" ] || targets=(vm_tests)
cmake --preset "$preset" >/dev/null
cmake --build "build/$preset" --target "${targets[@]}"

fresh_seed() { od -An -N6 -tu8 /dev/urandom | tr -d ' '; }

# once PROGRAM: one run with $seed, its output in $output.
once() {
  local filter=PropertyTest.EveryFrameHasOneOwnerAndEveryPacketOneFate
  [ "$what" != heal ] || filter=HealTest.RandomEventsUnderLoad
  [ "$what" != rules ] || filter='*MeaningTest.*:ListTest.Decides*:*Tables*'
  if [ -n "$nic" ]; then
    output=$(scripts/vm.sh --nic "$nic" --timeout 3600 \
      --add "build/$preset/sluice" --add ethtool --add "build/$preset/$1" \
      env SLUICE_TEST_SEED="$seed" SLUICE_HEAL_EVENTS=40 "build/$preset/$1" \
      --gtest_brief=1 --gtest_filter=HealVmTest.RandomEventsUnderLoad 2>&1)
    return
  fi
  output=$(SLUICE_SIM_SEED=$seed SLUICE_SIM_PACKETS=$packets \
    SLUICE_TEST_SEED=$seed SLUICE_REQUIRE_VETH=1 "build/$preset/$1" \
    --gtest_brief=1 --gtest_filter="$filter" 2>&1)
}

runs=0
begin=$SECONDS
while [ -z "$duration" ] || ((SECONDS - begin < duration)); do
  seed=${seed:-$(fresh_seed)}
  echo "soak: seed $seed"
  for program in "${targets[@]}"; do
    once "$program" || {
      echo "$output"
      echo "soak: failed after $runs good runs"
      exit 1
    }
    grep -E ' (packets, |pairs)|packets came' <<<"$output" || true
  done
  runs=$((runs + 1))
  seed=
done
echo "soak: $runs runs, none failed"
