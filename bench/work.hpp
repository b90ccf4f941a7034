// SPDX-License-Identifier: Apache-2.0
// What is done to each packet: the same code under both loops of bench/ring.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <sluice/handler.hpp>
#include <utility>

namespace sluice::bench {

/// Swaps the values of type T at two places. Memory is touched once each way.
template <class T>
inline void swap_at(std::byte* a, std::byte* b) noexcept {
  T left;
  T right;
  std::memcpy(&left, a, sizeof left);
  std::memcpy(&right, b, sizeof right);
  std::memcpy(a, &right, sizeof right);
  std::memcpy(b, &left, sizeof left);
}

/// Counts packets by the parity of their EtherType: it has to be looked at.
struct Drop {
  std::uint64_t seen = 0;
  bool operator()(const std::byte* data, std::uint64_t size) noexcept {
    if (size >= 14) seen += static_cast<std::uint8_t>(data[13]);
    return false;
  }
};

struct MacSwap {
  bool operator()(std::byte* data, std::uint64_t size) noexcept {
    if (size < 14) return false;
    swap_at<std::array<std::byte, 6>>(data, data + 6);
    return true;
  }
};

/// Ethernet, IPv4 and UDP: addresses and ports change places, so that no
/// checksum changes.
struct Reflect {
  bool operator()(std::byte* data, std::uint64_t size) noexcept {
    if (size < 42 || data[12] != std::byte{8} || data[13] != std::byte{0} ||
        data[14] != std::byte{0x45}) {
      return false;
    }
    swap_at<std::array<std::byte, 6>>(data, data + 6);
    swap_at<std::uint32_t>(data + 26, data + 30);
    swap_at<std::uint16_t>(data + 34, data + 36);
    return true;
  }
};

/// The work as a handler of single packets.
template <class Work>
struct Each {
  Work work;
  void operator()(Packet packet, Core& core) noexcept {
    const auto bytes = packet.bytes();
    if (work(bytes.data(), bytes.size())) core.reply(std::move(packet));
  }
};

/// The work as a handler of bursts.
template <class Work>
struct Whole {
  Work work;
  void operator()(Burst& burst, Core& core) noexcept {
    for (Packet& packet : burst) {
      const auto bytes = packet.bytes();
      if (work(bytes.data(), bytes.size())) core.reply(std::move(packet));
    }
  }
};

}  // namespace sluice::bench
