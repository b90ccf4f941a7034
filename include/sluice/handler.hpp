// SPDX-License-Identifier: Apache-2.0
// Handler: what a user gives a poller, and the forms it may have.
//
// clang-format off
//   struct MyHandler {
//     struct Config {                                           // optional
//       static void options(sluice::Options&, Config&);         // for run<>
//     };
//     MyHandler(const Config&, sluice::Core&);                  // or less
//     void operator()(sluice::Packet, sluice::Core&) noexcept;  // or a burst:
//     void operator()(sluice::Burst&, sluice::Core&) noexcept;
//     void event(const sluice::Event&);                         // optional
//     void report(sluice::Report&);                             // optional
//     static constexpr std::uint32_t kHolds = 1000;             // optional
//   };
// clang-format on
//
// One instance per core, made and destroyed on the core's thread. kHolds is the
// most packets it keeps at a time: the start refuses where frames can't cover.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <sluice/core.hpp>
#include <sluice/kernel.hpp>
#include <sluice/packet.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

/// The packets of one burst, in order of arrival. A handler moves out those
/// that it wants to keep or to send; the others die when it returns.
class Burst {
 public:
  explicit Burst(std::span<Packet> packets) noexcept : packets_(packets) {}
  [[nodiscard]] Packet* begin() const noexcept { return packets_.data(); }
  [[nodiscard]] Packet* end() const noexcept { return begin() + size(); }
  [[nodiscard]] std::size_t size() const noexcept { return packets_.size(); }
  [[nodiscard]] Packet& operator[](std::size_t i) const noexcept {
    return packets_[i];
  }

 private:
  std::span<Packet> packets_;
};

/// A handler's totals, merged over the cores by name. Cold.
class Report {
 public:
  /// Summed over the cores.
  void add(std::string_view name, std::uint64_t value);
  /// The greatest of the cores.
  void maximum(std::string_view name, std::uint64_t value);

  struct Entry {
    std::string name;
    std::uint64_t value = 0;
  };
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }

 private:
  Entry& entry(std::string_view name);
  std::vector<Entry> entries_;
};

template <class H>
concept PacketHandler = requires(H handler, Packet packet, Core& core) {
  { handler(std::move(packet), core) } noexcept -> std::same_as<void>;
};

template <class H>
concept BurstHandler = requires(H handler, Burst& burst, Core& core) {
  { handler(burst, core) } noexcept -> std::same_as<void>;
};

template <class H>
concept Handler = PacketHandler<H> != BurstHandler<H>;

namespace handler {

struct NoConfig {};
template <class H>
struct ConfigOf {
  using Type = NoConfig;
};
template <class H>
  requires requires { typename H::Config; }
struct ConfigOf<H> {
  using Type = typename H::Config;
};

/// The handler's Config, or an empty one.
template <class H>
using Config = typename ConfigOf<H>::Type;

/// Packets that the handler says it may keep at a time.
template <class H>
consteval std::uint32_t holds() {
  if constexpr (requires { H::kHolds; }) {
    return H::kHolds;
  } else {
    return 0;
  }
}

/// Makes a handler by the fullest constructor that it has.
template <class H>
[[nodiscard]] H make(const Config<H>& config, Core& core) {
  if constexpr (std::constructible_from<H, const Config<H>&, Core&>) {
    return H(config, core);
  } else if constexpr (std::constructible_from<H, Core&>) {
    return H(core);
  } else if constexpr (std::constructible_from<H, const Config<H>&>) {
    return H(config);
  } else {
    static_assert(std::default_initializable<H>,
                  "a handler needs a constructor (const Config&, Core&), "
                  "(Core&), (const Config&) or ()");
    return H();
  }
}

}  // namespace handler
}  // namespace sluice
