// SPDX-License-Identifier: Apache-2.0
// SimPort: the kernel's side of one port, and the wire behind it.
//
//   source ─► link ─► frame of FILL ─► RX            (arrive)
//   sink   ◄─ device ◄─ TX, in flight ─► COMPLETION  (kick, then the clock)
//
// Copy mode does what net/xdp/xsk.c does for veth: a kick takes 32 descriptors,
// frames come back in any order, TX always asks for a kick. Zero-copy does what
// drivers do: the device takes from TX by itself until it runs dry, keeps
// frames of FILL in advance, and looks again only when it is woken. Where busy
// polling is preferred (poll), all of that happens in the loop's calls.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <sluice/clock.hpp>
#include <sluice/kernel.hpp>
#include <sluice/port.hpp>
#include <sluice/testing/sim_ring.hpp>
#include <sluice/testing/sim_world.hpp>
#include <sluice/tx_offload.hpp>
#include <sluice/uapi.hpp>
#include <span>
#include <vector>

namespace sluice::testing {

struct SimPortOptions {
  /// Entries of RX and TX; FILL has twice as many. A power of two.
  std::uint32_t ring_size = 64;
  std::uint32_t start = 0;  ///< Where the ring indices begin.
  bool zero_copy = false;
  bool multi_buffer = false;     ///< USE_SG: packets larger than a frame.
  std::uint32_t tx_budget = 32;  ///< Descriptors a kick takes in copy mode.
  /// The socket prefers busy polling: the NIC keeps what came in, and what was
  /// sent, until the loop calls (kick_tx, wake_rx).
  bool busy_polled = false;
  /// Or until so long after the last call: gro_flush_timeout.
  Duration deferral = std::chrono::microseconds(200);
  /// Busy-polled zero-copy whose driver transmits elsewhere than it receives:
  /// no call but wake_tx() has it look at TX.
  bool tx_apart = false;
  /// The memory was registered with room for TX metadata, and a zero-copy
  /// driver offers this; copy mode completes checksums and tells the time.
  std::optional<TxOffload> tx_offload = {};
};

/// Packets, as the wire saw them. Every packet that came in is in exactly one
/// of received, received_broken and the drops; every one taken from TX in
/// exactly one of sent, refused, invalid, oversized and cut_off.
struct SimWire {
  std::uint64_t offered = 0;   ///< Came in.
  std::uint64_t received = 0;  ///< Put into RX whole.
  std::uint64_t received_bytes = 0;
  std::uint64_t received_broken = 0;  ///< Put into RX, but cut or too long.
  std::uint64_t broken_bytes = 0;     ///< As their descriptors say.
  std::uint64_t bad_descriptors = 0;  ///< In RX.
  std::uint64_t dropped_link_down = 0;
  std::uint64_t dropped_too_large = 0;
  std::uint64_t dropped_fill_empty = 0;
  std::uint64_t dropped_rx_full = 0;
  std::uint64_t sent = 0;  ///< Went out.
  std::uint64_t sent_bytes = 0;
  std::uint64_t refused = 0;
  std::uint64_t invalid = 0;
  std::uint64_t oversized = 0;
  std::uint64_t cut_off = 0;     ///< In TX as the interface went.
  std::uint64_t unread = 0;      ///< Descriptors in RX as it went.
  std::uint64_t tx_invalid = 0;  ///< Descriptors of those two, all of them.

  [[nodiscard]] std::uint64_t dropped() const noexcept {
    return dropped_link_down + dropped_too_large + dropped_fill_empty +
           dropped_rx_full;
  }
};

/// A packet on its way in.
struct SimArrival {
  Time at{};
  std::vector<std::byte> bytes;
};
/// Fills in the next packet, not earlier than the one before; false: no more.
using SimSource = std::function<bool(SimArrival&)>;

/// What became of a packet that was taken from TX.
enum class SimFate : std::uint8_t {
  sent,
  refused,
  invalid,
  oversized,
  cut_off
};
struct SimDeparture {
  Time at{};
  SimFate fate = SimFate::sent;
  std::uint8_t port = 0;
  std::span<const std::byte> bytes;  ///< Valid during the call; none: invalid.
};
/// Told of each packet, in the order of TX.
using SimSink = std::function<void(const SimDeparture&)>;

class SimPort {
 public:
  /// Made by SimKernel::add_port.
  SimPort(SimWorld& world, std::uint8_t index, const SimPortOptions& options);
  SimPort(const SimPort&) = delete;
  SimPort& operator=(const SimPort&) = delete;

  /// For a Port. Valid as long as this.
  [[nodiscard]] PortRings rings() noexcept;
  /// What comes in; from now on, until it ends or is exchanged.
  void feed(SimSource source);
  /// Where what goes out is told.
  void watch(SimSink sink) { sink_ = std::move(sink); }
  /// A packet comes in now. False: it was lost; wire() says how.
  bool deliver(std::span<const std::byte> bytes);

