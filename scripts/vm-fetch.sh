#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# vm-fetch.sh: QEMU and kernels for scripts/vm.sh, out of Debian packages.
set -euo pipefail

usage() {
  cat <<'EOT'
usage: scripts/vm-fetch.sh [--cache DIR] [KERNEL...]

Unpacks QEMU, busybox and Debian kernels of these series (6.1, 6.18; newest)
into a cache, and prints where, a line each: QEMU first. What is there already
is not fetched again. Nothing else on this machine changes: packages come from
the archive that its apt uses, by an apt with sources, lists and a state of its
own. Debian 12 and later, amd64.

  --cache DIR  default $SLUICE_VM_CACHE, else ~/.cache/sluice-vm; delete it
               to fetch newer ones

exit code: 77 packages cannot be fetched, 125 they do not contain what they
should, 2 usage
EOT
}

fail() { echo "vm-fetch: $1" >&2; exit "${2:-125}"; }

# apt_in FOLDER TOOL ARGUMENT...: apt with nothing of the host's but how to
# reach its archive (proxies and the like).
apt_in() {
  "$2" -q -c "$1/apt.conf" "${@:3}"
}

# make_apt FOLDER SUITE...: an apt that knows these suites.
make_apt() {
  local root=$1 suite
  mkdir -p "$root"/{none,state,lists/partial,cache/archives/partial}
  # What this machine has is not fetched: programs use its libraries.
  cp /var/lib/dpkg/status "$root/state/status"
  for suite in "${@:2}"; do
    echo "deb [signed-by=$keyring] $archive $suite main"
  done >"$root/sources.list"
  cat >"$root/apt.conf" <<EOT
Dir::Etc::sourcelist "$root/sources.list";
Dir::Etc::sourceparts "$root/none";
Dir::State "$root/state";
Dir::State::Lists "$root/lists";
Dir::State::status "$root/state/status";
Dir::Cache "$root/cache";
Debug::NoLocking "true";
Acquire::Languages "none";
Acquire::Retries "2";
APT::Sandbox::User "root";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
EOT
  quietly "the archive's lists" apt_in "$root" apt-get \
    -o APT::Update::Error-Mode=any update
}

# quietly WHAT COMMAND...: its output is for failures.
quietly() {
  local output
  output=$("${@:2}" 2>&1 </dev/null) || {
    tail -n 5 <<<"$output" >&2
    fail "$1 cannot be fetched: no network, or no such archive" 77
  }
}

find_archive() {
  local tool
  for tool in apt-get apt-cache dpkg-deb; do
    command -v "$tool" >/dev/null ||
      fail "packages cannot be fetched: there is no $tool" 77
  done
  [ -f "$keyring" ] ||
    fail "packages cannot be fetched: install debian-archive-keyring" 77
  # shellcheck source=/dev/null
  release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  # shellcheck disable=SC2016 # $(REPO_URI) is for apt.
  archive=$(apt-get indextargets --format '$(REPO_URI)' "Release: $release" \
    "Component: main" "Created-By: Packages" | head -n 1)
  [ -n "$archive" ] ||
    fail "packages cannot be fetched: apt has no source for '$release'" 77
}

