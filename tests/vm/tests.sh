#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# tests.sh KIND FILTER...: tests of each kind, in a machine that
# scripts/vm-stage.sh made for them. Fails if one of them does, or if all of a
# kind were left out.
result=0
while [ $# -ge 2 ]; do
  {
    SLUICE_REQUIRE_VETH=1 "build/release/$1_tests" --gtest_color=no \
      --gtest_filter="$2" 2>&1
    echo "$?" >/tmp/code
  } | tee /tmp/log # At once: a machine may end before its tests do.
  [ "$(cat /tmp/code)" -eq 0 ] || result=1
  grep -q '^\[  PASSED  \] [1-9]' /tmp/log || result=1
  shift 2
done
exit "$result"
