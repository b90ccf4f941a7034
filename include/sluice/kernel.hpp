// SPDX-License-Identifier: Apache-2.0
// Kernel: all that a poller asks of the world outside of its rings.
//
// This is the seam. Ring memory is passed in beside it, so that the very same
// compiled loop runs over the Linux kernel (linux_kernel.hpp), over a simulated
// one, over files, or over nothing.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <sluice/address.hpp>
#include <sluice/clock.hpp>
#include <sluice/port.hpp>
#include <vector>

namespace sluice {

/// How a port gets another socket, between the loop that has the port and
/// whoever closes and opens sockets. Each side does its step and tells the
/// other: the loop here, the other by an Event. What a step needs is written
/// before it is told, and read after.
struct Rebind {
  enum class Step : std::uint8_t {
    joined,     ///< The port has a socket.
    parted,     ///< It has let go of it: to be closed.
    recovered,  ///< The closed socket's frames are home.
    lent,       ///< `frames` are to be the next socket's.
  };
  std::atomic<Step> step{Step::joined};
  /// Lent for FILL. Has the capacity of an RX ring before it is asked for.
  std::vector<std::uint64_t> frames;
  int fd = -1;  ///< The next socket, bound, FILL full.
  PortRings rings;
  TxOffload tx_offload;  ///< Where the last one had any, or might have had.
  MacAddress mac{};      ///< Of its interface.
  std::uint32_t mtu = 0;
};

/// Something that happened outside of the rings.
struct Event {
  enum class Kind : std::uint8_t {
    link_up,
    link_down,
    changed,  ///< The interface has another MAC address or another MTU.
    rebound,  ///< The port's socket was made anew: packets come and go again.
    gone,     ///< The interface was deleted: what came still comes, no more.
    recover,  ///< The port's old socket is closed. Not given to handlers.
    lend,     ///< A new one wants frames. Not given to handlers.
    publish,  ///< Somebody asks for the ledger. Not given to handlers.
    stop,     ///< Finish what is under way, then end. Not given to handlers.
  };
  Kind kind = Kind::stop;
  std::uint8_t port = 0;
  Rebind* rebind = nullptr;  ///< From `gone` to `rebound`. Not for handlers.
  MacAddress mac{};          ///< Of `changed`; Outlet::mac() tells it, too.
  std::uint32_t mtu = 0;     ///< The same; Outlet::mtu().
};

/// One per core. All calls come from the core's thread, and none of them more
/// than a bounded number of times a turn.
class Kernel {
 public:
  virtual ~Kernel() = default;

  /// Transmit what is in the TX ring of `port`. 0 or an errno; the rings tell
  /// how far it got. EAGAIN: there is more. EBUSY: the device refused a packet.
  [[nodiscard]] virtual int kick_tx(std::uint8_t port) noexcept = 0;

  /// Look at the FILL ring of `port` again. 0 or an errno. Like a kick, it has
  /// the driver receive and transmit where the socket prefers busy polling.
  [[nodiscard]] virtual int wake_rx(std::uint8_t port) noexcept = 0;

  /// A kick polled the driver of `port`, and TX stands as it did: wake it. A
  /// driver may transmit elsewhere than it receives.
  virtual void wake_tx(std::uint8_t /*port*/) noexcept {}

  /// Sleep until `deadline`, until a packet arrives on a port in `watched` (bit
  /// i: port i), or until there is an event. May return early for no reason.
  /// Packets that were there before the call need not end it.
  virtual void wait(Time deadline, std::uint32_t watched) noexcept = 0;

  /// The clock of the loop. Never goes back.
  [[nodiscard]] virtual Time now() noexcept = 0;

  /// The next event, if there is one.
  [[nodiscard]] virtual bool next_event(Event& event) noexcept = 0;

  /// The port has this socket from now on; -1: none, and on return nothing here
  /// keeps the old one open. Once for each Rebind, and never where there are
  /// none.
  virtual void set_socket(std::uint8_t /*port*/, int /*fd*/) noexcept {}
};

}  // namespace sluice
