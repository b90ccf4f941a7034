// SPDX-License-Identifier: Apache-2.0
// Expressions: what is accepted, libpcap accepts too, and both say the same of
// a packet. The input is a line, then the packet.
#include <pcap/pcap.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sluice/rules.hpp>
#include <span>
#include <string>
#include <vector>

namespace {

[[noreturn]] void differ(const std::string& expression, const char* how) {
  std::fprintf(stderr, "'%s': %s\n", expression.c_str(), how);
  std::abort();
}

// "all" is a word of ours; libpcap's is to say nothing.
std::string without_all(const std::string& expression) {
  std::string text;
  for (std::size_t at = 0; at < expression.size();) {
    const std::size_t end =
        std::min(expression.find(" and ", at), expression.size());
    const std::string term = expression.substr(at, end - at);
    if (term != "all") text += (text.empty() ? "" : " and ") + term;
    at = end + 5;
  }
  return text;
}

bool libpcap_matches(const std::string& expression,
                     std::span<const std::uint8_t> packet) {
  static pcap_t* const dead = pcap_open_dead(DLT_EN10MB, 65535);
  const std::string text = without_all(expression);
  bpf_program program{};
  if (pcap_compile(dead, &program, text.c_str(), 1, PCAP_NETMASK_UNKNOWN) !=
      0) {
    const char* why = pcap_geterr(dead);
    if (std::strcmp(why, "expression rejects all packets") == 0) return false;
    differ(expression, why);
  }
  pcap_pkthdr header{};
  header.caplen = header.len = static_cast<bpf_u_int32>(packet.size());
  const bool matches =
      pcap_offline_filter(&program, &header, packet.data()) != 0;
  pcap_freecode(&program);
  return matches;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::uint8_t* const end = std::find(data, data + size, '\n');
  const std::vector<std::string> line = {std::string(data, end)};
  const auto rules = sluice::Rules::steer(line);
  if (!rules) {
    if (rules.error().message().empty()) std::abort();
    return 0;
  }
  // A vector of just that size: ASan sees one byte too many.
  const std::vector<std::uint8_t> packet(std::min(end + 1, data + size),
                                         data + size);
  const std::string& expression = (*rules)[0].expression;
  const bool ours =
      rules->decide(std::as_bytes(std::span(packet))).rule.has_value();
  if (ours != libpcap_matches(expression, packet)) {
    differ(expression, ours ? "only Sluice matches" : "only libpcap matches");
  }
  return 0;
}
