#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# setup.sh: installs the Debian packages that Sluice is built and tested with.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: scripts/setup.sh [--check|--list]

Installs what is missing of the Debian 12 packages that Sluice needs; says
what and why first. Quiet when nothing is missing. Uses sudo unless root.
On another system it prints the names and stops; once they are installed by
hand, SLUICE_SKIP_SETUP=1 makes this script, and those that call it, go on.

  --check   only say what is missing; exit 1 if something is
  --list    print every package with the reason, install nothing
EOF
}

# The one list: package, then what it is for.
packages() {
  cat <<'EOF'
g++                  compiler of the release build
cmake                build system, 3.25 or newer
ninja-build          runs the build
pkg-config           finds libbpf, libxdp and liburing
clang-19             debug, sanitizer and second release build; BPF compiler
libclang-rt-19-dev   run-time libraries of the sanitizers
llvm-19              coverage.sh counts lines; symbols in sanitizers' stacks
clang-format-19      the formatting the style test holds
clang-tidy-19        use after move and function length, as errors
bpftool              turns a BPF object into the embedded skeleton
linux-libc-dev       kernel headers: AF_XDP, BPF, netlink
libbpf-dev           loads and links the XDP program
libxdp-dev           the XDP dispatcher, beside other programs
xdp-tools            xdp-filter and xdpdump, which run beside us in tests
libelf-dev           libbpf reads BPF objects with it
zlib1g-dev           libbpf reads compressed sections with it
liburing-dev         each core's io_uring
libpcap-dev          captures, and the tests' reference of the filter language
libfmt-dev           printing of the command line
libcli11-dev         flags of the command line
nlohmann-json3-dev   --json
libgtest-dev         unit, BPF and veth tests
libgmock-dev         matchers of the tests
libbenchmark-dev     bench/ring
valgrind             callgrind counts instructions for bench/ring
strace               a test counts the poller's system calls
iproute2             namespaces and veth pairs
ethtool              offloads and drop counters of veth
iputils-ping         quickstart and tests ping through a handler
procps               looks for processes left behind
util-linux           nsenter, unshare, dmesg
python3              style tests and the report of quickstart
git                  the style tests read the list of files
EOF
}

os_release=${SLUICE_OS_RELEASE:-/etc/os-release}  # Another file in tests.

is_debian() {
  command -v dpkg-query >/dev/null &&
    grep -qxE 'ID="?debian"?' "$os_release" 2>/dev/null
}

# Names of the packages that are not installed, one per line.
missing() {
  local names
  names=$(packages | cut -d' ' -f1)
  # shellcheck disable=SC2086 # Names hold no blanks.
  { dpkg-query -W -f='${db:Status-Status} ${Package}\n' $names 2>/dev/null ||
    true; } | sed -n 's/^installed //p' | sort |
    comm -13 - <(sort <<<"$names")
}

install_missing() {
  local names=$1 as_root=()
  echo "setup: these packages are missing and will be installed:"
  packages | grep -E "^($(paste -sd'|' <<<"${names//+/\\+}")) " |
    sed 's/^/  /'
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "setup: not root and no sudo; run this as root:" >&2
      echo "  apt-get install --no-install-recommends ${names//$'\n'/ }" >&2
      exit 1
    fi
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -qq
  # shellcheck disable=SC2086
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends $names
  echo "setup: done"
}

mode=install
case ${1:-} in
  '') ;;
  -h | --help) usage; exit 0 ;;
  --check) mode=check ;;
  --list) packages; exit 0 ;;
  *) echo "setup: unknown argument '$1'; see --help" >&2; exit 2 ;;
esac
[ $# -le 1 ] || { echo "setup: one argument at most; see --help" >&2; exit 2; }

[ -z "${SLUICE_SKIP_SETUP:-}" ] || exit 0
if ! is_debian; then
  {
    echo "setup: this is not Debian, so nothing is installed. Needed, by the"
    echo "names of Debian 12:"
    packages
    echo "setup: when they are installed, set SLUICE_SKIP_SETUP=1"
  } >&2
  exit 1
fi

names=$(missing)
[ -n "$names" ] || exit 0
if [ "$mode" = check ]; then
  echo "setup: missing packages: ${names//$'\n'/ }" >&2
  echo "setup: scripts/setup.sh installs them" >&2
  exit 1
fi
install_missing "$names"
