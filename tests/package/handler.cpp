// SPDX-License-Identifier: Apache-2.0
// A handler that is made of an installed one, and has a flag of its own.
#include <sluice/app.hpp>
#include <sluice/services/macswap.hpp>
#include <utility>

class Limited {
 public:
  struct Config {
    std::uint64_t most = 1000;
    static void options(sluice::Options& options, Config& config) {
      options.add("--most", config.most, "Packets to answer");
    }
  };

  Limited(const Config& config, sluice::Core& core)
      : left_(config.most), swap_(core) {}

  void operator()(sluice::Packet packet, sluice::Core& core) noexcept {
    if (left_ == 0) return;
    --left_;
    swap_(std::move(packet), core);
  }

 private:
  std::uint64_t left_;
  sluice::services::MacSwap swap_;
};

int main(int argc, char** argv) { return sluice::run<Limited>(argc, argv); }
