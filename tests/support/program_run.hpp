// SPDX-License-Identifier: Apache-2.0
// after: what the loaded XDP program makes of a packet. Apart from ProgramTest,
// since <bpf/bpf.h> and <pcap/pcap.h> both define bpf_insn.
#pragma once

#include <bpf/bpf.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <sluice/program.hpp>
#include <sluice/sys.hpp>
#include <span>
#include <vector>

namespace sluice::testing {

/// The bytes that come out of `program`, metadata first. No queue has a socket.
inline std::vector<std::byte> after(const Program& program,
                                    std::span<const std::byte> packet) {
  const Fd fd(bpf_prog_get_fd_by_id(program.id()));
  std::vector<std::byte> out(packet.size() + 256);
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = packet.data();
  options.data_size_in = static_cast<__u32>(packet.size());
  options.data_out = out.data();
  options.data_size_out = static_cast<__u32>(out.size());
  EXPECT_EQ(bpf_prog_test_run_opts(fd.get(), &options), 0);
  out.resize(options.data_size_out);
  return out;
}

}  // namespace sluice::testing
