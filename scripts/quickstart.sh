#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# quickstart.sh: shows Sluice at work on a veth pair, and checks what it shows.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: scripts/quickstart.sh [--count N]

Builds Sluice and makes a testbed of two network namespaces and a veth pair.
At one end runs `sluice run`, with two queues on two cores: first the handler
echo, which is a host of its own, then reflect. From the other end come pings,
N datagrams (default 200000) on 256 flows, at most 64 in flight, every answer
verified; at the same time 50 MB of TCP go through the kernel on the same
interface. Nothing may be lost, and no drop counter may move.

Needs root. Takes under 30 seconds once built, leaves nothing behind, and ends
with "ok: sent N, answered N, lost 0, frames F of F" and exit 0; anything else
is exit 1 with the reason.
EOF
}

fail() { echo "quickstart: $1" >&2; exit 1; }
say() { echo "--- $*"; }

count=200000
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --count)
      [[ ${2:-} =~ ^[1-9][0-9]{2,7}$ ]] || {
        echo "quickstart: --count is a number from 100 to 99999999" >&2
        exit 2
      }
      count=$2
      shift 2
      ;;
    *) echo "quickstart: unknown argument '$1'; see --help" >&2; exit 2 ;;
  esac
done
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ "$(id -u)" -eq 0 ] ||
  fail "needs root, for network namespaces and XDP; try: sudo $0"
[ "$(nproc)" -ge 2 ] || fail "needs two cores, one for each queue"
obstacle=$(scripts/why-no-netns.sh)
[ -z "$obstacle" ] || fail "$obstacle"

scripts/setup.sh
say "building"
scripts/build.sh release sluice_cli traffic | tail -n 1 | sed 's/^/    /'

name=sq$$  # Unique while this runs; interface names stay short.
near=10.203.0.1 near6=fd00:203::1        # The kernel's, at end a.
own=10.203.0.100 own6=fd00:203::100      # The echo handler's own.
program=build/release/sluice traffic=build/release/traffic
work=$(mktemp -d)
sluice_pid='' serve_pid='' send_pid='' udp_pid=''

# Ends one of our children: politely, then for good.
end_child() {
  local pid=$1 tries=30
  [ -n "$pid" ] && kill -TERM "$pid" 2>/dev/null || return 0
  while kill -0 "$pid" 2>/dev/null && ((tries-- > 0)); do sleep 0.1; done
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}

clean_up() {
  local pid
  trap '' INT TERM
  for pid in "$udp_pid" "$send_pid" "$serve_pid" "$sluice_pid"; do
    end_child "$pid"
  done
  scripts/veth.sh down --name "$name"
  rm -rf "$work"
}
trap clean_up EXIT
trap 'echo "quickstart: interrupted" >&2; exit 130' INT
trap 'echo "quickstart: ended" >&2; exit 143' TERM HUP

# Prefixes of commands, not functions: what runs in the background is then the
# command itself, which a signal reaches.
at_a=(nsenter "--net=/run/netns/$name-a" --)
at_b=(nsenter "--net=/run/netns/$name-b" --)

start_sluice() {  # start_sluice HANDLER FLAGS...
  local tries=100
  # As one would type it: quotes only where they are needed.
  echo "    sluice run -i $name-a --handler ${*@Q}" |
    sed "s/'\([[:alnum:].:_-]*\)'/\1/g"
  "${at_a[@]}" "$program" run -i "$name-a" --queues 0,1 --handler "$@" --json \
    >"$work/$1.json" 2>"$work/$1.err" &
  sluice_pid=$!
  until grep -qs '"type":"started"' "$work/$1.json"; do
    if ! kill -0 "$sluice_pid" 2>/dev/null || ((tries-- <= 0)); then
      cat "$work/$1.err" >&2
      fail "sluice run --handler $1 did not start"
    fi
    sleep 0.05
  done
}

stop_sluice() {  # stop_sluice HANDLER
  local status=0
  kill -TERM "$sluice_pid"
  wait "$sluice_pid" || status=$?
  sluice_pid=''
  [ "$status" -eq 0 ] || {
    cat "$work/$1.err" >&2
    fail "sluice run --handler $1 ended with exit code $status"
  }
}

