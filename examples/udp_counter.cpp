// SPDX-License-Identifier: Apache-2.0
// udp_counter: takes UDP off the wire and counts it by flow. A NIC gives all
// packets of a flow to one queue, and so to one core: each core has a table of
// its own, and nothing is shared or locked.
//
//   udp_counter -i eth0 --steer 'udp and dst port 53' --flows 100000
#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <random>
#include <sluice/app.hpp>
#include <utility>
#include <vector>

class UdpCounter {
 public:
  struct Config {
    std::uint64_t flows = 65536;
    static void options(sluice::Options& options, Config& config) {
      options.add("--flows", config.flows, "Flows told apart on each core");
    }
  };

  UdpCounter(const Config& config, sluice::Core& core)
      : limit_(config.flows <= kLimitMax ? config.flows : 0),
        datagrams_(core.counter("datagrams")) {
    if (limit_ != config.flows)
      core.fail({EINVAL, "--flows", "beyond 4194304", "Give a smaller one."});
    table_.resize(std::bit_ceil(2 * limit_));  // At most half of it is used.
    core.every(std::chrono::seconds(1),
               [this] { peak_ = std::max(peak_, std::exchange(second_, 0)); });
  }

  void operator()(sluice::Packet packet, sluice::Core&) noexcept {
    const sluice::Layers layers = sluice::parse(packet);
    if (layers.udp() == nullptr) return;
    ++datagrams_;
    ++second_;
    bytes_ += layers.payload().size();
    ++find(layers.flow()).datagrams;
  }

  void report(sluice::Report& report) const {
    report.add("flows", used_);
    report.add("payload_bytes", bytes_);
    report.add("datagrams_of_other_flows", other_.datagrams);
    report.maximum("peak_of_a_core_per_second", peak_);
  }

 private:
  struct alignas(64) Flow {  // A cache line each.
    sluice::FlowKey key{};
    std::uint64_t datagrams = 0;  // Zero: the slot is free.
  };
  static constexpr std::uint64_t kLimitMax = 1 << 22;

  // An unordered_map, even reserved, allocates a node for each new flow; this
  // table never does, and its look-up touches one or two cache lines.
  Flow& find(const sluice::FlowKey& key) noexcept {
    for (std::uint64_t slot = key.hash(seed_);; ++slot) {
      Flow& flow = table_[slot & (table_.size() - 1)];
      if (flow.datagrams != 0 && flow.key == key) return flow;
      if (flow.datagrams != 0) continue;
      if (used_ == limit_) return other_;
      ++used_;
      return flow = {.key = key};
    }
  }

  std::vector<Flow> table_;
  Flow other_;  // Those for which there was no room.
  std::uint64_t seed_ = std::random_device()();  // So nobody aims collisions.
  std::uint64_t limit_, used_ = 0, bytes_ = 0, second_ = 0, peak_ = 0;
  sluice::Counter& datagrams_;
};

int main(int argc, char** argv) { return sluice::run<UdpCounter>(argc, argv); }
