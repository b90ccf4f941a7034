// SPDX-License-Identifier: Apache-2.0
// Kernel: all that a poller asks of the world outside of its rings.
//
// This is the seam. Ring memory is passed in beside it, so that the very same
// compiled loop runs over the Linux kernel (linux_kernel.hpp), over a simulated
// one, over files, or over nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <sluice/clock.hpp>

namespace sluice {

/// Something that happened outside of the rings.
struct Event {
  enum class Kind : std::uint8_t {
    link_up,
    link_down,
    rebound,  ///< The port's socket was made anew.
    gone,     ///< The interface was deleted: nothing more comes or goes.
    publish,  ///< Somebody asks for the ledger. Not given to handlers.
    stop,     ///< Finish what is under way, then end. Not given to handlers.
  };
  Kind kind = Kind::stop;
  std::uint8_t port = 0;
};

/// One per core. All calls come from the core's thread, and none of them more
/// than a bounded number of times a turn.
class Kernel {
 public:
  virtual ~Kernel() = default;

  /// Transmit what is in the TX ring of `port`. 0 or an errno; the rings tell
  /// how far it got. EAGAIN: there is more. EBUSY: the device refused a packet.
  [[nodiscard]] virtual int kick_tx(std::uint8_t port) noexcept = 0;

  /// Look at the FILL ring of `port` again. 0 or an errno.
  [[nodiscard]] virtual int wake_rx(std::uint8_t port) noexcept = 0;

  /// Sleep until `deadline`, until a packet arrives on a port in `watched` (bit
  /// i: port i), or until there is an event. May return early for no reason.
  /// Packets that were there before the call need not end it.
  virtual void wait(Time deadline, std::uint32_t watched) noexcept = 0;

  /// The clock of the loop. Never goes back.
  [[nodiscard]] virtual Time now() noexcept = 0;

  /// The next event, if there is one.
  [[nodiscard]] virtual bool next_event(Event& event) noexcept = 0;
};

}  // namespace sluice