  /// Sets the interface up or down, as its administrator; the loop is told by
  /// an event. While it is down, a kick takes nothing (ENETDOWN).
  void set_link(bool up);
  [[nodiscard]] bool link_up() const noexcept { return link_up_; }
  /// Unplugs the cable, or plugs it in; the loop is told by an event. Without
  /// it, copy mode loses what it takes (EBUSY); a zero-copy device waits.
  void set_carrier(bool there);
  /// Deletes the interface: the loop is told, lets go of the socket, and gets
  /// another one once the interface is made again, after so long.
  void lose(Duration away);
  /// It is made again now, if it is away.
  void return_now() noexcept { back_at_ = Time{}; }
  [[nodiscard]] bool lost() const noexcept { return stage_ != Stage::bound; }
  /// Nothing is completed before that time; Time::never(): not at all.
  void stick(Time until);
  /// Nothing more comes from the source.
  [[nodiscard]] bool source_ended() const noexcept { return !source_; }

  [[nodiscard]] const SimWire& wire() const noexcept { return wire_; }
  /// Frames the kernel has for receiving: FILL, RX and in between.
  [[nodiscard]] std::uint32_t receiving() noexcept;
  /// Frames the kernel has for transmitting: TX, COMPLETION and in between.
  [[nodiscard]] std::uint32_t transmitting() noexcept;
  [[nodiscard]] const SimPortOptions& options() const noexcept {
    return options_;
  }

 private:
  friend class SimKernel;
  enum class Taken : std::uint8_t { sent, more, invalid, refused, untaken };

  struct Flight {  // A frame that was taken and not completed.
    std::uint64_t addr;
    Time due;
    bool timed;  // The time is written in front of the packet.
  };

  // SimKernel's: what the loop asks for, and what time brings.
  int kick();
  int wake();
  void wake_tx();
  void tick();
  [[nodiscard]] Time next_due() noexcept;
  void scan();
  void settle_link();
  void tell_of_link(bool up);

  // sim_port_poll.cpp
  void take_in(std::span<const std::byte> bytes);
  void poll();
  void transmit();
  [[nodiscard]] Time poll_due() noexcept;

  // sim_port_rx.cpp
  void pull_arrival();
  bool arrive(std::span<const std::byte> bytes);
  bool gather_frames(std::uint32_t count);
  void post(std::span<const std::byte> bytes, std::uint32_t segments);
  void push_rx(const xdp_desc& desc);
  void push_pending();
  void prefetch();

  // sim_port_tx.cpp
  int take_batch();
  void drive_tx();
  Taken take();
  Taken drain(const xdp_desc& desc);
  [[nodiscard]] bool refused();
  void give_up(const xdp_desc& desc);
  void finish(SimFate fate);
  [[nodiscard]] bool valid(const xdp_desc& desc) const noexcept;
  [[nodiscard]] std::uint32_t reserved() noexcept;
  void fly(std::uint64_t addr, bool timed = false);
  [[nodiscard]] bool offers(std::uint64_t flag) const noexcept;
  [[nodiscard]] bool read_metadata(const xdp_desc& desc) noexcept;
  [[nodiscard]] bool held_back() noexcept;
  void complete_checksum() noexcept;
  void complete();
  void flap();

  // sim_port_rebind.cpp: who opens sockets, as the engine does it.
  void rebind();
  [[nodiscard]] Time rebind_due() const noexcept;
  void close_socket();
  void cut_off(const xdp_desc& desc);
  void open_socket();

  enum class Stage : std::uint8_t {
    bound,
    parting,
    recovering,
    lending,
    joining
  };

  SimWorld& world_;
  const SimPortOptions options_;
  const std::uint8_t index_;
  SimRing<std::uint64_t> fill_;
  SimRing<xdp_desc> rx_;
  SimRing<xdp_desc> tx_;
  SimRing<std::uint64_t> completion_;
  std::uint32_t fill_seen_;  // Entries that SimFrames knows of.
  std::uint32_t tx_seen_;
  SimWire wire_;
  SimSource source_;
  SimArrival arrival_;  // The source's next.
  SimSink sink_;

  Stage stage_ = Stage::bound;
  Rebind rebind_;
  std::uint32_t closed_receiving_ = 0;  // What the closed socket had.
  std::uint32_t closed_transmitting_ = 0;
  Time back_at_ = Time::never();

  bool link_up_ = true;
  bool carrier_ = true;
  Time link_due_ = Time::never();  // It comes up again.

  std::deque<std::vector<std::byte>> nic_;  // Came in, and was not polled.
  Time polled_{};
  std::vector<std::uint64_t> spare_;  // Frames taken from FILL, not used yet.
  std::deque<xdp_desc> pending_;      // The end of a packet, for later.
  Time pending_due_{};
  bool fill_asleep_ = false;  // Zero-copy: does not look before it is woken.

  std::vector<Flight> flights_;
  Time flights_due_ = Time::never();  // The first of them.
  Time stuck_until_{};
  bool tx_active_ = false;               // Zero-copy: takes from TX by itself.
  std::vector<std::uint64_t> outgoing_;  // Frames of the packet being taken.
  std::vector<std::byte> bytes_;         // And its bytes.
  TxMetadata asked_{};                   // And what is asked for it.
  bool draining_ = false;  // What comes is of a packet that was given up.
};

}  // namespace sluice::testing
