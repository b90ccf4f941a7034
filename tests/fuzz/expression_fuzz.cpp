// SPDX-License-Identifier: Apache-2.0
// Expressions: what is accepted, libpcap accepts too, and both say the same of
// a packet. The input is a line, then the packet.
#include <pcap/pcap.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sluice/rules.hpp>
#include <span>
#include <string>
#include <utility>
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

// One expression, by both.
class Judges {
 public:
  // What Sluice refuses matches nothing, and is not compared.
  explicit Judges(const std::string& line) {
    const std::vector<std::string> lines = {line};
    auto rules = sluice::Rules::steer(lines);
    if (!rules) {
      if (rules.error().message().empty()) std::abort();
      return;
    }
    rules_ = std::move(*rules);
    static pcap_t* const dead = pcap_open_dead(DLT_EN10MB, 65535);
    const std::string text = without_all(expression());
    compiled_ = pcap_compile(dead, &program_, text.c_str(), 1,
                             PCAP_NETMASK_UNKNOWN) == 0;
    if (compiled_) return;
    const char* why = pcap_geterr(dead);
    if (std::strcmp(why, "expression rejects all packets") != 0) {
      differ(expression(), why);
    }
  }
  Judges(const Judges&) = delete;
  Judges& operator=(const Judges&) = delete;
  ~Judges() {
    if (compiled_) pcap_freecode(&program_);
  }

  void compare(std::span<const std::uint8_t> packet) const {
    if (rules_.size() == 0) return;
    const bool ours = rules_.decide(std::as_bytes(packet)).rule.has_value();
    pcap_pkthdr header{};
    header.caplen = header.len = static_cast<bpf_u_int32>(packet.size());
    const bool theirs = compiled_ && pcap_offline_filter(&program_, &header,
                                                         packet.data()) != 0;
    if (ours != theirs) {
      differ(expression(),
             ours ? "only Sluice matches" : "only libpcap matches");
    }
  }

 private:
  [[nodiscard]] const std::string& expression() const {
    return rules_[0].expression;
  }
  sluice::Rules rules_;
  bpf_program program_{};
  bool compiled_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::uint8_t* const end = std::find(data, data + size, '\n');
  // A vector of just that size: ASan sees one byte too many.
  const std::vector<std::uint8_t> packet(std::min(end + 1, data + size),
                                         data + size);
  Judges(std::string(data, end)).compare(packet);
  // Whatever becomes of the line, the packet meets each kind of term.
  static const std::array<Judges, 8> always = {Judges("arp"),
                                               Judges("udp"),
                                               Judges("tcp"),
                                               Judges("icmp"),
                                               Judges("icmp6"),
                                               Judges("dst port 53"),
                                               Judges("dst host 10.0.0.2"),
                                               Judges("dst host 2001:db8::2")};
  for (const Judges& each : always) each.compare(packet);
  return 0;
}