pings() {  # pings ADDRESS...
  local address
  for address in "$@"; do
    "${at_b[@]}" ping -q -c 20 -i 0.01 -W 1 "$address" >"$work/ping" ||
      fail "ping $address: $(grep -o '[0-9]* packets.*' "$work/ping")"
    echo "    $address: $(grep -o '[0-9]* packets.*loss' "$work/ping")"
  done
}

# Datagrams to the handler, and TCP to the kernel, at the same time. The small
# receive window keeps TCP's bursts within the 256 entries of a veth queue.
traffic() {  # traffic HANDLER PORT ADDRESS,ADDRESS
  "${at_a[@]}" "$traffic" tcp-serve --bind "$near" --port 5001 \
    --receive-bytes 65536 --timeout 20 >"$work/serve" 2>&1 &
  serve_pid=$!
  "${at_b[@]}" "$traffic" tcp-send --to "$near" --port 5001 --bytes 50M \
    --timeout 20 >"$work/send" 2>&1 &
  send_pid=$!
  # In the background too: a shell that waits can be interrupted.
  "${at_b[@]}" "$traffic" udp --to "$3" --port "$2" --count "$count" \
    --flows 256 --window 64 --size 64 --timeout 20 --json \
    >"$work/$1.udp" 2>&1 &
  udp_pid=$!
  wait "$udp_pid" ||
    fail "$1: not every datagram came back: $(cat "$work/$1.udp")"
  udp_pid=''
  wait "$send_pid" || fail "TCP through the kernel: $(cat "$work/send")"
  send_pid=''
  wait "$serve_pid" || fail "TCP through the kernel: $(cat "$work/serve")"
  serve_pid=''
  echo "    $(cat "$work/send")"
}

# Every drop counter of both interfaces, "where name value", if it has moved.
veth_drops() {
  local end
  for end in a b; do
    nsenter --net="/run/netns/$name-$end" -- ethtool -S "$name-$end" |
      awk -v at="$name-$end" '/drop|err/ && $2 > 0 {print at, $1, $2}'
    ip -n "$name-$end" -s -s link show dev "$name-$end" |
      awk -v at="$name-$end" '
        /^ *[RT]X/ {way = $1; for (i = 2; i <= NF; i++) head[i] = $i
                    width = NF; getline
                    for (i = 1; i <= NF; i++)
                      if (head[i + 1] ~ /err|drop|miss|over|carr|fifo/ && $i > 0)
                        print at, way, head[i + 1], $i}'
  done
}

report() {  # report HANDLER: a table per queue; fails where a counter is wrong
  python3 scripts/quickstart_report.py "$work/$1.json" "$work/$1.udp" \
    "$count" "$work/sums" || fail "$1: see above"
  veth_drops >"$work/drops"
  [ ! -s "$work/drops" ] ||
    fail "$1: the interface dropped packets: $(paste -sd, "$work/drops")"
}

say "testbed"
scripts/veth.sh up --name "$name" --queues 2 | sed 's/^/    /'

say "echo: a host of its own at $own and $own6"
start_sluice echo --address "$own" --address "$own6"
pings "$own" "$own6"
say "echo: $count datagrams, and 50 MB of TCP through the kernel beside them"
traffic echo 7 "$own,$own6"
stop_sluice echo
report echo

say "reflect: datagrams to port 7000 of the kernel's own addresses"
start_sluice reflect --steer 'udp and dst port 7000'
pings "$near" "$near6"
say "reflect: $count datagrams, and 50 MB of TCP through the kernel beside them"
traffic reflect 7000 "$near,$near6"
stop_sluice reflect
report reflect

line=$(awk '{sent += $1; answered += $2; lost += $3; accounted += $4
             frames += $5}
            END {printf "ok: sent %d, answered %d, lost %d, frames %d of %d",
                 sent, answered, lost, accounted, frames}' "$work/sums")
clean_up
trap - EXIT
echo "$line"
