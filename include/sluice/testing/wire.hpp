// SPDX-License-Identifier: Apache-2.0
// Wire: sends and receives whole Ethernet packets on an interface (AF_PACKET).
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <sluice/result.hpp>
#include <sluice/sys.hpp>
#include <sluice/testing/frame.hpp>
#include <span>
#include <string>
#include <vector>

namespace sluice::testing {

class Wire {
 public:
  /// On `interface` of the caller's network namespace; used from anywhere.
  /// System calls: socket(2), setsockopt(2), bind(2). Capability: CAP_NET_RAW.
  [[nodiscard]] static Result<Wire> open(const std::string& interface);

  /// Sends `packet`, Ethernet header first, at least 14 bytes, as it is. False:
  /// the interface did not take it.
  [[nodiscard]] bool send(std::span<const std::byte> packet);

  using Filter = std::function<bool(std::span<const std::byte>)>;
  /// The next packet that arrived since open() and that `filter` likes; others
  /// are skipped. VLAN tags are where they were on the wire. Nothing: none came
  /// within `patience`.
  [[nodiscard]] std::optional<Bytes> receive(std::chrono::milliseconds patience,
                                             const Filter& filter = {});

 private:
  std::optional<Bytes> receive_now();
  Fd fd_;
};

}  // namespace sluice::testing
