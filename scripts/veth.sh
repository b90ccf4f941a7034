#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# veth.sh: a named testbed of two network namespaces joined by a veth pair.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: scripts/veth.sh up [--name NAME] [--queues N] [--mtu N] [--force]
       scripts/veth.sh down [--name NAME]
       scripts/veth.sh status [--name NAME]
       scripts/veth.sh exec [--name NAME] a|b COMMAND...

A testbed has two ends, a and b. Each is a network namespace NAME-a / NAME-b
holding one interface of the same name; the two interfaces are a veth pair.
Nothing outside the two namespaces is touched. Needs root.

  up       makes it: N receive and transmit queues at both ends, addresses,
           permanent neighbours, IPv6 without background packets, NAPI on (so
           that XDP may transmit), finished checksums, no segmentation offload
  down     takes it away completely; no testbed is no error
  status   prints addresses, queues, XDP programs and drop counters
  exec     runs a command at one end (bpffs stays visible, unlike with
           `ip netns exec`)

  --name NAME   default sluice; at most 13 characters
  --queues N    default 2; 1 to 64
  --mtu N       default 1500; 1280 to 9000
  --force       replace a testbed of that name

end  interface  IPv4           IPv6            Ethernet
a    NAME-a     10.203.0.1/24  fd00:203::1/64  02:00:00:00:00:0a
b    NAME-b     10.203.0.2/24  fd00:203::2/64  02:00:00:00:00:0b
EOF
}

fail() { echo "veth: $1" >&2; exit "${2:-1}"; }

