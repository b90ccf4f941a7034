#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# vm.sh: runs a program on another kernel, with NICs that do zero-copy.
set -euo pipefail

usage() {
  cat <<'EOT'
usage: scripts/vm.sh [OPTION...] PROGRAM [ARGUMENT...]

Runs a program as root in a virtual machine that lives as long as it does: QEMU
without KVM, a Debian kernel (scripts/vm-fetch.sh), busybox, the program with
its shared libraries at the paths that they have here, and NICs wired back to
back: eth0 to eth1, eth2 to eth3. Its output and its exit code are passed on.
Nothing on this machine changes but the cache.

  --nic NIC         a cable between two of these, up to four times (igb):
    igb             two queues; zero-copy on Linux 6.18, not on 6.1
    virtio          virtio-net, one queue pair; zero-copy on Linux 6.18
    virtio-mq       two more queue pairs than CPUs; needs root here, for taps
    virtio-plain    no DMA of the device's own: zero-copy is refused (EINVAL)
    virtio-no-reset no reset of a queue: zero-copy is refused (ENOENT)
    none            no cable
  --kernel SERIES   6.1, 6.12, 6.18 ...: the newest that Debian has of these;
                    or newest (default 6.18)
  --add PATH        a file or a folder that is needed, too; repeatable. A name
                    without a slash is found by PATH
  --module NAME     loaded before the program starts; repeatable
  --append WORDS    for the kernel's command line
  --qemu WORDS      for QEMU's
  --cpus N          default 2
  --memory MB       default 1024
  --timeout SECONDS for all of it (default 120)
  --log             the kernel's log, too, on standard error

PROGRAM is a file here, or a command of the machine, as sh. It starts where
vm.sh does, with bpffs and cgroup2 mounted, all NICs up and IPv6 off on them;
$SLUICE_VM_NICS, a word for each cable, and $SLUICE_VM_KERNEL say which they
are. What Linux sends waits in a pfifo_fast: the usual fq_codel drops what has
waited for long.
exit code: the program's; 124 timed out, 125 the machine did not work, 77 QEMU
or the kernel cannot be fetched (or taps made), 2 usage
EOT
}

fail() { echo "vm: $1" >&2; exit "${2:-125}"; }

# put FILE...: into the machine, where it is here, with its shared libraries.
put() {
  local file needed
  for file in "$@"; do
    mkdir -p "$root$(dirname "$file")"
    [ -e "$root$file" ] || cp -L "$file" "$root$file"
    ldd "$file" 2>/dev/null | grep -oE '/[^ ]+' | while read -r needed; do
      [ -e "$root$needed" ] || {
        mkdir -p "$root$(dirname "$needed")"
        cp -L "$needed" "$root$needed"
      }
    done || true
  done
}

