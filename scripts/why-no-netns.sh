#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# why-no-netns.sh: finds out whether there can be veth pairs to test on.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: scripts/why-no-netns.sh

Prints why no veth pair can be made in a network namespace of its own here;
nothing, if it can be. Either is exit 0.
EOF
}

case ${1:-} in
  '') ;;
  -h | --help) usage; exit ;;
  *) echo "why-no-netns: unknown argument '$1'; see --help" >&2; exit 2 ;;
esac
[ "$(id -u)" -eq 0 ] || { echo "not root"; exit; }
# A kernel that once failed with its lock of all interfaces held never answers,
# and who asked cannot even be killed: that one is left behind.
unshare --net ip link add sluice-t0 type veth peer name sluice-t1 \
  </dev/null >/dev/null 2>&1 &
tries=100
while kill -0 $! 2>/dev/null; do
  ((tries-- > 0)) || {
    echo "the kernel makes no network namespace within 10 s; dmesg may say why"
    exit
  }
  sleep 0.1
done
wait $! || echo "no veth pair can be made in a network namespace"