number() {  # number FLAG VALUE MIN MAX
  if ! [[ $2 =~ ^[0-9]{1,5}$ ]] || ((10#$2 < $3 || 10#$2 > $4)); then
    fail "$1 is a number from $3 to $4, not '$2'" 2
  fi
}

there() { [ -e "/run/netns/$name-a" ] || [ -e "/run/netns/$name-b" ]; }

inside() {  # inside END COMMAND...
  nsenter --net="/run/netns/$name-$1" -- "${@:2}"
}

take_down() {
  local end
  for end in a b; do
    [ -e "/run/netns/$name-$end" ] || continue
    # The link first: a process still inside would keep it alive.
    ip -n "$name-$end" link del dev "$name-$end" 2>/dev/null || true
    ip netns del "$name-$end"
  done
}

# Neither router discovery nor duplicate address detection nor link-local
# addresses; what is left is one multicast report, sent as the link comes up.
silence_ipv6() {
  local end=$1 directory=/proc/sys/net/ipv6
  # shellcheck disable=SC2016 # $1 belongs to the inner shell.
  inside "$end" sh -c '
    cd "$1" || exit 0  # A kernel without IPv6 is quiet already.
    for conf in default "$2"; do
      echo 0 >conf/$conf/accept_ra
      echo 0 >conf/$conf/accept_dad
      echo 0 >conf/$conf/dad_transmits
      echo 0 >conf/$conf/router_solicitations
      echo 0 >conf/$conf/ndisc_notify
      echo 1 >conf/$conf/mldv1_unsolicited_report_interval
      echo 1 >conf/$conf/mldv2_unsolicited_report_interval
      echo 1 >conf/$conf/addr_gen_mode
    done' sh "$directory" "$name-$end"
}

set_up_end() {
  local end=$1 own=$2 peer=$3
  local device=$name-$end
  silence_ipv6 "$end"
  inside "$end" ethtool -K "$device" gro on tx off tso off gso off \
    tx-udp-segmentation off txvlan off rxvlan off >/dev/null
  ip -n "$device" link set dev lo up
  ip -n "$device" address add "10.203.0.$own/24" dev "$device"
  ip -n "$device" address add "fd00:203::$own/64" dev "$device" nodad
  ip -n "$device" link set dev "$device" up
  ip -n "$device" neigh replace "10.203.0.$peer" dev "$device" \
    lladdr "02:00:00:00:00:0${ends[$peer]}" nud permanent
  ip -n "$device" neigh replace "fd00:203::$peer" dev "$device" \
    lladdr "02:00:00:00:00:0${ends[$peer]}" nud permanent
}

up() {
  if there; then
    [ "$force" = yes ] ||
      fail "testbed '$name' is already up; take it down or use --force"
    take_down
  fi
  trap 'trap - EXIT; take_down; echo "veth: nothing is left of it" >&2' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  ip netns add "$name-a"
  ip netns add "$name-b"
  ip -n "$name-a" link add "$name-a" mtu "$mtu" address 02:00:00:00:00:0a \
    numrxqueues "$queues" numtxqueues "$queues" type veth \
    peer name "$name-b" mtu "$mtu" address 02:00:00:00:00:0b \
    numrxqueues "$queues" numtxqueues "$queues" netns "$name-b"
  set_up_end a 1 2
  set_up_end b 2 1
  wait_for_link
  trap - EXIT
  echo "testbed '$name' is up: $name-a 10.203.0.1 fd00:203::1," \
    "$name-b 10.203.0.2 fd00:203::2, $queues queue(s) each way"
}

wait_for_link() {
  local tries=100
  while ((tries-- > 0)); do
    ip -n "$name-a" -br link show dev "$name-a" | grep -q ' UP ' && return
    sleep 0.02
  done
  fail "the link of '$name' did not come up"
}

status() {
  there || { echo "no testbed '$name'"; exit 1; }
  local end
  for end in a b; do
    echo "end $end:"
    ip -n "$name-$end" -br address show dev "$name-$end"
    ip -n "$name-$end" -s link show dev "$name-$end"
    inside "$end" ethtool -l "$name-$end" |
      awk '/Current/ {now = 1} now && /^(RX|TX):/ {print "    queues", $0}'
    inside "$end" ethtool -S "$name-$end" 2>/dev/null |
      awk '/drop|err/ && $2 + 0 > 0 {print "    counted", $1, $2; found = 1}
           END {if (!found) print "    no drops counted by ethtool -S"}'
  done
}

run_inside() {
  [ $# -ge 2 ] || fail "exec needs an end (a or b) and a command; see --help" 2
  case $1 in a | b) ;; *) fail "an end is a or b, not '$1'" 2 ;; esac
  there || fail "no testbed '$name'; make one with: veth.sh up --name $name"
  local end=$1
  shift
  exec nsenter --net="/run/netns/$name-$end" -- "$@"
}

declare -A ends=([1]=a [2]=b)
name=sluice queues=2 mtu=1500 force=no
command=${1:-}
case $command in
  up | down | status | exec) shift ;;
  -h | --help) usage; exit 0 ;;
  '') usage >&2; exit 2 ;;
  *) fail "unknown command '$command'; see --help" 2 ;;
esac
while [ $# -gt 0 ]; do
  case $1 in
    --name | --queues | --mtu)
      [ $# -ge 2 ] || fail "$1 needs a value" 2
      [[ $command = up || $1 = --name ]] || fail "$1 belongs to up" 2
      declare "${1#--}=$2"
      shift 2
      ;;
    --force)
      [ "$command" = up ] || fail "--force belongs to up" 2
      force=yes
      shift
      ;;
    -h | --help) usage; exit 0 ;;
    -*) fail "unknown argument '$1'; see --help" 2 ;;
    *)
      [ "$command" = exec ] || fail "unknown argument '$1'; see --help" 2
      break
      ;;
  esac
done
[[ $name =~ ^[A-Za-z][A-Za-z0-9_-]{0,12}$ ]] ||
  fail "a name is a letter, then up to 12 letters, digits, _ or -, not '$name'" 2
number --queues "$queues" 1 64
number --mtu "$mtu" 1280 9000
[ "$(id -u)" -eq 0 ] || fail "needs root, for network namespaces; try sudo"
for tool in ip ethtool nsenter; do
  command -v "$tool" >/dev/null || fail "$tool is missing; run scripts/setup.sh"
done

case $command in
  up) up ;;
  down) take_down ;;
  status) status ;;
  exec) run_inside "$@" ;;
esac
