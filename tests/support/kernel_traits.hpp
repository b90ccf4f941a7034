// SPDX-License-Identifier: Apache-2.0
// What AF_XDP does, trait by trait, on rings played by hand: the very same
// scenarios run over the simulated kernel and over Linux, on a veth pair.
// Source: net/xdp/xsk.c.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <ostream>
#include <sluice/testing/frame.hpp>
#include <sluice/testing/veth_lab.hpp>
#include <utility>

#include "kernel_side.hpp"

namespace sluice::testing {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

/// Bytes of a packet that a frame has room for.
inline constexpr std::size_t kSideRoom = kSideFrame - Packet::kHeadroom;

/// User space's end of the socket, without a Port: it may do what a Port never
/// does. Frames from 0 on are for FILL, from 128 on for TX.
class KernelTraits : public ::testing::TestWithParam<MakeSide> {
 protected:
  explicit KernelTraits(const SideOptions& options = {}) : options_(options) {}

  void SetUp() override {
    auto made = GetParam()(options_);
    if (!made) {
      if (VethLab::required()) FAIL() << made.error().message();
      GTEST_SKIP() << made.error().message();
    }
    side_ = std::move(*made);
    fill_.emplace(side_->rings().fill);
    rx_.emplace(side_->rings().rx);
    tx_.emplace(side_->rings().tx);
    completion_.emplace(side_->rings().completion);
  }

  static std::uint64_t frame(std::uint64_t index) { return index * kSideFrame; }
  void fill_address(std::uint64_t addr) {
    ASSERT_GE(fill_->writable(1), 1U);
    (*fill_)[0] = addr;
    fill_->submit(1);
  }
  void fill(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      fill_address(frame(next_frame_++ % 128));
    }
  }
  void put(const xdp_desc& desc) {
    ASSERT_GE(tx_->writable(1), 1U);
    (*tx_)[0] = desc;
    tx_->submit(1);
  }
  // A packet for the frame, or the beginning of one.
  void write(std::uint64_t addr, std::uint32_t size) {
    const Bytes packet = Frame()
                             .eth(kMacA, kMacB)
                             .ethertype(kSideType)
                             .payload(std::size_t{size} - 14)
                             .bytes();
    std::ranges::copy(
        packet, side_->memory().begin() + static_cast<std::ptrdiff_t>(addr));
  }
  void put_good(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint64_t addr = frame(128 + sent_++ % 128);
      write(addr, 60);
      put({addr, 60, 0});
    }
  }
  int kick() { return side_->kernel().kick_tx(0); }

  static Bytes packet(std::size_t size) {
    return Frame()
        .eth(kMacB, kMacA)
        .ipv4("10.203.0.2", "10.203.0.1")
        .udp(7, 7)
        .payload(size - 42)
        .bytes();
  }
  bool arrive(std::size_t size = 60) { return side_->arrive(packet(size)); }
  // Of packets that went out.
  std::vector<std::size_t> departed() {
    std::vector<std::size_t> sizes;
    for (const Bytes& each : side_->departed()) sizes.push_back(each.size());
    return sizes;
  }
  // Waits for as many; whatever else has come back is among them.
  std::vector<std::uint64_t> completions(std::uint32_t count) {
    const std::uint32_t all = completion_->size();
    for (int i = 0; i < 5000 && completion_->readable(all) < count; ++i) {
      side_->pass();
    }
    std::vector<std::uint64_t> back;
    const std::uint32_t ready = completion_->readable(all);
    for (std::uint32_t i = 0; i < ready; ++i) {
      back.push_back((*completion_)[i]);
    }
    completion_->release(ready);
    return back;
  }

  const SideOptions options_;
  std::unique_ptr<KernelSide> side_;
  std::optional<ProducerRing<std::uint64_t>> fill_;
  std::optional<ConsumerRing<xdp_desc>> rx_;
  std::optional<ProducerRing<xdp_desc>> tx_;
  std::optional<ConsumerRing<std::uint64_t>> completion_;
  std::uint64_t next_frame_ = 0;
  std::uint64_t sent_ = 0;
};

struct LongRings : KernelTraits {
  LongRings() : KernelTraits({.ring_size = 128}) {}
};
struct ShortRings : KernelTraits {
  ShortRings() : KernelTraits({.ring_size = 32}) {}
};
struct GrantedBudget : KernelTraits {
  GrantedBudget() : KernelTraits({.ring_size = 128, .tx_budget = 128}) {}
};
struct MultiBuffer : KernelTraits {
  MultiBuffer() : KernelTraits({.multi_buffer = true}) {}
};

/// The end of their names in ctest; else it would be an address.
inline void PrintTo(MakeSide, std::ostream* out) { *out << "CopyMode"; }

/// In one source of each program that has a kernel to offer.
#define SLUICE_INSTANTIATE_KERNEL_TRAITS(kernel, make)                      \
  INSTANTIATE_TEST_SUITE_P(kernel, KernelTraits, ::testing::Values(make));  \
  INSTANTIATE_TEST_SUITE_P(kernel, LongRings, ::testing::Values(make));     \
  INSTANTIATE_TEST_SUITE_P(kernel, ShortRings, ::testing::Values(make));    \
  INSTANTIATE_TEST_SUITE_P(kernel, GrantedBudget, ::testing::Values(make)); \
  INSTANTIATE_TEST_SUITE_P(kernel, MultiBuffer, ::testing::Values(make));   \
  INSTANTIATE_TEST_SUITE_P(kernel, OffloadTraits, ::testing::Values(make))

}  // namespace sluice::testing
