// SPDX-License-Identifier: Apache-2.0
// What an expression means: libpcap is the judge of Rules::decide, and both are
// the judges of the XDP program, on random conjunctions and random packets.
//
// SLUICE_TEST_SEED=N repeats a run.
#include <pcap/pcap.h>

#include <array>
#include <cstdint>
#include <iostream>
#include <random>
#include <sluice/testing/frame.hpp>
#include <string>
#include <vector>

#include "program_test.hpp"

namespace {

using sluice::Action;
using sluice::Rules;
using sluice::testing::Frame;
using sluice::testing::Ipv4Fields;
using Bytes = std::vector<std::byte>;

// Few values, so that random rules and random packets meet.
constexpr std::array kHosts4 = {"192.0.2.1", "198.51.100.2"};
constexpr std::array kHosts6 = {"2001:db8::1", "fe80::2"};
constexpr std::array<std::uint16_t, 3> kPorts = {53, 80, 0};
constexpr std::array kTerms = {"arp",
                               "ip",
                               "ip6",
                               "udp",
                               "tcp",
                               "icmp",
                               "icmp6",
                               "dst host 192.0.2.1",
                               "dst host 198.51.100.2",
                               "dst host 2001:db8::1",
                               "dst host fe80::2",
                               "dst port 53",
                               "dst port 80",
                               "dst port 0"};

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  std::size_t below(std::size_t count) { return engine_() % count; }
  bool one_in(std::size_t count) { return below(count) == 0; }
  std::uint8_t byte() { return static_cast<std::uint8_t>(engine_()); }
  template <class T>
  const typename T::value_type& of(const T& values) {
    return values[below(values.size())];
  }

 private:
  std::mt19937_64 engine_;
};

// A compiled libpcap filter on Ethernet. Not `valid`: libpcap says that it can
// match nothing.
class PcapFilter {
 public:
  explicit PcapFilter(const std::string& expression) {
    pcap_t* dead = pcap_open_dead(DLT_EN10MB, 65535);
    valid_ = pcap_compile(dead, &program_, expression.c_str(), 1,
                          PCAP_NETMASK_UNKNOWN) == 0;
    if (!valid_) {
      EXPECT_STREQ(pcap_geterr(dead), "expression rejects all packets")
          << expression;
    }
    pcap_close(dead);
  }
  PcapFilter(const PcapFilter&) = delete;
  PcapFilter& operator=(const PcapFilter&) = delete;
  ~PcapFilter() {
    if (valid_) pcap_freecode(&program_);
  }
  [[nodiscard]] bool valid() const { return valid_; }
  [[nodiscard]] bool matches(const Bytes& packet) const {
    pcap_pkthdr header{};
    header.caplen = header.len = static_cast<bpf_u_int32>(packet.size());
    return pcap_offline_filter(
               &program_, &header,
               reinterpret_cast<const u_char*>(packet.data())) != 0;
  }

 private:
  bpf_program program_{};
  bool valid_ = false;
};

void put_transport(Frame& frame, Dice& dice) {
  const std::uint16_t port = dice.of(kPorts);
  switch (dice.below(6)) {
    case 0:
      frame.udp(4000, port);
      break;
    case 1:
      frame.tcp(4000, port);
      break;
    case 2:
      frame.sctp(4000, port);
      break;
    case 3:
      frame.icmp(8);
      break;
    case 4:
      frame.icmp6(128);
      break;
    default:
      frame.protocol(dice.byte());
      break;
  }
  frame.payload(dice.below(40));
}

void put_ipv4(Frame& frame, Dice& dice) {
  Ipv4Fields fields;
  if (dice.one_in(3)) {
    fields.option_words = static_cast<std::uint8_t>(dice.below(11));
  }
  if (dice.one_in(4)) {
    fields.more_fragments = dice.one_in(2);
    fields.fragment_offset = static_cast<std::uint16_t>(dice.below(3));
  }
  fields.dont_fragment = dice.one_in(2);
  frame.ipv4(dice.of(kHosts4), dice.of(kHosts4), fields);
  put_transport(frame, dice);
}

void put_ipv6(Frame& frame, Dice& dice) {
  constexpr std::array<std::uint8_t, 3> kExtensions = {0, 43, 60};
  frame.ipv6(dice.of(kHosts6), dice.of(kHosts6));
  if (dice.one_in(6)) frame.extension(dice.of(kExtensions));
  if (dice.one_in(3)) {
    frame.fragment6(static_cast<std::uint16_t>(dice.below(3)), dice.one_in(2));
  }
  if (dice.one_in(6)) frame.extension(dice.of(kExtensions));
  put_transport(frame, dice);
}

