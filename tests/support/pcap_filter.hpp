// SPDX-License-Identifier: Apache-2.0
// PcapFilter: what libpcap makes of an expression on Ethernet.
#pragma once

#include <pcap/pcap.h>

#include <cstddef>
#include <span>
#include <string>

namespace sluice::testing {

class PcapFilter {
 public:
  explicit PcapFilter(const std::string& expression, bool optimised = false) {
    pcap_t* dead = pcap_open_dead(DLT_EN10MB, 65535);
    valid_ = pcap_compile(dead, &program_, expression.c_str(),
                          optimised ? 1 : 0, PCAP_NETMASK_UNKNOWN) == 0;
    if (!valid_) error_ = pcap_geterr(dead);
    pcap_close(dead);
  }
  PcapFilter(const PcapFilter&) = delete;
  PcapFilter& operator=(const PcapFilter&) = delete;
  ~PcapFilter() {
    if (valid_) pcap_freecode(&program_);
  }

  [[nodiscard]] bool valid() const { return valid_; }
  /// Only the optimiser sees that.
  [[nodiscard]] bool rejects_all() const {
    return error_ == "expression rejects all packets";
  }
  [[nodiscard]] const std::string& error() const { return error_; }
  /// REQUIRES: valid().
  [[nodiscard]] bool matches(std::span<const std::byte> packet) const {
    pcap_pkthdr header{};
    header.caplen = header.len = static_cast<bpf_u_int32>(packet.size());
    return pcap_offline_filter(
               &program_, &header,
               reinterpret_cast<const u_char*>(packet.data())) != 0;
  }

 private:
  bpf_program program_{};
  std::string error_;
  bool valid_ = false;
};

}  // namespace sluice::testing
