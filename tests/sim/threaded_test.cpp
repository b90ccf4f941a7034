// SPDX-License-Identifier: Apache-2.0
// The loop against a kernel on another thread. Nothing but the rings' own
// memory orders lies between the two: under TSan a packet's bytes are a data
// race as soon as one of them is missing.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <sluice/poller.hpp>
#include <sluice/testing/sim_ring.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "numbered_traffic.hpp"

namespace sluice::testing {
namespace {

constexpr std::uint32_t kFrame = 2048;
constexpr std::uint32_t kFrames = 256;
constexpr std::uint32_t kRing = 64;
constexpr std::uint32_t kStart = ~0U - 1000;
constexpr std::uint64_t kPackets = kCheckFrames ? 50'000 : 500'000;

// The kernel's thread: puts numbered packets into RX as fast as it can, takes
// what comes from TX and looks at it, and gives the frames back out of order.
class KernelThread : public Kernel {
 public:
  explicit KernelThread(std::span<std::byte> umem) : umem_(umem) {}
  ~KernelThread() override { join(); }

  PortRings rings() {
    return {fill_.memory(), rx_.memory(), tx_.memory(), completion_.memory()};
  }
  void start() {
    tx_.ask_for_wakeup(true);
    thread_ = std::thread([this] { live(); });
  }
  void join() {
    stop_.store(true, std::memory_order_relaxed);
    if (thread_.joinable()) thread_.join();
  }

  // After join().
  std::uint64_t delivered = 0;
  std::uint64_t taken = 0;
  std::string problem;

  // Relaxed: a system call must not order what the rings should.
  int kick_tx(std::uint8_t) noexcept override {
    kicks_.fetch_add(1, std::memory_order_relaxed);
    return 0;
  }
  int wake_rx(std::uint8_t) noexcept override { return 0; }
  void wait(Time, std::uint32_t) noexcept override {
    std::this_thread::yield();
  }
  Time now() noexcept override { return monotonic_now(); }
  bool next_event(Event&) noexcept override { return false; }

 private:
  void live() {
    SimRandom random(1);
    while (!stop_.load(std::memory_order_relaxed)) {
      bool worked = false;
      for (std::uint32_t n = random.below(32); n > 0 && deliver(random); --n) {
        worked = true;
      }
      if (kicks_.load(std::memory_order_relaxed) != kicks_seen_) {
        kicks_seen_ = kicks_.load(std::memory_order_relaxed);
        active_ = true;
      }
      for (std::uint32_t n = random.below(32); active_ && n > 0; --n) {
        active_ = transmit();
        worked |= active_;
      }
      if (!flying_.empty() && random.below(2) == 0) complete(random);
      if (!worked) std::this_thread::yield();
    }
  }
  bool deliver(SimRandom& random) {
    if (delivered == kPackets || fill_.readable() == 0 || rx_.room() == 0) {
      return false;
    }
    const std::uint64_t addr = fill_.peek() / kFrame * kFrame + 256;
    fill_.pop();
    const std::uint32_t size = kSmallest + random.below(400);
    write_packet({++delivered, 0, size}, bytes_);
    sim_copy(&umem_[addr], bytes_.data(), size);
    rx_.push({addr, size, 0});
    return true;
  }
  bool transmit() {
    if (tx_.readable() == 0 || flying_.size() >= kRing) return false;
    const xdp_desc desc = tx_.peek();
    sent_.resize(desc.len);
    sim_copy(sent_.data(), &umem_[desc.addr], desc.len);
    Mark mark;
    std::memcpy(&mark, sent_.data(), sizeof mark);
    if (mark.size != desc.len || mark.serial <= last_) {
      problem = "Packet " + std::to_string(mark.serial) + " out of its turn.";
    } else {
      write_packet(mark, bytes_);
      bytes_.back() ^= std::byte{0x80};
      if (bytes_ != sent_) {
        problem = "Packet " + std::to_string(mark.serial) + " changed.";
      }
    }
    last_ = mark.serial;
    ++taken;
    tx_.pop();
    flying_.push_back(desc.addr);
    return true;
  }
  void complete(SimRandom& random) {
    while (!flying_.empty() && completion_.room() > 0) {
      const auto i = random.below(static_cast<std::uint32_t>(flying_.size()));
      completion_.push(std::exchange(flying_[i], flying_.back()));
      flying_.pop_back();
    }
  }

  std::span<std::byte> umem_;
  SimRing<std::uint64_t> fill_{2 * kRing, kStart};
  SimRing<xdp_desc> rx_{kRing, kStart};
  SimRing<xdp_desc> tx_{kRing, kStart};
  SimRing<std::uint64_t> completion_{kRing, kStart};
  std::thread thread_;
  std::atomic<bool> stop_ = false;
  std::atomic<std::uint32_t> kicks_ = 0;