// One mistake on the way: cut off, bits changed where headers are, a protocol
// of the other family, a header length that cannot be.
void mutate(Bytes& bytes, Dice& dice) {
  constexpr std::array<std::uint8_t, 8> kProtocols = {0,  1,  6,  17,
                                                      44, 58, 60, 132};
  const auto set = [&](std::size_t at, std::uint8_t value) {
    if (at < bytes.size()) bytes[at] = std::byte{value};
  };
  switch (dice.below(6)) {
    case 0:
      bytes.resize(dice.below(bytes.size() + 1));
      break;
    case 1:
      set(dice.below(80), dice.byte());
      break;
    case 2:
      set(14, static_cast<std::uint8_t>(0x40 | dice.below(16)));
      break;
    case 3:
      set(dice.one_in(2) ? 23 : 20, dice.of(kProtocols));
      break;
    case 4:
      set(54, dice.of(kProtocols));
      break;
    default:
      bytes.resize(bytes.size() + dice.below(64));
      break;
  }
}

Bytes random_packet(Dice& dice) {
  Frame frame;
  frame.eth();
  if (dice.one_in(10)) frame.vlan(7, dice.one_in(3) ? 0x88a8 : 0x8100);
  switch (dice.below(12)) {
    case 0:
      frame.arp(1, dice.of(kHosts4), dice.of(kHosts4));
      break;
    case 1:
      frame.arp(2, dice.of(kHosts4), dice.of(kHosts4));
      break;
    case 2:
      frame.rarp(3, dice.of(kHosts4), dice.of(kHosts4));
      break;
    case 3:
      frame.ethertype(0x88cc).payload(dice.below(60));
      break;
    case 4:
    case 5:
    case 6:
    case 7:
      put_ipv4(frame, dice);
      break;
    default:
      put_ipv6(frame, dice);
      break;
  }
  Bytes bytes = frame.bytes();
  while (dice.one_in(2)) mutate(bytes, dice);
  return bytes;
}

std::string random_expression(Dice& dice) {
  std::string text = dice.of(kTerms);
  while (!dice.one_in(3)) {
    text += dice.one_in(4) ? " && " : " and ";
    text += dice.of(kTerms);
  }
  return text;
}

std::string hex(const Bytes& bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    text += "0123456789abcdef"[std::to_integer<int>(byte) >> 4];
    text += "0123456789abcdef"[std::to_integer<int>(byte) & 15];
  }
  return text;
}

