// SPDX-License-Identifier: Apache-2.0
// PcapKernel: the kernel's side of a core's rings, over captures.
//
// Packets are delivered as copy mode does: into a frame of FILL, 256 bytes
// behind its start, larger ones as a chain of segments. What is sent goes to a
// sink. The clock stands until it is set: it is the file's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <sluice/frame_pool.hpp>
#include <sluice/kernel.hpp>
#include <sluice/port.hpp>
#include <sluice/socket.hpp>
#include <sluice/testing/pcap.hpp>
#include <span>
#include <vector>

namespace sluice::testing {

class PcapKernel : public Kernel {
 public:
  /// `memory`: the frames. All outlive the kernel.
  PcapKernel(std::span<std::byte> memory, std::uint32_t frame_size,
             bool multi_buffer, PacketSink& sink);
  ~PcapKernel() override;

  /// The rings of a new port; `size` is a power of two.
  [[nodiscard]] PortRings add_port(std::uint32_t size);

  /// A packet arrives. False: FILL or RX had no room for it, or it is larger
  /// than what may be received; it is lost, and counted as Linux counts it.
  /// `metadata` comes in front of it.
  bool deliver(std::uint8_t port, std::span<const std::byte> bytes,
               const sluice_metadata& metadata) noexcept;

  /// FILL has frames for a packet of that size now.
  [[nodiscard]] bool has_room(std::uint8_t port,
                              std::size_t size) const noexcept;

  /// REQUIRES: not before now().
  void set_clock(Time time) noexcept { clock_ = time; }

  /// Packets lie in a RX or a TX ring.
  [[nodiscard]] bool busy() const noexcept;

  /// As the kernel counts for a socket.
  [[nodiscard]] const SocketStatistics& statistics(
      std::uint8_t port) const noexcept;
  /// Packets that were delivered in more than one segment.
  [[nodiscard]] std::uint64_t chains(std::uint8_t port) const noexcept;

  // --- The seam -------------------------------------------------------------

  /// Takes all that is in TX, at the time it is. TX asks for no such call: its
  /// owner makes it after each turn.
  int kick_tx(std::uint8_t port) noexcept override;
  int wake_rx(std::uint8_t port) noexcept override;
  /// The clock goes to the deadline: nothing comes on its own.
  void wait(Time deadline, std::uint32_t watched) noexcept override;
  [[nodiscard]] Time now() noexcept override { return clock_; }
  [[nodiscard]] bool next_event(Event& event) noexcept override;

 private:
  struct Side;  // The kernel's side of one port.

  [[nodiscard]] std::size_t segments(std::size_t size) const noexcept;
  std::uint64_t put(Side& side, std::span<const std::byte> bytes,
                    bool more) noexcept;
  bool take(Side& side, const xdp_desc& desc) noexcept;

  FrameMap frames_;
  std::vector<std::unique_ptr<Side>> sides_;
  std::vector<std::byte> packet_;  // A chain, put together.
  PacketSink& sink_;
  Time clock_{};
  bool multi_buffer_;
};

}  // namespace sluice::testing
