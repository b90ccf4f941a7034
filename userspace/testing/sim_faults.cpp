// SPDX-License-Identifier: Apache-2.0
#include <bit>
#include <sluice/testing/sim_faults.hpp>

namespace sluice::testing {

SimRandom::SimRandom(std::uint64_t seed) noexcept : state_{} {
  for (std::uint64_t& word : state_) {
    seed += 0x9e3779b97f4a7c15ULL;
    std::uint64_t mixed = seed;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
    word = mixed ^ (mixed >> 31);
  }
}

std::uint64_t SimRandom::next() noexcept {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

SimFaults SimFaults::rough() noexcept {
  SimFaults faults;
  faults.kick_enxio = 0.0002;
  faults.kick_enobufs = 0.0002;
  faults.kick_eintr = 0.0002;
  faults.kick_eagain = 0.02;
  faults.tx_refused = 0.002;
  faults.tx_stuck = 0.00002;
  faults.completion_late = 0.02;
  faults.link_flap = 0.00002;
  faults.chain_split = 0.3;
  faults.chain_cut = 0.05;
  faults.port_lost = 0.00002;
  faults.wake_spurious = 0.1;
  return faults;
}

const char* name_of(SimTrait trait) noexcept {
  static constexpr std::array<const char*, kSimTraits> kNames = {
      "kick_budget",       "kick_enetdown",
      "kick_enxio",        "kick_enobufs",
      "kick_eintr",        "kick_eagain",
      "tx_refused",        "tx_invalid",
      "tx_behind_invalid", "tx_oversized",
      "tx_chain",          "tx_driver_dry",
      "tx_stuck",          "completion_blocked",
      "completion_late",   "completion_swapped",
      "rx_fill_empty",     "rx_ring_full",
      "rx_too_large",      "rx_link_down",
      "rx_driver_dry",     "rx_chain",
      "rx_chain_split",    "rx_chain_cut",
      "rx_chain_overlong", "fill_invalid",
      "link_down",         "link_up",
      "port_lost",         "port_rebound",
      "tx_cut_off",        "wake_spurious",
      "wake_missed",       "index_wrapped"};
  return kNames[static_cast<std::size_t>(trait)];
}

SimCounts& SimCounts::operator+=(const SimCounts& other) noexcept {
  for (std::size_t i = 0; i < kSimTraits; ++i) counts_[i] += other.counts_[i];
  return *this;
}

}  // namespace sluice::testing
