// SPDX-License-Identifier: Apache-2.0
// KernelSide: one AF_XDP socket, simulated or real, seen from user space and
// from the wire, for scenarios that do not know which of the two it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <sluice/kernel.hpp>
#include <sluice/port.hpp>
#include <sluice/result.hpp>
#include <sluice/socket.hpp>
#include <sluice/testing/sim_faults.hpp>
#include <sluice/testing/wire.hpp>
#include <span>
#include <vector>

namespace sluice::testing {

inline constexpr std::uint32_t kSideFrame = 2048;
inline constexpr std::uint32_t kSideFrames = 256;
/// Ethernet type of what scenarios send: for experiments (IEEE 802).
inline constexpr std::uint16_t kSideType = 0x88b5;

struct SideOptions {
  std::uint32_t ring_size = 64;
  std::uint32_t tx_budget = 32;
  bool multi_buffer = false;
  bool tx_metadata = false;  // And the interface leaves checksums to Linux.
};

/// In copy mode, with frames of kSideFrame, and nothing in FILL.
class KernelSide {
 public:
  virtual ~KernelSide() = default;

  [[nodiscard]] virtual Kernel& kernel() = 0;
  [[nodiscard]] virtual PortRings rings() = 0;
  [[nodiscard]] virtual std::span<std::byte> memory() = 0;
  /// Losses of arrivals, in packets, and what was invalid, since it was made.
  [[nodiscard]] virtual SocketStatistics statistics() = 0;
  /// Descriptors that a kick takes; 32 where no more can be had.
  [[nodiscard]] virtual std::uint32_t tx_budget() = 0;
  /// The kernel takes TX metadata, and was asked to.
  [[nodiscard]] virtual bool tx_metadata() = 0;

  /// A UDP packet comes in. On return the kernel is done with it; false: it
  /// was lost.
  virtual bool arrive(std::span<const std::byte> packet) = 0;
  /// The same, by itself, some milliseconds from now.
  virtual void arrive_later(std::span<const std::byte> packet) = 0;
  /// Packets of type kSideType that went out since it was last asked.
  [[nodiscard]] virtual std::vector<Bytes> departed() = 0;
  /// A millisecond.
  virtual void pass() = 0;

  /// Sets the interface up or down.
  virtual void set_link(bool up) = 0;
  /// Plugs the cable in, or unplugs it.
  virtual void set_carrier(bool there) = 0;
  /// The loop is told so, soon.
  [[nodiscard]] virtual bool told_of_link(bool up) = 0;
  /// What goes out from now on is held somewhere, and not completed; false: no
  /// longer, but what is held stays there. Returns false if there is no way.
  [[nodiscard]] virtual bool hold(bool all) = 0;
  /// What is held is let go.
  virtual void let_go() = 0;
  /// After a few packets there is no room for more of them, or again there is.
  /// Returns false if there is no way.
  [[nodiscard]] virtual bool crowd(bool on) = 0;
  /// The socket has no device any more.
  virtual void unbind() = 0;
  /// A simulated kernel knows whether a trait showed; a real one does not say.
  [[nodiscard]] virtual bool showed(SimTrait) { return true; }
};

/// Makes one, or says why this machine can't.
using MakeSide = Result<std::unique_ptr<KernelSide>> (*)(const SideOptions&);

}  // namespace sluice::testing