# put_any PATH: a file, a folder's files, or a program found by PATH.
put_any() {
  local path=$1 file
  [[ $path = */* ]] || path=$(command -v -- "$path") || fail "no '$1' here" 2
  [ -e "$path" ] || fail "there is no '$path'" 2
  path=$(realpath -s "$path")
  find -L "$path" -type f | while read -r file; do put "$file"; done
}

# put_module NAME: behind those that it needs. What is built in is no file.
put_module() {
  local name=${1//-/_} file needed
  file=$(find "$linux/modules" -name "$name.ko" -o -name "${name//_/-}.ko")
  [ -n "$file" ] && ! grep -qx "$name" "$root/vm/modules" || return 0
  needed=$(tr '\0' '\n' <"$file" | sed -n 's/^depends=//p' | tr , ' ')
  for needed in $needed; do put_module "$needed"; done
  cp "$file" "$root/vm/$name.ko"
  echo "$name" >>"$root/vm/modules"
}

# What the machine does from its first process on.
write_init() {
  cat >"$root/init" <<'EOT'
#!/usr/bin/busybox sh
/usr/bin/busybox --install -s /usr/bin 2>/dev/null
export PATH=/usr/sbin:/usr/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts
mount -t tmpfs shm /dev/shm
mount -t devpts pts /dev/pts
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t debugfs debug /sys/kernel/debug 2>/dev/null
mount -t tracefs trace /sys/kernel/tracing 2>/dev/null
# fq_codel takes an emulated NIC that waited for its CPU to be congested.
echo pfifo_fast >/proc/sys/net/core/default_qdisc
while read -r module; do
  insmod "/vm/$module.ko" || echo "@VM no module $module"
done </vm/modules
ip link set lo up
for link in /sys/class/net/eth*; do
  [ -e "$link" ] || continue
  link=${link##*/}
  echo 1 >"/proc/sys/net/ipv6/conf/$link/disable_ipv6" 2>/dev/null
  ip link set "$link" up || echo "@VM $link does not come up"
done
ulimit -l unlimited
stty raw -echo </dev/ttyS1
cd "$(cat /vm/folder)"
sh /vm/command </dev/null >/dev/ttyS1 2>&1
echo "@VM exit $?"
poweroff -f
EOT
  chmod +x "$root/init"
}

# The root file system: what becomes the machine's memory.
build_root() {
  local path
  mkdir -p "$root"/{usr/bin,usr/sbin,usr/lib,usr/lib64,vm,proc,sys,dev} \
    "$root"/{tmp,run,root,etc,var/tmp} "$root$PWD"
  for path in bin sbin lib lib64; do ln -s "usr/$path" "$root/$path"; done
  # What is added comes first: busybox leaves alone what is there.
  for path in ${files[@]+"${files[@]}"}; do put_any "$path"; done
  cp "$qemu/busybox" "$root/usr/bin/busybox"
  : >"$root/vm/modules"
  for path in ${modules[@]+"${modules[@]}"}; do put_module "$path"; done
  echo "root:x:0:0:root:/root:/bin/sh" >"$root/etc/passwd"
  echo "root:x:0:" >"$root/etc/group"
  printf '%s\n' "$PWD" >"$root/vm/folder"
  printf 'export SLUICE_VM_NICS=%q SLUICE_VM_KERNEL=%q\nexec%s\n' "${nics[*]}" \
    "$kernel" "$(printf ' %q' "$@")" >"$root/vm/command"
  write_init
  (cd "$root" && find . | "$qemu/busybox" cpio -o -H newc 2>/dev/null) \
    >"$work/initramfs"
}

# model NIC: what QEMU calls it, and the drivers that it needs.
model() {
  local virtio=virtio-net-pci,disable-legacy=on
  case $1 in
    igb) device=igb modules+=(igb) && return ;;
    virtio) device=$virtio,iommu_platform=on ;;
    virtio-mq)
      device=$virtio,iommu_platform=on,mq=on,vectors=$((2 * queues_max + 2))
      ;;
    virtio-plain) device=$virtio ;;
    virtio-no-reset) device=$virtio,iommu_platform=on,queue_reset=off ;;
    *) fail "--nic is not '$1'; see --help" 2 ;;
  esac
  modules+=(virtio_pci virtio_net)
}

