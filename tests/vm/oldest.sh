#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# oldest.sh: what of the tests runs in a machine of scripts/vm.sh on the oldest
# kernel that is promised. Emulated CPUs are slow: the unit tests, and of
# the others what differs between kernels. Started by scripts/test.sh --vm.
result=0

# tests KIND FILTER: fails if one of them does, or if none ran.
tests() {
  "build/release/$1_tests" --gtest_color=no --gtest_filter="$2" >/tmp/log 2>&1
  code=$?
  grep -E '^\[       OK' /tmp/log
  [ "$1" = vm ] || grep -E 'Skipped|SKIPPED' /tmp/log | sort -u
  if [ "$code" -ne 0 ] || ! grep -q '^\[  PASSED  \] [1-9]' /tmp/log; then
    cat /tmp/log
    result=1
  fi
}

tests vm '*'
tests unit '-SpscTest.Carries*:PollerTest.AHundredThousand*'
tests bpf "AttachTest.*:SteerTest.EachTerm*:SteerTest.First*:SteerTest.Packets*\
:SteerTest.AMultiBuffer*:ListTest.Fragments*:ListTest.Reflection*\
:MirrorTest.ARules*:MetadataTest.Names*:BypassTest.EachAction*"
tests veth "LabTest.*:LadderTest.VethCopies*:LadderTest.NativeCanBe*\
:ServicesTest.EchoIsAHost*:ForwardTest.*:PinTest.ProgramOutlives*:PinTest.RunAdopts*\
:LargeLadderTest.WithoutMultiBuffer*:TxOffloadTest.*:Mixed.*"
exit "$result"
