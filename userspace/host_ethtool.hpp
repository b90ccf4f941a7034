// SPDX-License-Identifier: Apache-2.0
// Ethtool: settings of a NIC, by the generic netlink family "ethtool", and by
// ioctl for what that family can't set on every kernel. Private to the library.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <sluice/host.hpp>
#include <string>
#include <vector>

#include "netdev_netlink.hpp"

namespace sluice {

class Ethtool {
 public:
  [[nodiscard]] static Result<Ethtool> open(const std::string& interface);

  struct Features {
    std::set<std::string> active, changeable;
  };
  [[nodiscard]] Result<Features> features();
  Result<void> set_feature(const std::string& name, bool on);

  [[nodiscard]] Result<Channels> channels();
  /// `key` is "combined", "rx" or "tx".
  Result<void> set_channels(const std::string& key, std::uint32_t count);

  [[nodiscard]] Result<Coalescing> coalescing();
  Result<void> set_rx_usecs(std::uint32_t usecs);
  Result<void> set_adaptive_rx(bool on);

  [[nodiscard]] Result<RxRing> rx_ring();
  Result<void> set_rx_ring(std::uint32_t size);

 private:
  using Fill = std::function<void(netlink::Request&)>;
  using Answer = std::function<void(std::span<const char>)>;
  Result<void> ask(std::uint8_t command, const char* call, unsigned header,
                   const Fill& fill, const Answer& answer);

  std::string interface_;
  netlink::Family family_;
};

// --- By ioctl ---------------------------------------------------------------

/// Sets the RSS table: the driver's own if that is the same, so that it stays
/// the driver's when queues come and go.
Result<void> set_rss_table(const std::string& interface,
                           const std::vector<std::uint32_t>& table);

/// What the NIC hashes of "udp4" or "udp6": letters as ethtool -N takes them.
[[nodiscard]] Result<std::string> hash_fields(const std::string& interface,
                                              const std::string& flow);
Result<void> set_hash_fields(const std::string& interface,
                             const std::string& flow,
                             const std::string& letters);

struct FlowTable {
  std::vector<FlowRule> rules;
  std::uint32_t most = 0;  ///< 0: the NIC has none.
};
[[nodiscard]] FlowTable flow_table(const std::string& interface);
/// The rule at `location` as Setting has it; "none".
[[nodiscard]] Result<std::string> flow_rule(const std::string& interface,
                                            std::uint32_t location);
Result<void> set_flow_rule(const std::string& interface, std::uint32_t location,
                           const std::string& rule);

}  // namespace sluice
