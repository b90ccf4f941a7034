// SPDX-License-Identifier: Apache-2.0
// SimFaults: what may go wrong in a simulated kernel, how often, and what did.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <sluice/clock.hpp>

namespace sluice::testing {

/// Numbers drawn from a seed: the same on every machine and compiler
/// (xoshiro256**, seeded by splitmix64).
class SimRandom {
 public:
  explicit SimRandom(std::uint64_t seed) noexcept;

  [[nodiscard]] std::uint64_t next() noexcept;
  /// 0 to n - 1, and 0 where n is 0.
  [[nodiscard]] std::uint32_t below(std::uint32_t n) noexcept {
    return static_cast<std::uint32_t>(((next() >> 32) * n) >> 32);
  }
  /// True in `rate` of all cases. A rate of 0 draws nothing.
  [[nodiscard]] bool chance(double rate) noexcept {
    return rate > 0 && static_cast<double>(next() >> 11) * 0x1p-53 < rate;
  }
  /// 1 ns to `most`; REQUIRES: 1 ns <= most <= 4 s.
  [[nodiscard]] Duration up_to(Duration most) noexcept {
    return Duration(1 + below(static_cast<std::uint32_t>(most.count())));
  }

 private:
  std::array<std::uint64_t, 4> state_;
};

/// How often what goes wrong: each rate is a probability, 0 to 1, at every
/// opportunity. All are 0 unless set: the kernel then behaves on a good day.
struct SimFaults {
  double kick_enxio = 0;       ///< A kick fails: the socket is not bound.
  double kick_enobufs = 0;     ///< A kick fails: no memory.
  double kick_eintr = 0;       ///< A kick fails: interrupted.
  double kick_eagain = 0;      ///< A kick does nothing: the device is busy.
  double tx_refused = 0;       ///< A packet is lost by the device: EBUSY.
  double tx_stuck = 0;         ///< From this kick on, nothing is completed
                               ///< for `stuck_for`.
  double completion_late = 0;  ///< A frame comes back up to `late_max` later,
                               ///< after others in copy mode.
  double link_flap = 0;        ///< At a packet or a kick: the interface goes
                               ///< down, or its cable out, for up to
                               ///< `down_max`.
  double chain_split = 0;      ///< The end of a multi-buffer packet comes up to
                               ///< `split_max` after its beginning.
  double chain_cut = 0;      ///< A descriptor of a multi-buffer packet is bad.
  double port_lost = 0;      ///< At a packet or a kick: the interface is
                             ///< deleted, and made again after `away_max` at
                             ///< most; the loop is given another socket.
  double wake_spurious = 0;  ///< A sleep ends early, for no reason.

  Duration stuck_for = std::chrono::milliseconds(1500);
  Duration late_max = std::chrono::milliseconds(3);
  Duration down_max = std::chrono::milliseconds(50);
  Duration away_max = std::chrono::milliseconds(20);
  Duration split_max = std::chrono::microseconds(200);

  /// A bad day: all of it, at rates that leave a loop some traffic.
  [[nodiscard]] static SimFaults rough() noexcept;
};

/// What a simulated kernel can do to a loop. Each is counted when it happens,
/// so that a test knows that it saw it.
enum class SimTrait : std::uint8_t {
  // TX.
  kick_budget,    ///< EAGAIN after 32 descriptors, or the budget granted.
  kick_enetdown,  ///< The link is down.
  kick_enxio,
  kick_enobufs,
  kick_eintr,
  kick_eagain,        ///< EAGAIN, and nothing was taken.
  tx_refused,         ///< EBUSY: completed, never sent.
  tx_invalid,         ///< A bad descriptor: consumed, returned as it was.
  tx_behind_invalid,  ///< A kick ended behind one, and others were waiting.
  tx_oversized,       ///< More segments than a packet may have.
  tx_chain,           ///< A packet of several segments was sent.
  tx_driver_dry,      ///< Zero-copy: TX is empty, the driver asks to be kicked.
  tx_stuck,           ///< TX stood still for a while.
  completion_blocked,  ///< COMPLETION had no room, so TX waits.
  completion_late,
  completion_swapped,  ///< A frame came back before one sent earlier.
  // RX.
  rx_fill_empty,      ///< A packet was lost: no frame in FILL.
  rx_ring_full,       ///< A packet was lost: no room in RX.
  rx_too_large,       ///< A packet was lost: larger than a frame, no SG.
  rx_link_down,       ///< A packet was lost: the link is down.
  rx_driver_dry,      ///< Zero-copy: FILL is empty, the driver sleeps.
  rx_chain,           ///< A packet of several segments arrived.
  rx_chain_split,     ///< Not all of it at once.
  rx_chain_cut,       ///< With a bad descriptor in it.
  rx_chain_overlong,  ///< Of more segments than a packet may have.
  fill_invalid,       ///< FILL named no frame.
  // The rest.
  link_down,
  link_up,
  port_lost,      ///< The interface was deleted, and its socket is dead.
  port_rebound,   ///< The port has another socket.
  tx_cut_off,     ///< A packet was in TX, or half taken, when that happened.
  wake_spurious,  ///< wait() ended for no reason.
  wake_missed,    ///< wait() began with packets in RX: they do not end it.
  index_wrapped,  ///< A ring's index went past 2^32.
};
inline constexpr std::size_t kSimTraits =
    static_cast<std::size_t>(SimTrait::index_wrapped) + 1;

/// "kick_budget".
[[nodiscard]] const char* name_of(SimTrait trait) noexcept;

/// How often each trait showed.
class SimCounts {
 public:
  [[nodiscard]] std::uint64_t operator[](SimTrait trait) const noexcept {
    return counts_[static_cast<std::size_t>(trait)];
  }
  void add(SimTrait trait) noexcept {
    ++counts_[static_cast<std::size_t>(trait)];
  }
  SimCounts& operator+=(const SimCounts& other) noexcept;

 private:
  std::array<std::uint64_t, kSimTraits> counts_{};
};

}  // namespace sluice::testing