# A hub in QEMU for each cable; QEMU has several queues on taps only.
plug_cables() {
  local queues_max=$((cpus + 2)) i nic device cable taps=() others
  others=(${modules[@]+"${modules[@]}"}) modules=() # eth0 is a cable's.
  for ((i = 0; i < 2 * ${#nics[@]}; i++)); do
    nic=${nics[i / 2]}
    model "$nic"
    cable=hubport,id=net$i,hubid=$((i / 2))
    if [ "$nic" = virtio-mq ]; then
      cable=tap,id=net$i,ifname=vm$i,queues=$queues_max,script=no,downscript=no
      taps+=("$i")
    fi
    machine+=(-netdev "$cable"
      -device "pcie-root-port,id=slot$i,bus=pcie.0,chassis=$i,slot=$i"
      -device "$device,netdev=net$i,bus=slot$i,mac=52:54:00:00:00:0$i,romfile=")
  done
  modules+=(${others[@]+"${others[@]}"})
  [ "${#taps[@]}" -eq 0 ] || bridge_taps "${taps[@]}"
}

# bridge_taps NUMBER...: two and two, in a network namespace of QEMU's own.
bridge_taps() {
  local obstacle
  obstacle=$("$(dirname "${BASH_SOURCE[0]}")/why-no-netns.sh")
  [ -z "$obstacle" ] || fail "taps for virtio-mq cannot be made: $obstacle" 77
  # shellcheck disable=SC2016 # $1 and the like belong to the inner shell.
  within=(unshare --net bash -euc '
    for i in $1; do
      [ $((i % 2)) -eq 1 ] || ip link add "cable$i" type bridge mcast_snooping 0
      ip tuntap add "vm$i" mode tap multi_queue
      ip link set "vm$i" master "cable$((i / 2 * 2))" up
      echo 1 >"/proc/sys/net/ipv6/conf/vm$i/disable_ipv6"
    done
    for i in $1; do
      [ $((i % 2)) -eq 0 ] || continue
      echo 1 >"/proc/sys/net/ipv6/conf/cable$i/disable_ipv6"
      ip link set "cable$i" up
    done
    exec "${@:2}"' vm "$*")
}

# What protects a kernel from its users costs emulated CPUs a fifth of their
# time, and there are no such users. Grace periods need not be cheap.
fast="mitigations=off init_on_alloc=0 hardened_usercopy=off nosmap nosmep"
fast+=" randomize_kstack_offset=off audit=0 rcupdate.rcu_expedited=1"

# Ends with the machine; what it said last becomes the exit code.
boot() {
  local library=$qemu/usr/lib/x86_64-linux-gnu code=0
  LD_LIBRARY_PATH="$library:$qemu/lib/x86_64-linux-gnu" \
    QEMU_MODULE_DIR="$library/qemu" \
    setpriv --pdeathsig TERM timeout -k 5 "$timeout" \
    ${within[@]+"${within[@]}"} "$qemu/usr/bin/qemu-system-x86_64" \
    -L "$qemu/usr/share/qemu" -L "$qemu/usr/share/seabios" \
    -L /usr/share/qemu -L /usr/share/seabios \
    -M q35 -accel tcg,thread=multi -cpu max,la57=off -smp "$cpus" \
    -m "$memory" -nodefaults -display none -no-reboot \
    -kernel "$linux/kernel" -initrd "$work/initramfs" \
    -append "console=ttyS0 panic=-1 loglevel=4 net.ifnames=0 $fast $append" \
    -serial "file:$work/console" -serial stdio \
    ${machine[@]+"${machine[@]}"} </dev/null 2>"$work/errors" &
  running=$!
  wait "$running" || code=$?
  running=
  [ "$log" = no ] || cat "$work/console" >&2
  local said
  said=$(grep -a -o '@VM .*' "$work/console" | tr -d '\r' || true)
  grep -v '^@VM exit' <<<"$said" | grep . | sed 's/^@VM/vm:/' >&2 || true
  [ "$code" -ne 124 ] || fail "timed out after $timeout s" 124
  said=$(sed -n 's/^@VM exit \([0-9]*\)$/\1/p' <<<"$said" | tail -n 1)
  [ -z "$said" ] || exit "$said"
  cat "$work/errors" >&2
  # What went wrong first, else what was said last.
  [ "$log" = yes ] || grep -a -m 1 -A 50 -E 'BUG:|Oops' "$work/console" >&2 ||
    tail -n 25 "$work/console" >&2 || true
  fail "the machine ended without an exit code (QEMU's is $code)"
}

# shellcheck disable=SC2317 # It is called by traps.
end() {
  [ -z "$running" ] || { kill "$running" && wait "$running"; } 2>/dev/null ||
    true
  rm -rf "$work"
}

kernel=6.18 cpus=2 memory=1024 timeout=120 append='' log=no
nics=() files=() modules=() machine=() within=() running=''
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --log) log=yes; shift ;;
    --nic | --kernel | --cpus | --memory | --timeout | --append | --qemu | \
      --add | --module)
      [ $# -ge 2 ] || fail "$1 needs a value" 2
      case $1 in
        --nic) nics+=("$2") ;;
        --add) files+=("$2") ;;
        --module) modules+=("$2") ;;
        --qemu) read -ra words <<<"$2" && machine+=("${words[@]}") ;;
        *) declare "${1#--}=$2" ;;
      esac
      shift 2
      ;;
    --) shift; break ;;
    -*) fail "unknown argument '$1'; see --help" 2 ;;
    *) break ;;
  esac
done
[ $# -gt 0 ] || { usage >&2; exit 2; }
for number in cpus memory timeout; do
  [[ ${!number} =~ ^[0-9]{1,6}$ ]] ||
    fail "--$number is a number, not '${!number}'" 2
done
case ${nics[*]-} in
  '') nics=(igb) ;;
  none) nics=() ;;
esac
((${#nics[@]} <= 4)) || fail "--nic can be given four times at most" 2
if [ -f "$1" ]; then
  files+=("$1")
  set -- "$(realpath -s "$1")" "${@:2}"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/sluice-vm.XXXXXX")
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
root=$work/root
{ read -r qemu && read -r linux; } < <("$(dirname "${BASH_SOURCE[0]}")"/vm-fetch.sh "$kernel" ||
  echo "$?" >"$work/fetch") || true
[ ! -e "$work/fetch" ] || exit "$(cat "$work/fetch")"
plug_cables
build_root "$@"
boot
