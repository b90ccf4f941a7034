#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# vm-stage.sh: the tests that run in machines of scripts/vm.sh.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: scripts/vm-stage.sh [MACHINE...]

What scripts/test.sh --vm does once all is built: boots these machines, or every
one, four at a time, and runs in each the tests of which it has the NICs. Fails
if one of them fails twice; without a name also if one of vm_tests passed in no
machine.

  oldest     Linux 6.1, igb and virtio-net: vm_tests, unit, BPF and veth tests
  igb        vm_tests, but those of igb-heal
  igb-heal   NICs that change under a run
  virtio     virtio-net with huge pages, and two kinds that refuse zero-copy
  virtio-mq  more queue pairs than CPUs; two nodes of memory; xdp-tools beside

What each said is in build/release/vm.
exit code: 77 QEMU or the kernels cannot be fetched, or a machine not be made
EOF
}

say() { echo "test: $*"; }

machines=(igb oldest igb-heal virtio-mq virtio) # The longest first.
logs=build/release/vm

# describe MACHINE: what runs there (KIND FILTER...), and how it is made. Of
# vm_tests each runs what it has NICs for; others are skipped.
describe() {
  case $1 in
    oldest)
      tests=(vm '*' unit "$oldest_unit" bpf "$oldest_bpf" veth "$oldest_veth")
      made=(--kernel 6.1 --nic igb --nic virtio --module veth --memory 2048)
      ;;
    igb) tests=(vm '-HealVmTest.*') made=(--nic igb --nic igb) ;;
    igb-heal) tests=(vm 'HealVmTest.*') made=(--nic igb) ;;
    virtio)
      tests=(vm '*')
      made=(--nic virtio --nic virtio --nic virtio-plain --nic virtio-no-reset
        --append hugepages=16)
      ;;
    virtio-mq)
      tests=(vm '*' veth 'DispatcherTest.*')
      made=(--nic virtio-mq --qemu "$far_node" --module igb --module igbvf
        --module bonding --module 8021q --module veth)
      ;;
    *) echo "vm-stage: there is no machine '$1'; see --help" >&2; exit 2 ;;
  esac
}

# On the oldest kernel what differs between kernels: emulated CPUs are slow.
oldest_unit='-SpscTest.Carries*:PollerTest.AHundredThousand*'
oldest_unit+=':BypassTableTest.Flows*:ChecksumTest.MendingAWord*'
oldest_bpf='AttachTest.*:SteerTest.EachTerm*:SteerTest.First*'
oldest_bpf+=':SteerTest.Packets*:SteerTest.AMultiBuffer*:ListTest.Fragments*'
oldest_bpf+=':ListTest.Reflection*:MirrorTest.ARules*:MetadataTest.Names*'
oldest_bpf+=':BypassTest.EachAction*'
oldest_veth='LabTest.*:LadderTest.VethCopies*:LadderTest.NativeCanBe*'
oldest_veth+=':ServicesTest.EchoIsAHost*:ForwardTest.*:PinTest.ProgramOutlives*'
oldest_veth+=':PinTest.RunAdopts*:LargeLadderTest.WithoutMultiBuffer*'
oldest_veth+=':TxOffloadTest.*:Mixed.*'

# What makes the doctor's rarer findings true: two threads of one core, a second
# node of memory that has a NIC and no CPU.
far_node='-smp 2,cores=1,threads=2'
far_node+=' -object memory-backend-ram,id=near,size=768M'
far_node+=' -object memory-backend-ram,id=far,size=256M'
far_node+=' -numa node,nodeid=0,memdev=near,cpus=0-1'
far_node+=' -numa node,nodeid=1,memdev=far'
far_node+=' -device pxb-pcie,id=farbus,bus=pcie.0,bus_nr=64,numa_node=1'
far_node+=' -device pcie-root-port,id=farslot,bus=farbus,chassis=64,slot=64'
far_node+=' -device igb,bus=farslot,mac=52:54:00:00:01:00,romfile='

# boot MACHINE: until all its tests have ended.
boot() {
  local tests made options=(--timeout 900) needed=(build/release/sluice) i
  describe "$1"
  for ((i = 0; i < ${#tests[@]}; i += 2)); do
    needed+=("build/release/${tests[i]}_tests")
    case ${tests[i]} in
      vm) needed+=(ethtool ip) ;;
      veth)
        needed+=(ip ping setpriv unshare nsenter xdp{dump,-filter,-loader}
          build/release/{examples,traffic} "/usr/lib/$(uname -m)-linux-gnu/bpf")
        ;;
    esac
  done
  for i in "${needed[@]}"; do options+=(--add "$i"); done
  # Who is killed takes the machine along.
  setpriv --pdeathsig TERM scripts/vm.sh "${options[@]}" "${made[@]}" \
    tests/vm/tests.sh "${tests[@]}"
}

# start MACHINE: beside three others at most. igb mostly waits for its links.
start() {
  [ "$(jobs -rp | wc -l)" -lt 4 ] || wait -n || true
  echo 1 >"$logs/$1.code"
  (
    started=$SECONDS code=0
    boot "$1" >"$logs/$1" 2>&1 || code=$?
    echo "$code" >"$logs/$1.code"
    say "machine $1: exit code $code after $((SECONDS - started)) s"
  ) &
}

# again MACHINE: what failed, and once more, with the host to itself. Emulated
# CPUs that share two may have one wait for longer than a test does.
again() {
  failures "$1"
  [ "$(<"$logs/$1.code")" -ne 77 ] || return 0
  say "machine $1 once more, alone"
  start "$1"
  wait
  [ "$(<"$logs/$1.code")" -eq 0 ] || failures "$1"
}

# failures MACHINE: what it said, but of tests that passed or were left out.
failures() {
  grep -vE '^\[ *(RUN|OK|SKIPPED|-)|Skipped$|^It needs|^$' "$logs/$1"
}

passed_somewhere() {
  local missed
  missed=$(comm -23 \
    <(build/release/vm_tests --gtest_list_tests | sed 's/ *#.*//' | awk '
      /^[^ ].*\.$/ {suite = $1} /^ / {print suite $1}' | sort) \
    <(sed -n 's/^\[       OK \] \([^ ]*\).*/\1/p' "$logs"/* | sort -u))
  [ -z "$missed" ] || {
    say "these tests were skipped in every machine:"
    echo "$missed"
    return 1
  }
}

case ${1:-} in
  -h | --help) usage; exit 0 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
chosen=("${@:-${machines[@]}}")
for machine in "${chosen[@]}"; do describe "$machine"; done
scripts/vm-fetch.sh 6.18 6.1 >/dev/null || exit
rm -rf "$logs"
mkdir -p "$logs"
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT
for machine in "${chosen[@]}"; do start "$machine"; done
wait
result=0
for machine in "${chosen[@]}"; do
  [ "$(<"$logs/$machine.code")" -eq 0 ] || again "$machine"
  code=$(<"$logs/$machine.code")
  [ "$code" -eq 0 ] || ((code == 77 && result != 0)) || result=$code
done
say "$(cat "$logs"/* | grep -c '^\[       OK') tests passed in machines"
[ "$result" -eq 0 ] || exit "$result"
[ $# -gt 0 ] || passed_somewhere
