// SPDX-License-Identifier: Apache-2.0
// An XDP program of somebody else.
#pragma once

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <sluice/sys.hpp>

namespace sluice::testing {

/// Attaches `somebody_elses`, which returns XDP_PASS; gone with the descriptor.
inline Fd attach_foreign(int ifindex) {
  const bpf_insn program[] = {
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 2 /* XDP_PASS */},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  bpf_attr load;
  std::memset(&load, 0, sizeof load);
  load.prog_type = BPF_PROG_TYPE_XDP;
  load.insns = reinterpret_cast<std::uint64_t>(program);
  load.insn_cnt = 2;
  load.license = reinterpret_cast<std::uint64_t>("GPL");
  std::strcpy(load.prog_name, "somebody_elses");
  const Fd loaded(
      static_cast<int>(::syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load)));
  bpf_attr link;
  std::memset(&link, 0, sizeof link);
  link.link_create.prog_fd = static_cast<std::uint32_t>(loaded.get());
  link.link_create.target_ifindex = static_cast<std::uint32_t>(ifindex);
  link.link_create.attach_type = BPF_XDP;
  return Fd(static_cast<int>(
      ::syscall(SYS_bpf, BPF_LINK_CREATE, &link, sizeof link)));
}

}  // namespace sluice::testing