std::uint64_t chosen_seed() {
  const char* given = std::getenv("SLUICE_TEST_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0)
                                              : std::random_device{}();
  std::cout << "SLUICE_TEST_SEED=" << seed << "\n";
  return seed;
}

std::vector<Bytes> random_packets(Dice& dice, std::size_t count) {
  std::vector<Bytes> packets;
  for (std::size_t i = 0; i < count; ++i) {
    packets.push_back(random_packet(dice));
  }
  return packets;
}

// All judges on one expression; how many packets matched. `program` may be
// null: nobody asks the kernel.
std::size_t judge(const std::string& expression,
                  const std::vector<Bytes>& packets, sluice::Program* program) {
  const PcapFilter filter(expression);
  const auto rules = Rules::parse("drop " + expression);
  if (!filter.valid()) {
    EXPECT_FALSE(rules) << expression;
    return 0;
  }
  if (!rules) {
    // libpcap's optimizer does not see every contradiction; ours must be one.
    for (const Bytes& packet : packets) {
      EXPECT_FALSE(filter.matches(packet)) << expression << "\n" << hex(packet);
    }
    return 0;
  }
  if (program != nullptr && !program->set_rules(*rules)) {
    ADD_FAILURE() << expression;
    return 0;
  }
  std::size_t matched = 0;
  for (const Bytes& packet : packets) {
    const bool match = filter.matches(packet);
    const Action expected = match ? Action::drop : Action::pass;
    matched += match;
    EXPECT_EQ(rules->decide(packet).action, expected)
        << "reference: " << expression << "\n"
        << hex(packet);
    if (program != nullptr && packet.size() >= sluice::testing::kRunOnMin) {
      const auto action = program->run_on(packet);
      EXPECT_TRUE(action && *action == expected)
          << "program: " << expression << "\n"
          << hex(packet);
    }
    if (::testing::Test::HasFailure()) break;
  }
  return matched;
}

// Every term by itself on the same packets: each must hold for some and fail
// for some, or the rest of the test says nothing.
void judge_terms(Dice& dice, sluice::Program* program) {
  const auto packets = random_packets(dice, 4000);
  for (const std::string term : kTerms) {
    const std::size_t matched = judge(term, packets, program);
    EXPECT_GT(matched, packets.size() / 100) << term;
    EXPECT_LT(matched, packets.size() / 2) << term;
  }
  EXPECT_EQ(judge("", packets, program), packets.size());
}

// Conjunctions, `count` of them that can match, each on packets of its own.
void judge_conjunctions(Dice& dice, std::size_t count, std::size_t packets,
                        sluice::Program* program) {
  std::size_t judged = 0;
  std::size_t met = 0;
  std::size_t contradictions = 0;
  while (judged < count && !::testing::Test::HasFailure()) {
    const std::string expression = random_expression(dice);
    const bool accepted = static_cast<bool>(Rules::parse("drop " + expression));
    const auto drawn = random_packets(dice, accepted ? packets : 100);
    met += judge(expression, drawn, program) > 0;
    ++(accepted ? judged : contradictions);
  }
  EXPECT_GT(met, count * 9 / 10);
  EXPECT_GT(contradictions, count / 10);
  std::cout << judged * packets << " pairs, " << contradictions
            << " contradictions\n";
}

TEST(MeaningTest, ReferenceMeansWhatLibpcapMeans) {
  Dice dice(chosen_seed());
  judge_terms(dice, nullptr);
  judge_conjunctions(dice, 400, 1000, nullptr);
}

using ProgramMeaningTest = sluice::testing::ProgramTest;

TEST_F(ProgramMeaningTest, ProgramMeansWhatLibpcapMeans) {
  Dice dice(chosen_seed());
  judge_terms(dice, &program());
  judge_conjunctions(dice, 200, 1000, &program());
}

// At every length: a fact that needs a byte more than there is, is not there.
TEST_F(ProgramMeaningTest, TruncationAtEveryLengthMeansTheSame) {
  const std::vector<Bytes> whole = {
      Frame().eth().arp(1, kHosts4[1], kHosts4[0]),
      Frame().eth().ipv4(kHosts4[1], kHosts4[0]).udp(4000, 53).payload(20),
      Frame()
          .eth()
          .ipv4(kHosts4[1], kHosts4[0], {.option_words = 10})
          .tcp(4000, 53),
      Frame().eth().ipv6(kHosts6[1], kHosts6[0]).tcp(4000, 53),
      Frame()
          .eth()
          .ipv6(kHosts6[1], kHosts6[0])
          .fragment6(0, true)
          .udp(4000, 53)};
  std::vector<Bytes> cut;
  for (const Bytes& packet : whole) {
    for (std::size_t size = 0; size <= packet.size(); ++size) {
      cut.emplace_back(packet.begin(),
                       packet.begin() + static_cast<std::ptrdiff_t>(size));
    }
  }
  for (const std::string term : kTerms) judge(term, cut, &program());
  judge("udp and dst port 53 and dst host 192.0.2.1", cut, &program());
  judge("tcp and dst port 53 and dst host 2001:db8::1", cut, &program());
}

// What surprises people, and is nevertheless what the words mean.
TEST(MeaningTest, KnownSurprisesAreKept) {
  const auto matches = [](const char* expression, const Bytes& packet) {
    const bool expected = PcapFilter(expression).matches(packet);
    EXPECT_EQ(Rules::parse(std::string("drop ") + expression)
                      ->decide(packet)
                      .action == Action::drop,
              expected);
    return expected;
  };
  const auto udp4 = [](Ipv4Fields fields) {
    return Frame()
        .eth()
        .ipv4("192.0.2.9", "192.0.2.1", fields)
        .udp(9, 53)
        .payload(8)
        .bytes();
  };
  const Bytes tagged =
      Frame().eth().vlan(7).ipv4("192.0.2.9", "192.0.2.1").udp(9, 53);
  EXPECT_FALSE(matches("udp", tagged));
  EXPECT_TRUE(matches("dst port 53", udp4({.more_fragments = true})));
  EXPECT_FALSE(matches("dst port 53", udp4({.fragment_offset = 1})));
  EXPECT_TRUE(matches("udp", udp4({.fragment_offset = 1})));
  const Bytes arp = Frame().eth().arp(1, "192.0.2.9", "192.0.2.1");
  EXPECT_TRUE(matches("dst host 192.0.2.1", arp));
  const Bytes behind_hop_by_hop =
      Frame().eth().ipv6("fe80::1", "fe80::2").extension(0).udp(9, 53);
  EXPECT_FALSE(matches("udp", behind_hop_by_hop));
  const Bytes behind_fragment =
      Frame().eth().ipv6("fe80::1", "fe80::2").fragment6(9, true).udp(9, 53);
  EXPECT_TRUE(matches("udp", behind_fragment));
  EXPECT_FALSE(matches("dst port 53", behind_fragment));
  const Bytes sctp = Frame().eth().ipv4("192.0.2.9", "192.0.2.1").sctp(9, 53);
  EXPECT_TRUE(matches("dst port 53", sctp));
  Bytes short_header = udp4({});
  short_header[14] = std::byte{0x42};
  EXPECT_TRUE(matches("udp", short_header));
  EXPECT_FALSE(matches("dst port 53", short_header));
}

}  // namespace
