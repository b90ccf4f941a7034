// SPDX-License-Identifier: Apache-2.0
// Lists of rules as large sites have them, and packets that they are about.
//
// Wildcard rules are drawn like ClassBench's: prefixes of any length, more of
// the long ones, one side in four left out, ports exact, as ranges, or free,
// a negation or a VLAN here and there.
#pragma once

#include <sluice/abi.h>
#include <array>
#include <cstdint>
#include <cstdio>
#include <random>
#include <sluice/testing/frame.hpp>
#include <string>
#include <vector>

namespace bench {

using sluice::testing::Bytes;

/// A rule as a search of tuples would have it: single values under a mask.
/// Ranges and negations of ports, which that cannot do, are left out.
struct Tuple {
  sluice_key key{}, mask{};
  std::uint32_t protocol = 0;
};

/// A list and packets, most of which one of its rules is about.
struct Drawn {
  std::string rules;
  std::vector<Bytes> packets;
  std::vector<Tuple> tuples;  ///< Of the IPv4 rules.
};

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : engine_(seed) {}

  /// Rules that name both addresses and both ports; one in four is IPv6.
  Drawn flows(std::size_t count) {
    Drawn drawn;
    for (std::size_t i = 0; i < count; ++i) {
      const bool six = one_in(4);
      const std::uint32_t from = number();
      const std::uint32_t to = number();
      const Flow flow{six ? host6() : text4(from), six ? host6() : text4(to),
                      port(), port(), one_in(2)};
      drawn.rules += "drop " + flow.protocol() + " and src host " +
                     flow.source + " and dst host " + flow.destination +
                     " and src port " + std::to_string(flow.source_port) +
                     " and dst port " + std::to_string(flow.destination_port) +
                     "\n";
      drawn.packets.push_back(flow.packet(six));
      if (!six) {
        drawn.tuples.push_back(
            tuple({from, 32}, {to, 32}, flow.destination_port, flow.tcp));
        drawn.tuples.back().key.source_port = flow.source_port;
        drawn.tuples.back().mask.source_port = 0xffff;
      }
    }
    return drawn;
  }

  /// ClassBench-like; sixteen packets for each rule.
  Drawn wildcards(std::size_t count) {
    Drawn drawn;
    for (; count > 0; --count) {
      const Net source = net();
      const Net destination = net();
      const bool tcp = one_in(2);
      std::string rule = std::string("drop ") + (tcp ? "tcp" : "udp");
      if (one_in(50)) rule = "drop vlan 7 and " + rule.substr(5);
      if (source.bits != 0) rule += " and src net " + source.text();
      if (destination.bits != 0) rule += " and dst net " + destination.text();
      const std::uint16_t low = port();
      const auto high = static_cast<std::uint16_t>(
          std::min<std::uint32_t>(65535, low + number() % 2000));
      const std::size_t ports = below(4);
      if (ports == 0) rule += " and dst port " + std::to_string(low);
      if (ports == 1) {
        rule += " and dst portrange " + std::to_string(low) + "-" +
                std::to_string(high);
      }
      if (ports == 2) rule += " and not dst port " + std::to_string(low);
      drawn.rules += rule + "\n";
      drawn.tuples.push_back(tuple(source, destination, low, tcp));
      if (ports != 0) {
        drawn.tuples.back().key.destination_port = 0;
        drawn.tuples.back().mask.destination_port = 0;
      }
      for (int k = 0; k < 16; ++k) {
        const std::uint16_t to =
            ports == 0 ? low
            : ports == 1
                ? static_cast<std::uint16_t>(low + number() % (high - low + 1u))
                : port();
        const Flow flow{text4(source.host(number())),
                        text4(destination.host(number())), port(), to, tcp};
        drawn.packets.push_back(flow.packet(false));
      }
    }
    return drawn;
  }

 private:
  struct Flow {
    std::string source, destination;
    std::uint16_t source_port, destination_port;
    bool tcp;

    [[nodiscard]] std::string protocol() const { return tcp ? "tcp" : "udp"; }
    [[nodiscard]] Bytes packet(bool six) const {
      sluice::testing::Frame frame;
      frame.eth();
      if (six) {
        frame.ipv6(source.c_str(), destination.c_str());
      } else {
        frame.ipv4(source.c_str(), destination.c_str());
      }
      if (tcp) {
        frame.tcp(source_port, destination_port);
      } else {
        frame.udp(source_port, destination_port);
      }
      Bytes bytes = frame.bytes();
      bytes.resize(96);
      return bytes;
    }
  };
  struct Net {
    std::uint32_t address, bits;
    [[nodiscard]] std::uint32_t mask() const {
      return bits == 0 ? 0 : ~0u << (32 - bits);
    }
    [[nodiscard]] std::string text() const {
      return text4(address & mask()) + "/" + std::to_string(bits);
    }
    [[nodiscard]] std::uint32_t host(std::uint32_t any) const {
      return (address & mask()) | (any & ~mask());
    }
  };

  static Tuple tuple(const Net& source, const Net& destination,
                     std::uint16_t port, bool tcp) {
    Tuple made;
    made.key.source[0] = std::uint64_t{source.address & source.mask()} << 32;
    made.mask.source[0] = std::uint64_t{source.mask()} << 32;
    made.key.destination[0] =
        std::uint64_t{destination.address & destination.mask()} << 32;
    made.mask.destination[0] = std::uint64_t{destination.mask()} << 32;
    made.key.destination_port = port;
    made.mask.destination_port = 0xffff;
    made.protocol = tcp ? 6 : 17;
    return made;
  }

  Net net() {
    if (one_in(4)) return {0, 0};
    const std::uint32_t bits = one_in(3)
                                   ? 8 + static_cast<std::uint32_t>(below(16))
                                   : 24 + static_cast<std::uint32_t>(below(9));
    return {number(), bits};
  }
  static std::string text4(std::uint32_t address) {
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "%u.%u.%u.%u", address >> 24,
                  address >> 16 & 255, address >> 8 & 255, address & 255);
    return text.data();
  }
  std::string host6() {
    std::array<char, 48> text{};
    std::snprintf(text.data(), text.size(), "2001:db8:%x:%x:%x:%x:%x:%x",
                  number() & 0xffff, number() & 0xffff, number() & 0xffff,
                  number() & 0xffff, number() & 0xffff, number() & 0xffff);
    return text.data();
  }
  std::uint32_t number() { return static_cast<std::uint32_t>(engine_()); }
  std::uint16_t port() { return static_cast<std::uint16_t>(engine_()); }
  std::size_t below(std::size_t count) { return engine_() % count; }
  bool one_in(std::size_t count) { return below(count) == 0; }

  std::mt19937_64 engine_;
};

}  // namespace bench
