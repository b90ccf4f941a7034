// SPDX-License-Identifier: Apache-2.0
// Mirror: the first bytes of packets that `mirror` rules match, as they come.
//
//   auto mirror = sluice::Mirror::open(program);
//   while (poll(mirror->fd()))
//     mirror->read([](const sluice::Mirrored& packet) { ... });
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include <sluice/clock.hpp>
#include <sluice/program.hpp>
#include <sluice/result.hpp>

namespace sluice {

/// One packet, as the rule saw it.
struct Mirrored {
  Time time;                         ///< CLOCK_MONOTONIC.
  std::uint32_t rule = 0;            ///< Index in the list in force then.
  std::uint32_t queue = 0;           ///< It came in on.
  std::uint32_t size = 0;            ///< In bytes, without FCS.
  std::span<const std::byte> bytes;  ///< Its first SLUICE_MIRROR_BYTES or all.
};

/// The reader of a program's ring buffer, of which there is one: each packet is
/// read once, by whoever comes first. What nobody reads stays, and once the
/// ring is full (1 MiB, about 3700 packets) packets are lost to the reader and
/// counted; they go where the rules say all the same. One thread at a time.
class Mirror {
 public:
  /// Packets that came before are there, too. The ring outlives the program, as
  /// long as this object lives. System calls: bpf, mmap, epoll_create1.
  [[nodiscard]] static Result<Mirror> open(const Program& program);

  Mirror(Mirror&&) noexcept;
  Mirror& operator=(Mirror&&) noexcept;
  ~Mirror();

  /// Hands over what there is, in the order of arrival, at most `most`; says
  /// how many that was. `bytes` are valid during the call. No system call.
  std::size_t read(const std::function<void(const Mirrored&)>& take,
                   std::size_t most = ~std::size_t{0});
  /// Readable, for poll(2), once a packet came in while there was none.
  [[nodiscard]] int fd() const noexcept;

 private:
  struct State;
  explicit Mirror(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace sluice
