// SPDX-License-Identifier: Apache-2.0
// NumberedTraffic: packets that can be told apart, and checked byte by byte.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <sluice/testing/sim_kernel.hpp>
#include <span>
#include <vector>

namespace sluice::testing {

using namespace std::chrono_literals;

/// How a packet begins. Behind it come words that follow from `serial`.
struct Mark {
  std::uint64_t serial = 0;  // 1, 2, ... on each port.
  std::uint32_t port = 0;
  std::uint32_t size = 0;  // Of the packet.
};
inline constexpr std::uint32_t kSmallest = 64;

/// The whole packet of that mark, in `bytes`.
inline void write_packet(const Mark& mark, std::vector<std::byte>& bytes) {
  bytes.resize(mark.size);
  std::memcpy(bytes.data(), &mark, sizeof mark);
  std::uint64_t word = sim_mix(mark.serial, mark.port);
  std::size_t at = sizeof mark;
  for (; at + 8 <= bytes.size(); at += 8) {
    std::memcpy(bytes.data() + at, &word, 8);
    word += 0x9e3779b97f4a7c15ULL;
  }
  std::memcpy(bytes.data() + at, &word, bytes.size() - at);
}

/// Packets of one port: bursts, streams, trickles and pauses, of all sizes.
class NumberedTraffic {
 public:
  struct Options {
    std::uint64_t seed = 1;
    std::uint32_t port = 0;
    std::uint32_t frame_room = 1792;  // Bytes of a packet in one frame.
    std::uint64_t packets = 1000;
    bool gentle = false;  // Well apart, and small.
  };

  NumberedTraffic(const Options& options, Time start, std::uint64_t& serial)
      : options_(options),
        random_(options.seed),
        at_(start),
        serial_(&serial) {}

  /// As a SimSource.
  bool operator()(SimArrival& arrival) {
    if (options_.packets == 0) return false;
    --options_.packets;
    at_ = at_ + gap();
    arrival.at = at_;
    write_packet({++*serial_, options_.port, size()}, arrival.bytes);
    return true;
  }

 private:
  Duration gap() {
    if (options_.gentle) return 50us + random_.up_to(100us);
    if (left_ == 0) {
      left_ = 1 + random_.below(300);
      pace_ = random_.below(100);
      if (random_.below(100) < 3) return random_.up_to(700ms);
    }
    --left_;
    if (pace_ < 40) return random_.up_to(60ns);
    if (pace_ < 90) return random_.up_to(2us);
    return random_.up_to(200us);
  }

  std::uint32_t size() {
    const std::uint32_t room = options_.frame_room;
    const std::uint32_t kind = options_.gentle ? 0 : random_.below(1000);
    if (kind < 700) return kSmallest;
    if (kind < 900) return kSmallest + random_.below(1500 - kSmallest);
    if (kind < 950) return room - random_.below(8);  // A frame, just.
    if (kind < 999) return room + 1 + random_.below(4 * room);
    return 19 * room;  // More segments than a packet may have.
  }

  Options options_;
  SimRandom random_;
  Time at_;
  std::uint64_t* serial_;
  std::uint32_t left_ = 0;  // Packets at this pace.
  std::uint32_t pace_ = 0;
};

}  // namespace sluice::testing
