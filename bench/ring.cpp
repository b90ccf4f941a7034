// SPDX-License-Identifier: Apache-2.0
// bench/ring: the public API against a loop written by hand, without a kernel.
//
// usage: bench_ring [Google Benchmark's flags]
//        bench_ring --count WORK LOOP TURNS   one run, for callgrind (ring.sh)
//
// Each turn receives a batch, handles it, sends or drops it, reclaims and
// refills, with all statistics on. WORK is drop, macswap or reflect; LOOP is
// raw (raw_loop.hpp), each (a handler of packets) or burst (of bursts).
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <sluice/core.hpp>
#include <sluice/poller.hpp>
#include <string_view>
#include <vector>

#include "raw_loop.hpp"
#include "wire.hpp"
#include "work.hpp"

namespace sluice::bench {
namespace {

constexpr std::size_t kTurnsPerSlice = 256;

/// A minimal UDP packet over IPv4; only the fields that Work reads.
std::vector<std::byte> sample() {
  std::vector<std::byte> bytes(kPacketSize);
  for (std::size_t i = 0; i < 12; ++i) bytes[i] = static_cast<std::byte>(i);
  bytes[12] = std::byte{8};
  bytes[14] = std::byte{0x45};
  return bytes;
}

/// The wire needs nobody to wake it. The clock is read as on Linux.
class Nothing final : public Kernel {
 public:
  int kick_tx(std::uint8_t) noexcept override { return 0; }
  int wake_rx(std::uint8_t) noexcept override { return 0; }
  void wait(Time, std::uint32_t) noexcept override {}
  Time now() noexcept override { return monotonic_now(); }
  bool next_event(Event&) noexcept override { return false; }
};

template <class Work>
class Raw {
 public:
  std::uint32_t turn() noexcept { return loop_.turn(); }
  [[nodiscard]] std::uint64_t packets() const { return loop_.packets; }
  [[nodiscard]] bool good() const { return loop_.invalid == 0; }

  Wire wire{sample()};

 private:
  Work work_;
  RawLoop<Work> loop_{work_, wire.rings(), wire.umem(), kFrameSize};
};

template <class Handler>
class Sluice {
 public:
  Sluice() {
    ports_.front().refill();
    core_ = std::make_unique<Core>(0, 0, ports_, std::vector<PortFacts>(1),
                                   pool_, kernel_.now());
    poller_ = std::make_unique<Poller<Handler>>(handler_, *core_, kernel_);
  }
  std::uint32_t turn() noexcept { return poller_->turn(); }
  [[nodiscard]] std::uint64_t packets() const {
    return core_->ports().front().counters().rx_packets.value();
  }
  [[nodiscard]] bool good() const { return core_->ledger().balanced(); }

  Wire wire{sample()};

 private:
  static std::vector<Port> one_port(const PortRings& rings, FramePool& pool) {
    std::vector<Port> ports;
    ports.emplace_back(std::uint8_t{0}, std::uint16_t{0}, rings, pool,
                       kRingSize);
    return ports;
  }

  FramePool pool_{wire.umem(), kFrameSize};
  std::vector<Port> ports_ = one_port(wire.rings(), pool_);
  Handler handler_;
  Nothing kernel_;
  std::unique_ptr<Core> core_;
  std::unique_ptr<Poller<Handler>> poller_;
};

/// What callgrind counts: the application's side alone.
template <class Loop>
[[gnu::noinline]] void application_turn(Loop& loop) noexcept {
  loop.turn();
}

template <class Loop>
void run(Loop& loop, std::size_t turns) {
  for (std::size_t i = 0; i < turns; ++i) {
    loop.wire.step();
    application_turn(loop);
  }
}

void stop_if(bool bad) {
  if (!bad) return;
  std::fputs("bench_ring: frames were lost\n", stderr);
  std::exit(1);
}

using Clock = std::chrono::steady_clock;

template <class Loop>
double nanoseconds(Loop& loop) {
  const auto start = Clock::now();
  run(loop, kTurnsPerSlice);
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

/// Both loops in turn, slice by slice: what disturbs one disturbs the other.
template <class Loop, class Work>
void against_raw(benchmark::State& state) {
  Raw<Work> raw;
  Loop loop;
  std::vector<double> ratios;
  double raw_ns = 0;
  double loop_ns = 0;
  std::uint64_t slices = 0;
  run(raw, kTurnsPerSlice);
  run(loop, kTurnsPerSlice);
  for (auto _ : state) {
    const double theirs = nanoseconds(raw);
    const double ours = nanoseconds(loop);
    state.SetIterationTime(ours * 1e-9);
    raw_ns += theirs;
    loop_ns += ours;
    ratios.push_back(ours / theirs);
    ++slices;
  }
  stop_if(!raw.good() || !loop.good());
  const auto middle = ratios.begin() + static_cast<long>(ratios.size() / 2);
  std::nth_element(ratios.begin(), middle, ratios.end());
  const double packets = static_cast<double>(slices) * kTurnsPerSlice * kBatch;
  state.SetItemsProcessed(static_cast<std::int64_t>(packets));
  state.counters["raw_ns"] = raw_ns / packets;
  state.counters["ns"] = loop_ns / packets;
  state.counters["ratio"] = *middle;
}

template <class Loop>
int count(std::size_t turns) {
  Loop loop;
  run(loop, turns);
  const std::uint64_t packets = loop.packets();
  stop_if(!loop.good() || packets != turns * kBatch);
  std::printf("%llu\n", static_cast<unsigned long long>(packets));
  return 0;
}

template <class Work>
int count(std::string_view loop, std::size_t turns) {
  if (loop == "raw") return count<Raw<Work>>(turns);
  if (loop == "each") return count<Sluice<Each<Work>>>(turns);
  if (loop == "burst") return count<Sluice<Whole<Work>>>(turns);
  return 2;
}

int count(std::string_view work, std::string_view loop, std::size_t turns) {
  if (work == "drop") return count<Drop>(loop, turns);
  if (work == "macswap") return count<MacSwap>(loop, turns);
  if (work == "reflect") return count<Reflect>(loop, turns);
  return 2;
}

BENCHMARK(against_raw<Sluice<Each<Drop>>, Drop>)
    ->Name("drop/each")
    ->UseManualTime();
BENCHMARK(against_raw<Sluice<Whole<Drop>>, Drop>)
    ->Name("drop/burst")
    ->UseManualTime();
BENCHMARK(against_raw<Sluice<Each<MacSwap>>, MacSwap>)
    ->Name("macswap/each")
    ->UseManualTime();
BENCHMARK(against_raw<Sluice<Whole<MacSwap>>, MacSwap>)
    ->Name("macswap/burst")
    ->UseManualTime();
BENCHMARK(against_raw<Sluice<Each<Reflect>>, Reflect>)
    ->Name("reflect/each")
    ->UseManualTime();
BENCHMARK(against_raw<Sluice<Whole<Reflect>>, Reflect>)
    ->Name("reflect/burst")
    ->UseManualTime();

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  if (argc == 5 && std::strcmp(argv[1], "--count") == 0) {
    return sluice::bench::count(argv[2], argv[3],
                                std::strtoul(argv[4], nullptr, 10));
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
