// SPDX-License-Identifier: Apache-2.0
// BPF programs of somebody else, as small as they can be.
#pragma once

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <sluice/sys.hpp>
#include <span>
#include <string>

namespace sluice::testing {

struct ForeignProgram {
  bpf_prog_type type;
  std::uint32_t hook;  // bpf_attach_type.
  std::string name;
  std::span<const bpf_insn> instructions;
};

/// Attached to the interface until the descriptor is closed; negative: refused.
inline Fd attach(const ForeignProgram& program, int ifindex) {
  bpf_attr load;
  std::memset(&load, 0, sizeof load);
  load.prog_type = program.type;
  load.insns = reinterpret_cast<std::uint64_t>(program.instructions.data());
  load.insn_cnt = static_cast<std::uint32_t>(program.instructions.size());
  load.license = reinterpret_cast<std::uint64_t>("GPL");
  program.name.copy(load.prog_name, sizeof load.prog_name - 1);
  const Fd loaded(
      static_cast<int>(::syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load)));
  bpf_attr link;
  std::memset(&link, 0, sizeof link);
  link.link_create.prog_fd = static_cast<std::uint32_t>(loaded.get());
  link.link_create.target_ifindex = static_cast<std::uint32_t>(ifindex);
  link.link_create.attach_type = program.hook;
  return Fd(static_cast<int>(
      ::syscall(SYS_bpf, BPF_LINK_CREATE, &link, sizeof link)));
}

inline bpf_insn set_register(std::uint8_t number, std::int32_t value) {
  bpf_insn instruction{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, value};
  instruction.dst_reg = number & 15U;
  return instruction;
}
inline constexpr bpf_insn kExit{BPF_JMP | BPF_EXIT, 0, 0, 0, 0};

/// An XDP program called `somebody_elses`, which passes everything.
inline Fd attach_foreign(int ifindex) {
  const bpf_insn program[] = {set_register(0, XDP_PASS), kExit};
  return attach({BPF_PROG_TYPE_XDP, BPF_XDP, "somebody_elses", program},
                ifindex);
}

/// What leaves by the interface gets a VLAN tag beside its bytes, as of a VLAN
/// device that leaves the tag to the hardware. Linux 6.6.
inline Fd attach_tagger(int ifindex, std::uint16_t protocol,
                        std::uint16_t control) {
  constexpr std::uint32_t kTcxEgress = 47;
  constexpr std::int32_t kTcxPass = 0;
  const bpf_insn program[] = {
      set_register(2, htons(protocol)), set_register(3, control),
      bpf_insn{BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_skb_vlan_push},
      set_register(0, kTcxPass), kExit};
  return attach({BPF_PROG_TYPE_SCHED_CLS, kTcxEgress, "tagger", program},
                ifindex);
}

}  // namespace sluice::testing
