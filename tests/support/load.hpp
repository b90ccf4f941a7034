// SPDX-License-Identifier: Apache-2.0
// Load: datagrams to a reflecting port and their answers, without end, over
// interfaces that come and go.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <sluice/testing/frame.hpp>
#include <sluice/testing/wire.hpp>
#include <span>
#include <string>
#include <thread>
#include <utility>

namespace sluice::testing {

/// Source address of sender `number`. The queue that RSS chooses is an XOR of
/// bits of its key, which drivers draw: addresses that differ in few bits may
/// all have the same one. By this factor any two of the first 16 differ in
/// another set of bits, and no such set is the XOR of others.
inline std::string address_of(std::uint32_t number) {
  const std::uint32_t bits = number * 0x3c6d;
  return "10.8." + std::to_string(bits >> 8 & 255) + "." +
         std::to_string(bits & 255);
}

/// On a thread of its own, to port 7, from 16 addresses.
class Load {
 public:
  using Clock = std::chrono::steady_clock;
  /// A loaded machine's; traffic takes far less.
  static constexpr std::chrono::seconds kPatience{60};
  /// Answers that show that packets flow.
  static constexpr std::uint64_t kEnough = 100;

  /// `open`: the interface that it sends on, again whenever that fails.
  /// `pause`: between one datagram of each address and the next.
  Load(std::function<Result<Wire>()> open, const Mac& from, const Mac& to,
       std::chrono::milliseconds pause = std::chrono::milliseconds(1))
      : open_(std::move(open)),
        from_(from),
        to_(to),
        pause_(pause),
        thread_([this](const std::stop_token& stop) { run(stop); }) {}

  /// Packets go there and back: waits for answers to what is sent from now on.
  /// False: in vain.
  bool flows() {
    answers_ = 0;  // Some may be of the round before: those count below.
    ++round_;
    const auto begin = Clock::now();
    while (answers_ < kEnough) {
      if (Clock::now() - begin > kPatience) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    longest_ = std::max(longest_, Clock::now() - begin);
    return true;
  }
  /// What flows() took at most.
  [[nodiscard]] std::chrono::milliseconds longest() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(longest_);
  }

 private:
  [[nodiscard]] Bytes datagram(std::uint32_t sender, std::uint16_t port) const {
    return Frame()
        .eth(from_, to_)
        .ipv4(address_of(sender), "10.9.0.1")
        .udp(port, 7)
        .payload(std::string(32, 'x'));
  }
  void run(const std::stop_token& stop) {
    std::optional<Wire> wire;
    while (!stop.stop_requested()) {
      // Of each round from a port of its own.
      const auto port = static_cast<std::uint16_t>(1000 + round_);
      if (!wire) {
        auto opened = open_();
        if (opened) wire.emplace(std::move(*opened));
      }
      for (std::uint32_t sender = 0; wire && sender < 16; ++sender) {
        if (!wire->send(datagram(sender, port))) wire.reset();
      }
      std::this_thread::sleep_for(pause_);
      const auto is_answer = [port](std::span<const std::byte> bytes) {
        return bytes.size() > 38 && bytes[23] == std::byte{17} &&
               bytes[34] == std::byte{0} && bytes[35] == std::byte{7} &&
               bytes[36] == std::byte(port >> 8) &&
               bytes[37] == std::byte(port & 0xff);
      };
      while (wire && wire->receive({}, is_answer)) ++answers_;
    }
  }

  std::function<Result<Wire>()> open_;
  Mac from_, to_;
  std::chrono::milliseconds pause_;
  Clock::duration longest_{};
  std::atomic<std::uint64_t> round_ = 0;
  std::atomic<std::uint64_t> answers_ = 0;  // Of this round.
  std::jthread thread_;
};

}  // namespace sluice::testing