fetch_qemu() {
  local root=$work/qemu package
  find_archive
  make_apt "$root" "$release" "$release-backports"
  quietly QEMU apt_in "$root" apt-get -y --download-only \
    --no-install-recommends -t "$release-backports" --reinstall \
    install qemu-system-x86 busybox-static xz-utils zstd
  for package in "$root"/cache/archives/*.deb; do
    dpkg-deb -x "$package" "$root/files"
  done
  cp "$(find "$root/files" -type f -path '*bin/busybox')" "$root/files/busybox"
  [ -x "$root/files/usr/bin/qemu-system-x86_64" ] ||
    fail "no qemu-system-x86_64 in Debian's package"
  mv "$root/files" "$cache/qemu"
}

# The newest kernel package of a series; of all, for "newest".
kernel_package() {
  local series=$2
  [ "$series" != newest ] || series=
  apt_in "$1" apt-cache pkgnames linux-image- |
    grep -E '^linux-image-[0-9.-]+(\+deb[0-9.u]+)?-amd64$' | sort -V |
    awk -v start="linux-image-$series" 'index($0, start) == 1 &&
      (start ~ /-$/ || substr($0, length(start) + 1) ~ /^[.+-]/)' | tail -n 1
}

# The package, or those that it was split into (since Linux 7.1 or so).
parts_of() {
  apt_in "$1" apt-cache depends "$2" | awk -v whole="$2" '
    /Depends: linux-(binary|modules)-/ {print $2; parts++}
    END {if (!parts) print whole}'
}

# Of a kernel: network drivers and qdiscs that tests use, and what those are made
# of. A cache that was made for another list is not whole.
parts=('vmlinuz*' 'kernel/drivers/net/*.ko*' 'kernel/net/sched/*.ko*'
  kernel/net/core kernel/net/{8021q,802,llc,tls} kernel/drivers/virtio
  kernel/drivers/dca kernel/drivers/i2c/algos
  kernel/drivers/net/{bonding,ethernet/intel/igb{,vf}})

# unpack VMLINUZ TO: the kernel in it, which QEMU starts as well, so that emulated
# CPUs need not unpack it; the file as it is, where that is not understood.
unpack() {
  local start offset
  for start in '\xfd7zXZ\x00 xz' '\x28\xb5\x2f\xfd zstd'; do
    offset=$(LC_ALL=C grep -obUaPm 1 "${start%% *}" "$1" | head -n 1 |
      cut -d: -f1) || continue
    tail -c "+$((offset + 1))" "$1" |
      "$cache/qemu/usr/bin/${start#* }" -dc >"$2" 2>/dev/null || true
    [ "$(head -c 4 "$2" | tr -d '\0')" != $'\x7fELF' ] || return 0
  done
  cp "$1" "$2"
}

is_whole() {
  [ -s "$1/kernel" ] && [ "$(cat "$1/parts" 2>/dev/null)" = "${parts[*]}" ]
}

fetch_kernel() {
  local root=$work/kernel package part
  find_archive
  [ -d "$root" ] || make_apt "$root" bookworm bookworm-backports trixie \
    trixie-backports
  package=$(kernel_package "$root" "$1")
  [ -n "$package" ] || fail "Debian has no kernel $1" 77
  mkdir -p "$root/new" "$root/files" "$root/keep/modules"
  for part in $(parts_of "$root" "$package"); do
    (cd "$root/new" && quietly "$part" apt_in "$root" apt-get download "$part")
  done
  for part in "$root"/new/*.deb; do
    dpkg-deb --fsys-tarfile "$part" |
      tar -x -C "$root/files" --no-anchored --wildcards \
        --no-wildcards-match-slash "${parts[@]}" 2>/dev/null || true
  done
  find "$root/files" -name '*.ko*' -exec mv -t "$root/keep/modules" {} +
  "$cache/qemu/busybox" unxz "$root"/keep/modules/*.xz 2>/dev/null || true
  unpack "$(find "$root/files" -name 'vmlinuz*' -type f)" "$root/keep/kernel"
  for part in kernel modules/{igb,igbvf,virtio_net,veth,bonding,8021q}.ko; do
    [ -s "$root/keep/$part" ] || fail "there is no $part in $package"
  done
  echo "${parts[*]}" >"$root/keep/parts"
  rm -rf "${cache:?}/${package#linux-image-}"
  mv "$root/keep" "$cache/${package#linux-image-}"
  ln -sfn "${package#linux-image-}" "$cache/linux-$1"
  rm -rf "$root/new" "$root/files"
}

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
cache=${SLUICE_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice-vm}
kernels=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --cache)
      [ $# -ge 2 ] || fail "--cache needs a folder" 2
      cache=$2
      shift 2
      ;;
    newest | [0-9]*.[0-9]*) kernels+=("$1"); shift ;;
    *) fail "unknown argument '$1'; see --help" 2 ;;
  esac
done
[ "$(uname -m)" = x86_64 ] ||
  fail "kernels and NICs are those of amd64, and this is $(uname -m)" 77
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
exec 9>"$cache/lock"
flock 9
work=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

[ -d "$cache/qemu" ] || fetch_qemu
echo "$cache/qemu"
for kernel in ${kernels[@]+"${kernels[@]}"}; do
  is_whole "$cache/linux-$kernel" || fetch_kernel "$kernel"
  realpath "$cache/linux-$kernel"
done
