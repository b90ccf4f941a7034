// SPDX-License-Identifier: Apache-2.0
// VethLab: two hosts and a cable between them, for tests of handlers.
//
//   auto lab = VethLab::open();
//   if (!lab) GTEST_SKIP() << lab.error().message();
//   auto mine = lab->spawn(Side::a, {"./my_program", "-i",
//                                    lab->end(Side::a).interface});
//   auto wire = lab->wire(Side::b);
//   wire->send(question);
//   EXPECT_EQ(wire->receive(1s), answer);
//
// The hosts are network namespaces without a name, held by descriptors alone;
// the cable is a veth pair. All of it is gone with the object, and with the
// process however that ends. Labs do not know of one another: tests may run at
// the same time.
#pragma once

#include <array>
#include <cstdint>
#include <sluice/address.hpp>
#include <sluice/result.hpp>
#include <sluice/sys.hpp>
#include <sluice/testing/process.hpp>
#include <sluice/testing/wire.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace sluice::testing {

enum class Side : std::uint8_t { a, b };

struct VethOptions {
  std::uint32_t queues = 2;  ///< RX and TX queues of each interface.
  std::uint32_t mtu = 1500;
  std::uint32_t pairs = 1;  ///< Cables between the two hosts; at most 8.
};

/// An interface, up, with its neighbour known, and no packet of its own making
/// but for what the IPv6 stack sends once as a link comes up.
struct VethEnd {
  std::string interface;  ///< Unique on this machine; at most 15 characters.
  std::string ipv4;       ///< 10.203.PAIR.1 at side a, .2 at side b; a /24.
  std::string ipv6;       ///< fd00:203:PAIR::1 and ::2; a /64.
  MacAddress mac;         ///< 02:00:00:00:PAIR:0a and :0b.
};

class VethLab {
 public:
  /// NAPI is on at both ends, so that XDP may transmit; checksums are finished
  /// by the sender and nothing is segmented, so that packets are what a NIC
  /// would have put on the wire.
  /// Runs: ip. System calls: unshare(2), setns(2), ioctl(SIOCETHTOOL).
  /// Capabilities: CAP_SYS_ADMIN, CAP_NET_ADMIN.
  [[nodiscard]] static Result<VethLab> open(const VethOptions& options = {});

  /// True if SLUICE_REQUIRE_VETH=1: a test that can't have its lab is to fail
  /// instead of being skipped.
  [[nodiscard]] static bool required();

  [[nodiscard]] const VethEnd& end(Side side, std::size_t pair = 0) const {
    return ends_.at(index(side)).at(pair);
  }

  /// Calls `function` on this thread, which is at that side meanwhile. Threads
  /// that it starts stay there.
  template <class F>
  auto in(Side side, F&& function) const -> std::invoke_result_t<F> {
    const Visit visit(networks_.at(index(side)).get());
    return std::forward<F>(function)();
  }

  /// Starts a program at that side.
  [[nodiscard]] Result<Process> spawn(
      Side side, const std::vector<std::string>& argv) const {
    return Process::start(argv, networks_.at(index(side)).get());
  }

  /// Packets as they pass at that end.
  [[nodiscard]] Result<Wire> wire(Side side, std::size_t pair = 0) const;

  /// `ip ARGUMENTS` at that side: "link set dev X down".
  Result<void> ip(Side side, const std::string& arguments) const;
  /// Sets an interface up or down; its peer loses and gains its carrier.
  Result<void> set_link(Side side, bool up, std::size_t pair = 0) const;
  /// Waits until the kernel tells a carrier, or none: up to a second later than
  /// packets pass, or stop to pass. False: not within ten seconds.
  bool wait_for_link(Side side, bool up, std::size_t pair = 0) const;
  /// Deletes a pair, both ends.
  Result<void> remove(std::size_t pair = 0) const;

  struct Count {
    std::string name;
    std::uint64_t value = 0;
  };
  /// What the driver counts (ethtool -S), and the interface's rx_dropped,
  /// tx_dropped, rx_errors and tx_errors.
  [[nodiscard]] std::vector<Count> counters(Side side,
                                            std::size_t pair = 0) const;
  /// Packets that the pair lost, either way. What an XDP program chose to drop
  /// is not lost.
  [[nodiscard]] std::uint64_t lost(std::size_t pair = 0) const;

 private:
  // A thread is elsewhere as long as this lives.
  class Visit {
   public:
    explicit Visit(int network);
    ~Visit();
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

   private:
    Fd home_;
  };

  VethLab() = default;
  static std::size_t index(Side side) { return static_cast<std::size_t>(side); }
  Result<void> make_pair(const VethOptions& options, std::size_t pair);
  Result<void> batch(Side side, const std::string& lines) const;

  std::array<Fd, 2> networks_;
  std::array<std::vector<VethEnd>, 2> ends_;
};

}  // namespace sluice::testing