  // The thread's.
  std::uint32_t kicks_seen_ = 0;
  bool active_ = false;
  std::uint64_t last_ = 0;
  std::vector<std::uint64_t> flying_;
  std::vector<std::byte> bytes_;
  std::vector<std::byte> sent_;
};

// Answers most, drops some, keeps some for later and drops those.
struct ThreadedWork {
  std::uint64_t received = 0;
  std::uint64_t wrong = 0;
  std::vector<Packet> kept = {};
  std::vector<std::byte> expected = {};

  void operator()(Packet packet, Core& core) noexcept {
    Mark mark;
    std::memcpy(&mark, packet.bytes().data(), sizeof mark);
    if (mark.serial != ++received || mark.size != packet.size()) {
      ++wrong;
      return;
    }
    write_packet(mark, expected);
    const auto bytes = packet.bytes();
    if (!std::equal(bytes.begin(), bytes.end(), expected.begin())) ++wrong;
    if (received % 7 == 0) return;
    if (received % 5 == 0) {
      if (kept.size() == 20) kept.clear();
      kept.push_back(std::move(packet));
      return;
    }
    bytes.back() ^= std::byte{0x80};
    core.reply(std::move(packet));
  }
};

TEST(ThreadedTest, TheRingsOrderMemoryBetweenTwoThreads) {
  const std::align_val_t page{4096};
  std::unique_ptr<std::byte[], void (*)(std::byte*)> memory(
      static_cast<std::byte*>(
          ::operator new[](std::size_t{kFrame} * kFrames, page)),
      [](std::byte* at) { ::operator delete[](at, std::align_val_t{4096}); });
  const std::span<std::byte> umem(memory.get(), std::size_t{kFrame} * kFrames);
  KernelThread kernel(umem);
  FramePool pool(umem, kFrame);
  std::vector<Port> ports;
  ports.emplace_back(std::uint8_t{0}, std::uint16_t{0}, kernel.rings(), pool,
                     kRing);
  Core core(0, 0, ports, {{"p0", "p0", {}, 1500}}, pool, monotonic_now());
  ThreadedWork work;
  Poller<ThreadedWork> poller(work, core, kernel);
  kernel.start();
  const Time deadline = monotonic_now() + 240s;
  while (monotonic_now() < deadline &&
         (work.received < kPackets || ports[0].transmitting() > 0)) {
    if (poller.turn() == 0) std::this_thread::yield();
    ASSERT_TRUE(core.ledger().balanced());
  }
  kernel.join();
  work.kept.clear();
  EXPECT_EQ(kernel.problem, "");
  EXPECT_EQ(work.wrong, 0U);
  EXPECT_EQ(work.received, kPackets);
  EXPECT_EQ(kernel.delivered, kPackets);
  EXPECT_EQ(ports[0].counters().tx_packets.value(), kernel.taken);
  EXPECT_GT(kernel.taken, kPackets / 2);
  EXPECT_EQ(core.ledger().transmitting, 0U);
  EXPECT_EQ(core.ledger().handler, 0U);
  EXPECT_TRUE(core.ledger().balanced());
}

// Where frames go round, FILL orders most of what RX should. Here one ring is
// all that lies between the two threads: TSan finds what it lacks, whichever of
// them runs when.
constexpr std::uint64_t kEntries = 10'000;

TEST(ThreadedTest, AConsumerRingAloneOrdersItsSlots) {
  SimRing<std::uint64_t> kernel(4, kStart);
  std::thread thread([&kernel] {
    for (std::uint64_t next = 0; next < kEntries; ++next) {
      while (kernel.room() == 0) std::this_thread::yield();
      kernel.push(next);
    }
  });
  ConsumerRing<std::uint64_t> ring(kernel.memory());
  std::uint64_t wrong = 0;
  for (std::uint64_t next = 0; next < kEntries;) {
    const std::uint32_t ready = ring.readable(4);
    if (ready == 0) std::this_thread::yield();
    for (std::uint32_t i = 0; i < ready; ++i) wrong += ring[i] != next++;
    ring.release(ready);
  }
  thread.join();
  EXPECT_EQ(wrong, 0U);
}

TEST(ThreadedTest, AProducerRingAloneOrdersItsSlots) {
  SimRing<std::uint64_t> kernel(4, kStart);
  std::uint64_t wrong = 0;
  std::thread thread([&kernel, &wrong] {
    for (std::uint64_t next = 0; next < kEntries; ++next) {
      while (kernel.readable() == 0) std::this_thread::yield();
      wrong += kernel.peek() != next;
      kernel.pop();
    }
  });
  ProducerRing<std::uint64_t> ring(kernel.memory());
  for (std::uint64_t next = 0; next < kEntries;) {
    const auto left = static_cast<std::uint32_t>(kEntries - next);
    const std::uint32_t room = ring.writable(std::min(4U, left));
    if (room == 0) std::this_thread::yield();
    for (std::uint32_t i = 0; i < room; ++i) ring[i] = next + i;
    ring.submit(room);
    next += room;
  }
  while (ring.unconsumed() > 0) std::this_thread::yield();
  thread.join();
  EXPECT_EQ(wrong, 0U);
}

}  // namespace
}  // namespace sluice::testing
