#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kernel-log.sh: finds complaints of the kernel since a moment.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: scripts/kernel-log.sh now
       scripts/kernel-log.sh check SINCE [FILE]

  now      prints the present moment on the kernel log's clock
  check    prints every complaint (warning, bug, oops, reference count, device
           that does not go away, XDP) logged after SINCE; exit 1 if there is
           one. Reads dmesg, or FILE in dmesg's format. A log that may not be
           read is no complaint, and said on standard error.
EOF
}

complaints='WARNING:|BUG:|Oops|general protection fault|KASAN|KCSAN|UBSAN:'
complaints+='|scheduling while atomic|refcount_t:|unregister_netdevice: waiting'
complaints+='|XDP return value|possible recursive locking|circular locking'
complaints+='|page allocation failure|Bad page state|list_(add|del) corruption'

case ${1:-} in
  -h | --help) usage ;;
  now) [ $# -eq 1 ] || { usage >&2; exit 2; }; cut -d' ' -f1 /proc/uptime ;;
  check)
    case $# in 2 | 3) ;; *) usage >&2; exit 2 ;; esac
    [[ $2 =~ ^[0-9]+(\.[0-9]+)?$ ]] || {
      echo "kernel-log: SINCE is a number of seconds, not '$2'" >&2
      exit 2
    }
    if [ $# -eq 3 ]; then
      log=$(cat -- "$3")
    elif ! log=$(dmesg 2>/dev/null); then
      echo "kernel-log: may not read the kernel's log, so it is not checked" >&2
      exit 0
    fi
    found=$(awk -v since="$2" -F'[][]' '$2 + 0 > since + 0' <<<"$log" |
      grep -E "$complaints" || true)
    [ -z "$found" ] || {
      printf 'the kernel complained:\n%s\n' "$found"
      exit 1
    }
    ;;
  *) echo "kernel-log: unknown argument '${1:-}'; see --help" >&2; exit 2 ;;
esac
