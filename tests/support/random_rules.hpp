// SPDX-License-Identifier: Apache-2.0
// RandomExpression: any expression of the language, in the words of a rule and
// in those of libpcap, which knows no sets. It can be made smaller while it
// still shows what it shows.
#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "dice.hpp"
#include "random_packet.hpp"

namespace sluice::testing {

/// What rules that name sets need in front.
inline constexpr const char* kRandomSets =
    "define hosts = { 192.0.2.1, 198.51.100.0/24 }\n"
    "define mixed = { 10.0.0.0/8, 2001:db8::/33, fe80::2, 192.0.2.128/25 }\n"
    "define six = { 2001:db8:8000::/34, fe80::/10, 2001:db8::1 }\n"
    "define one = { 2001:db8::1 }\n"
    "define web = { 80, 8080 }\n"
    "define low = { 0, 1-53 }\n";

struct RandomExpression {
  enum class Kind { leaf, negation, conjunction, disjunction };
  Kind kind = Kind::leaf;
  std::string rule;  ///< Of a leaf.
  std::string pcap;
  bool brackets = false;  ///< Also where there is no need of them.
  std::vector<RandomExpression> operands;

  /// With `pcap`, in the words of libpcap.
  [[nodiscard]] std::string text(bool in_pcap) const {
    if (kind == Kind::leaf) return in_pcap ? pcap : rule;
    if (kind == Kind::negation) {
      return (brackets ? "! " : "not ") + operands[0].inner(in_pcap);
    }
    const bool all = kind == Kind::conjunction;
    std::string text = operands[0].operands.size() > 1 && !operands[0].brackets
                           ? operands[0].text(in_pcap)
                           : operands[0].inner(in_pcap);
    for (std::size_t i = 1; i < operands.size(); ++i) {
      text += brackets ? (all ? " && " : " || ") : (all ? " and " : " or ");
      text += operands[i].inner(in_pcap);
    }
    return text;
  }

  /// Every expression that is this one with one thing less.
  [[nodiscard]] std::vector<RandomExpression> smaller() const {
    std::vector<RandomExpression> less = operands;
    for (std::size_t i = 0; i < operands.size(); ++i) {
      if (operands.size() > 2) {
        less.push_back(*this);
        less.back().operands.erase(less.back().operands.begin() +
                                   static_cast<std::ptrdiff_t>(i));
      }
      for (auto& inner : operands[i].smaller()) {
        less.push_back(*this);
        less.back().operands[i] = std::move(inner);
      }
    }
    return less;
  }

 private:
  [[nodiscard]] std::string inner(bool in_pcap) const {
    if (operands.size() > 1) return "(" + text(in_pcap) + ")";
    return text(in_pcap);
  }
};

/// Draws expressions; the vocabulary is that of random_packet().
class RandomRules {
 public:
  explicit RandomRules(Dice& dice) : dice_(dice) {}

  /// Of any shape, at most `levels` deep. From two on, one in five looks behind
  /// VLAN tags.
  RandomExpression expression(std::size_t levels = 4) {
    if (levels < 2 || !dice_.one_in(5)) return part(levels);
    RandomExpression whole{
        RandomExpression::Kind::conjunction, {}, {}, false, {}};
    whole.brackets = dice_.one_in(4);
    if (dice_.one_in(3)) whole.operands.push_back(part(levels - 2));
    whole.operands.push_back(leaf(vlan()));
    if (dice_.one_in(3)) whole.operands.push_back(part(levels - 2));
    if (dice_.one_in(3)) whole.operands.push_back(leaf(vlan()));
    if (!dice_.one_in(4)) whole.operands.push_back(part(levels - 1));
    if (whole.operands.size() == 1) return whole.operands[0];
    if (dice_.one_in(9)) {
      whole.operands.resize(1);
      RandomExpression no{Kind::negation, {}, {}, false, {leaf(vlan())}};
      whole.operands.push_back(std::move(no));
    }
    return whole;
  }

  /// One question, spelled in one of its ways.
  RandomExpression primitive() { return leaf(words()); }

 private:
  using Words = std::pair<std::string, std::string>;  // Of rules, of libpcap.
  using Kind = RandomExpression::Kind;

  static RandomExpression leaf(Words words) {
    return {
        Kind::leaf, std::move(words.first), std::move(words.second), false, {}};
  }

  RandomExpression part(std::size_t levels) {
    if (levels == 0 || dice_.one_in(3)) return primitive();
    RandomExpression whole;
    whole.brackets = dice_.one_in(4);
    if (dice_.one_in(4)) {
      whole.kind = Kind::negation;
      whole.operands.push_back(part(levels - 1));
      return whole;
    }
    whole.kind = dice_.one_in(2) ? Kind::conjunction : Kind::disjunction;
    const std::size_t count = 2 + dice_.below(3);
    while (whole.operands.size() < count) {
      whole.operands.push_back(part(levels - 1));
    }
    return whole;
  }

  static Words same(std::string words) { return {words, words}; }

  Words words() {
    switch (dice_.below(9)) {
      case 0:
      case 1:
        return protocol();
      case 2:
      case 3:
        return address();
      case 4:
      case 5:
        return port();
      case 6:
        return byte();
      case 7:
        return set();
      default:
        return same(several());
    }
  }

