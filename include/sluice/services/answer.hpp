// SPDX-License-Identifier: Apache-2.0
// Answer: what services that answer share: turning a ping round, and counting
// what can't be answered by reason.
#pragma once

#include <cstdint>
#include <sluice/core.hpp>
#include <sluice/parse.hpp>

namespace sluice::services {

/// Counters for packets that are not whole, by shape.
class Unfit {
 public:
  explicit Unfit(Core& core)
      : fragment_(core.counter("dropped_fragment")),
        truncated_(core.counter("dropped_truncated")),
        malformed_(core.counter("dropped_malformed")),
        unknown_(core.counter("dropped_unknown")) {}

  /// `whole`, too, counts as unknown: to the service, which had no use for it.
  void count(Shape shape) noexcept {
    Counter& reason = shape == Shape::fragment    ? fragment_
                      : shape == Shape::truncated ? truncated_
                      : shape == Shape::malformed ? malformed_
                                                  : unknown_;
    ++reason;
  }

 private:
  Counter& fragment_;
  Counter& truncated_;
  Counter& malformed_;
  Counter& unknown_;
};

namespace answer {

// Both ICMPs begin with type, code and checksum.
template <class Header>
bool echo(Header* header) noexcept {
  if (header == nullptr || header->type != Header::kEchoRequest ||
      header->code != 0) {
    return false;
  }
  header->type = Header::kEchoReply;
  mend_checksum(header->checksum,
                Sum().add(be16{std::uint16_t{Header::kEchoRequest} << 8}),
                Sum().add(be16{std::uint16_t{Header::kEchoReply} << 8}));
  return true;
}

}  // namespace answer

/// Makes the reply of an ICMP or ICMPv6 echo request, addresses apart. False,
/// and nothing changed, for anything else. Source: RFC 792; RFC 4443, 4.2.
[[nodiscard]] inline bool answer_ping(const Layers& layers) noexcept {
  return answer::echo(layers.icmp()) || answer::echo(layers.icmpv6());
}

}  // namespace sluice::services
