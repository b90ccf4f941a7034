// SPDX-License-Identifier: Apache-2.0
// Expressions: what is accepted, libpcap accepts too, and both say the same of
// a packet. The input is a line, then the packet.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sluice/rules.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pcap_filter.hpp"

namespace {

using sluice::testing::PcapFilter;

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
    libpcap_ = std::make_unique<PcapFilter>(without_all(expression()));
    if (!libpcap_->valid()) differ(expression(), libpcap_->error().c_str());
  }

  void compare(std::span<const std::byte> packet) const {
    if (!libpcap_) return;
    const bool ours = evaluate(rules_[0].match, packet) == sluice::Truth::yes;
    if (ours != libpcap_->matches(packet)) {
      differ(expression(),
             ours ? "only Sluice matches" : "only libpcap matches");
    }
  }

 private:
  [[nodiscard]] const std::string& expression() const {
    return rules_[0].expression;
  }
  sluice::Rules rules_;
  std::unique_ptr<const PcapFilter> libpcap_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::uint8_t* const end = std::find(data, data + size, '\n');
  // A vector of just that size: ASan sees one byte too many.
  const auto rest =
      std::as_bytes(std::span(std::min(end + 1, data + size), data + size));
  const std::vector<std::byte> packet(rest.begin(), rest.end());
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
