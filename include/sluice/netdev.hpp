// SPDX-License-Identifier: Apache-2.0
// Netdev: what the kernel says of a network interface, and when that changes.
//
// Everything comes from netlink and ioctls of the calling thread's network
// namespace; nothing here changes an interface.
#pragma once

#include <array>
#include <cstdint>
#include <sluice/result.hpp>
#include <sluice/rules.hpp>
#include <sluice/sys.hpp>
#include <sluice/tx_offload.hpp>
#include <string>
#include <vector>

namespace sluice {

struct Netdev {
  std::string name;
  int index = 0;
  std::uint32_t mtu = 0;  ///< Bytes after the Ethernet header.
  bool up = false;        ///< Set up by its administrator.
  bool running = false;   ///< Up, and has a carrier.
  std::array<std::uint8_t, 6> mac{};
  std::string driver;           ///< "veth", "igb"; empty where it does not say.
  std::uint32_t rx_queues = 1;  ///< Now: attaching a program may add some.
  std::uint32_t tx_queues = 1;  ///< The same; there may be fewer than of RX.
  std::uint32_t queues_max = 1;  ///< That `ethtool -L` can give it.

  /// The queues of a run that names these: all where it names none.
  [[nodiscard]] std::vector<int> served(const std::vector<int>& named) const;

  /// Queues and carrier are those of now where /sys shows this network
  /// namespace; elsewhere what ethtool calls configured, and what the kernel
  /// says up to a second late.
  /// System calls: socket(2), ioctl(2), open(2) in /sys/class/net. Fails with
  /// ENODEV and the names there are where there is no such interface.
  [[nodiscard]] static Result<Netdev> read(const std::string& name);
};

/// In zero-copy its driver would spread packets of the MTU over several frames
/// of that size, and tell of none that it goes on.
[[nodiscard]] bool too_small_for_zero_copy(const Netdev& device,
                                           std::uint32_t frame_size);

/// The RX queue of each entry of the NIC's RSS table; empty where the driver
/// has none. System call: ioctl(ETHTOOL_GRXFHINDIR).
[[nodiscard]] std::vector<std::uint32_t> rss_table(const std::string& name);

/// What the driver tells XDP programs of a packet. Nothing where the kernel
/// can't say (before Linux 6.8).
/// System calls: socket(2), send(2), recv(2) on generic netlink.
[[nodiscard]] RxHints driver_rx_hints(int ifindex);

/// What the driver does with packets that it sends in zero-copy mode. Nothing
/// where the kernel can't say (before Linux 6.8). System calls as above.
[[nodiscard]] TxOffload driver_tx_offload(int ifindex);

/// Addresses of the interface that are not link-local, and the SSH session
/// ($SSH_CONNECTION) if its address here is one of them.
/// System calls: socket(2), recv(2) on rtnetlink.
[[nodiscard]] Result<InUse> in_use(const std::string& name);

/// The lock-out guard. EPERM, with a sentence for each kind of packet, where
/// `rules` on interface `name` would keep from the Linux stack what this host
/// lives by there: in_use(), cut_off(). System calls: as in_use().
[[nodiscard]] Result<void> check_cut_off(const std::string& name,
                                         const Rules& rules);

/// Changes of links, as they happen.
class LinkWatch {
 public:
  /// System call: socket(AF_NETLINK).
  [[nodiscard]] static Result<LinkWatch> open();
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  struct Change {
    int index = 0;
    bool gone = false;     ///< Deleted, or moved to another namespace.
    bool running = false;  ///< Up and with a carrier.
  };
  /// What happened since the last call; does not block. ENOBUFS: too much did,
  /// and something was missed: read the interfaces anew.
  [[nodiscard]] Result<std::vector<Change>> changes();

 private:
  Fd fd_;
};

}  // namespace sluice