  Words protocol() {
    constexpr std::array kWords = {
        "arp",  "rarp",  "ip",       "ip6",       "tcp",        "udp",
        "sctp", "icmp",  "icmp6",    "igmp",      "esp",        "ah",
        "pim",  "proto", "ip proto", "ip6 proto", "ether proto"};
    const std::string word = dice_.of(kWords);
    if (word == "ether proto") {
      constexpr std::array kTypes = {"0x0800", "34525",  "\\arp", "\\rarp",
                                     "0x88cc", "0xffff", "\\ip",  "\\ip6"};
      return same(word + " " + dice_.of(kTypes));
    }
    if (!word.ends_with("proto")) return same(word);
    return same(word + " " + std::to_string(dice_.of(kProtocols)));
  }

  std::string direction() {
    constexpr std::array kDirections = {"src ", "dst ", "", "src or dst ",
                                        "dst and src "};
    return dice_.of(kDirections);
  }

  Words address() {
    constexpr std::array kNets4 = {
        "192.0.2.0/24", "192.0.2.128/25",  "10.0.0.0/8",
        "0.0.0.0/0",    "198.51.100.2/32", "10.0.0.0 mask 255.128.0.0"};
    constexpr std::array kNets6 = {"2001:db8::/32",        "2001:db8::/33",
                                   "2001:db8:0:8000::/49", "::/0",
                                   "fe80::2/128",          "fe80::/64"};
    const bool ip6 = dice_.one_in(2);
    const bool net = dice_.one_in(2);
    std::string words;
    if (dice_.one_in(3)) {
      constexpr std::array kFamilies = {"ip ", "arp ", "rarp "};
      words = ip6 ? "ip6 " : dice_.of(kFamilies);
    }
    const std::string side = direction();
    words += side;
    if (net) {
      words += "net ";
    } else if (side.empty() || dice_.one_in(2)) {
      words += "host ";
    }
    if (net) return same(words + (ip6 ? dice_.of(kNets6) : dice_.of(kNets4)));
    return same(words + (ip6 ? dice_.of(kHosts6) : dice_.of(kHosts4)));
  }

  std::string transport() {
    constexpr std::array kTransports = {"tcp ", "udp ", "sctp ", "", ""};
    return dice_.of(kTransports);
  }

  Words port() {
    constexpr std::array kRanges = {"53-80", "80-53", "0-53", "54", "1-65535"};
    std::string words = transport() + direction();
    if (dice_.one_in(3)) return same(words + "portrange " + dice_.of(kRanges));
    words += "port " + std::to_string(dice_.of(kPorts));
    return same(words);
  }

  Words byte() {
    constexpr std::array kBytes = {
        "tcp[tcpflags]",  "tcp[13]",          "icmp[icmptype]",  "icmp[0]",
        "icmp[icmpcode]", "icmp6[icmp6type]", "icmp6[icmp6code]"};
    constexpr std::array kMasks = {"tcp-syn", "(tcp-syn|tcp-ack)", "3",
                                   "0x81",    "(1 | 2 & 3)",       "0"};
    constexpr std::array kNumbers = {"0",
                                     "2",
                                     "tcp-syn",
                                     "0x12",
                                     "8",
                                     "icmp6-neighborsolicit",
                                     "128",
                                     "icmp-unreach",
                                     "255",
                                     "300",
                                     "tcp-syn|tcp-ack"};
    constexpr std::array kComparisons = {" == ", " != ", "=",   " > ",
                                         " < ",  " >= ", " <= "};
    std::string left = dice_.of(kBytes);
    if (dice_.one_in(2)) left += std::string(" & ") + dice_.of(kMasks);
    if (dice_.one_in(4)) left = "(" + left + ")";
    return same(left + dice_.of(kComparisons) + dice_.of(kNumbers));
  }

  // `or` of the elements, on each side.
  static std::string spelled(const std::string& head, const std::string& side,
                             std::initializer_list<const char*> elements) {
    const auto one = [&](const std::string& direction) {
      std::string text;
      for (const char* element : elements) {
        text += (text.empty() ? "(" : " or ") + direction + head + element;
      }
      return text + ")";
    };
    if (side == "src " || side == "dst ") return one(side);
    return "(" + one("src ") + (side == "dst and src " ? " and " : " or ") +
           one("dst ") + ")";
  }

  Words set() {
    const std::string side = direction();
    switch (dice_.below(6)) {
      case 0:
        return {side + "host $hosts",
                spelled("net ", side, {"192.0.2.1", "198.51.100.0/24"})};
      case 1:
        return {side + "net $mixed", spelled("net ", side,
                                             {"10.0.0.0/8", "2001:db8::/33",
                                              "fe80::2", "192.0.2.128/25"})};
      case 2:
        return {side + "net $six",
                spelled("net ", side,
                        {"2001:db8:8000::/34", "fe80::/10", "2001:db8::1"})};
      case 3:
        return {side + "host $one", side + "host 2001:db8::1"};
      case 4:
        return {side + "port $web", spelled("port ", side, {"80", "8080"})};
      default:
        return {side + "portrange $low",
                spelled("portrange ", side, {"0", "1-53"})};
    }
  }

  // Values that share their qualifiers.
  std::string several() {
    constexpr std::array kTexts = {"(port 53 or 80)",
                                   "port (53 or 80)",
                                   "(tcp dst port 53 or not 80)",
                                   "(src host 192.0.2.1 or 10.1.2.3)",
                                   "(net 192.0.2.0/24 and not 192.0.2.128/25)",
                                   "(dst port 53 or ((arp) or 54))",
                                   "host (192.0.2.1 or fe80::2)",
                                   "port (53 and not (80 or 8080))",
                                   "(udp or portrange 53-54 or 80-80)"};
    return dice_.of(kTexts);
  }

  Words vlan() {
    if (dice_.one_in(2)) return same("vlan");
    return same("vlan " + std::to_string(dice_.of(kVlans)));
  }

  Dice& dice_;
};

}  // namespace sluice::testing
