// SPDX-License-Identifier: Apache-2.0
// SimWorld: what the ports of one simulated kernel share. Not for users.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <sluice/clock.hpp>
#include <sluice/kernel.hpp>
#include <sluice/testing/sim_faults.hpp>
#include <span>
#include <string>
#include <vector>

namespace sluice::testing {

/// Folds `value` into a running digest: order matters, every bit counts.
[[nodiscard]] constexpr std::uint64_t sim_mix(std::uint64_t digest,
                                              std::uint64_t value) noexcept {
  digest = (digest ^ value) * 0x9fb21c651e98df25ULL;
  return digest ^ (digest >> 32);
}
/// Folds bytes in: eight at a time, and how many they were.
[[nodiscard]] std::uint64_t sim_digest(std::span<const std::byte> bytes,
                                       std::uint64_t digest = 1) noexcept;

/// Who has each frame, as the kernel sees it: a frame is user space's, or the
/// kernel's by way of FILL or of TX. What contradicts that is a violation.
class SimFrames {
 public:
  enum class Place : std::uint8_t { user, fill, tx };

  SimFrames(std::size_t umem_size, std::uint32_t frame_size);

  /// User space gave the frame away. Addresses that name none are ignored.
  void entered(std::uint64_t addr, Place place, std::uint8_t port,
               Time now) noexcept;
  /// The kernel gave it back.
  void left(std::uint64_t addr) noexcept;

  /// The first violations, a sentence each; at most 16.
  [[nodiscard]] const std::vector<std::string>& violations() const noexcept {
    return violations_;
  }

 private:
  struct Frame {
    Place place = Place::user;
    std::uint8_t port = 0;
  };
  std::vector<Frame> frames_;
  std::uint32_t frame_size_;
  std::vector<std::string> violations_;
};

struct SimWorld {
  SimWorld(std::span<std::byte> memory, std::uint32_t size_of_frame,
           std::uint64_t seed);

  /// Rolls the dice at an opportunity; a hit is counted and kept in the log.
  [[nodiscard]] bool strikes(double rate, SimTrait trait, std::uint8_t port);
  /// A trait showed of itself.
  void showed(SimTrait trait) noexcept { counts.add(trait); }
  /// Everything that can be seen from outside goes into the history.
  void note(char what, std::uint64_t a, std::uint64_t b = 0) noexcept {
    history = sim_mix(history, static_cast<std::uint64_t>(what) ^ clock.ns);
    history = sim_mix(history, a);
    history = sim_mix(history, b);
  }

  /// A fault that struck.
  struct Strike {
    Time at;
    SimTrait trait;
    std::uint8_t port;
  };

  std::span<std::byte> umem;
  std::uint32_t frame_size;
  SimRandom random;
  SimFaults faults;
  SimCounts counts;
  SimFrames frames;
  Time clock{1'000'000'000};
  std::uint64_t history = 1;
  std::uint32_t arrived = 0;  // Ports with new packets since wait() began.
  std::deque<Event> events;
  std::deque<Strike> strikes_log;  // The latest.
};

/// Copies out of and into packet memory as the kernel does: what is poisoned
/// for user space is open to it.
void sim_copy(std::byte* to, const std::byte* from, std::size_t size) noexcept;

}  // namespace sluice::testing
