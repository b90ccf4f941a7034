// SPDX-License-Identifier: Apache-2.0
// TxOffload: what a NIC does with a packet as it sends it, if it is asked to.
//
// Works where the engine was asked for it (EngineOptions::tx_offload) and the
// port was granted it; Outlet::offload() tells. What was not granted: a
// checksum is completed by the CPU, the others are left out.
// Source: Documentation/networking/xsk-tx-metadata.rst.
#pragma once

#include <cstdint>
#include <optional>
#include <sluice/metadata.hpp>

namespace sluice {

/// A checksum that is not complete: the sum of all bytes from `start` to the
/// packet's end belongs into the two bytes at `start + offset`, which hold what
/// the sum begins with. Layers::leave_checksum() makes one.
struct TxChecksum {
  std::uint16_t start = 0;   ///< From the packet's first byte.
  std::uint16_t offset = 0;  ///< From `start`.
};

/// What is asked for one packet.
struct TxRequest {
  /// To be completed. REQUIRES: the field lies in the first segment.
  std::optional<TxChecksum> checksum = {};
  /// Tell when it left: the handler's `transmitted` is called with this number.
  std::optional<std::uint64_t> timestamp = {};
  /// Leave at this time, in ns of the NIC's own clock (PTP). What is behind it
  /// on the queue waits, too.
  std::optional<std::uint64_t> launch_time = {};
};

/// What a port does of it.
struct TxOffload {
  /// By the NIC; in copy mode by Linux, which may leave it to the NIC.
  bool checksum = false;
  /// By which clock: the NIC's (`hardware`), or CLOCK_TAI when Linux was done
  /// with the packet (`tai`); none: packets are not told of.
  std::optional<Timestamp::Clock> timestamp = {};
  bool launch_time = false;

  friend bool operator==(const TxOffload&, const TxOffload&) = default;
};

/// A packet that was sent with TxRequest::timestamp came to its end.
struct Transmitted {
  std::uint64_t number = 0;  ///< Of the request.
  std::uint8_t port = 0;
  /// When it left; none where the device gave no time or was lost meanwhile.
  std::optional<Timestamp> time = {};
};

}  // namespace sluice
