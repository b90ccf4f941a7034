// SPDX-License-Identifier: Apache-2.0
// PcapEngine: a handler over captures instead of interfaces. No root, no NIC.
//
//   auto engine = PcapEngine::open({.ports = {{.name = "p"}}}, sources, sink);
//   if (!engine) return fail(engine.error());
//   auto started = (*engine)->start<MyHandler>();
//   while ((*engine)->step(1000)) print((*engine)->stats());
//   (*engine)->stop();
//
// The loop is the one of an interface, turn for turn; the clock is the file's.
// Each moment that has a packet or a due timer is one turn, at exactly that
// time: packets first, then timers. What is sent leaves in that turn. Packets
// of the same time come together, as a burst. Several ports are merged by time;
// at the same time the first port is first.
//
// All on the caller's thread, and the same every time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <sluice/handler.hpp>
#include <sluice/poller.hpp>
#include <sluice/rules.hpp>
#include <sluice/stats.hpp>
#include <sluice/testing/pcap.hpp>
#include <span>
#include <vector>

namespace sluice::testing {

struct PcapOptions {
  /// One or more. Where `mac` is all zero it is 02:00:00:00:00:01, ...:02 and
  /// so on; where `mtu` is 0 it is 1500.
  std::vector<PortFacts> ports = {};
  std::optional<Rules> rules = {};  ///< None: every packet is steered.
  /// Cores, each with a handler of its own: a packet goes to the core
  /// `parse(packet).flow().hash() % queues`, as a NIC keeps a flow together.
  std::uint32_t queues = 1;
  Duration linger{};  ///< Timers go on so long after the last packet.
  std::uint32_t batch = 64;
  std::uint32_t ring_size = 256;
  std::uint32_t frame_size = 2048;
  std::uint32_t frames_per_queue = 0;  ///< 0: what is needed.
  std::uint32_t holds = 0;             ///< Packets that the handler keeps.
  std::uint32_t bypass_flows = 0;      ///< As in EngineOptions.
  bool multi_buffer = true;            ///< Packets larger than a frame.
  /// As in EngineOptions: a capture offers none, which is said.
  bool tx_offload = false;
  bool rx_hints = false;  ///< The same.
};

/// What became of the packets of one port. `read` is the sum of `cut`, what
/// rules, or the handler in advance, passed, dropped and reflected, what the
/// handler received (rx_packets), and what the rings lost (kernel.rx_dropped,
/// kernel.rx_ring_full).
struct PcapTally {
  std::uint64_t read = 0;
  std::uint64_t cut = 0;     ///< The capture kept only their front: left out.
  std::uint64_t late = 0;    ///< Stamped earlier than what came before.
  std::uint64_t chains = 0;  ///< Larger than a frame: in several segments.
  std::uint64_t sent = 0;    ///< By handlers.
};

class PcapEngine {
 public:
  /// `sources`: one for each port, or fewer; nullptr where nothing comes in.
  /// `sink` outlives the engine. Reads the first packet of each.
  [[nodiscard]] static Result<std::unique_ptr<PcapEngine>> open(
      PcapOptions options, std::vector<std::unique_ptr<PacketSource>> sources,
      PacketSink& sink);
  ~PcapEngine();
  PcapEngine(const PcapEngine&) = delete;
  PcapEngine& operator=(const PcapEngine&) = delete;

  /// Makes the memory of each core, and a handler on it, at the time of the
  /// first packet. Fails with the first handler's error.
  template <Handler H>
  Result<void> start(const handler::Config<H>& config = {}) {
    return start_cores(
        handler::holds<H>(),
        [&config](Core& core, Kernel& kernel,
                  const PollerOptions& options) -> std::unique_ptr<Runner> {
          return std::make_unique<RunnerOf<H>>(config, core, kernel, options);
        });
  }

  /// Goes on for that many moments. False: all is done, timers included.
  bool step(std::uint32_t moments);

  /// Reports, and ends the handlers. Statistics and report stay.
  void stop();

  [[nodiscard]] Stats stats() const;
  /// The handlers' totals; complete after stop().
  [[nodiscard]] const Report& report() const noexcept { return report_; }
  /// In the order of the ports.
  [[nodiscard]] std::span<const PcapTally> tallies();
  /// Packets that handlers held when they ended.
  [[nodiscard]] std::uint64_t kept() const noexcept { return kept_; }
  /// The clock of the files.
  [[nodiscard]] Time now() const noexcept { return clock_; }
  /// What ended a source before its end; the first such.
  [[nodiscard]] const std::optional<Error>& error() const noexcept {
    return error_;
  }
  [[nodiscard]] const PcapOptions& options() const noexcept { return options_; }

 private:
  // A handler and its poller, their type taken off.
  struct Runner {
    virtual ~Runner() = default;
    virtual std::uint32_t turn() noexcept = 0;
    virtual void report(Report& report) = 0;
  };
  template <Handler H>
  struct RunnerOf final : Runner {
    RunnerOf(const handler::Config<H>& config, Core& core, Kernel& kernel,
             const PollerOptions& options)
        : handler_(handler::make<H>(config, core)),
          poller_(handler_, core, kernel, options) {}
    std::uint32_t turn() noexcept override { return poller_.turn(); }
    void report(Report& report) override {
      if constexpr (requires { handler_.report(report); }) {
        handler_.report(report);
      }
    }
    H handler_;
    Poller<H> poller_;
  };
  using Make = std::function<std::unique_ptr<Runner>(Core&, Kernel&,
                                                     const PollerOptions&)>;
  struct Seat;   // A core: its memory, ports, kernel and handler.
  struct Inlet;  // A port: its source, and what its packets came to.

  PcapEngine(PcapOptions options, PacketSink& sink);
  Result<void> start_cores(std::uint32_t holds, const Make& make);
  Result<std::uint32_t> frames_of_a_core(std::uint32_t holds) const;
  void advance(Inlet& inlet);
  bool moment();
  void arrivals(std::size_t port);
  void arrive(std::size_t port, const Captured& captured);
  bool steered(std::size_t port, const Captured& captured,
               sluice_metadata& metadata);
  bool carry_out(Action action, std::size_t port, const Captured& captured);
  [[nodiscard]] std::size_t seat_of(std::span<const std::byte> bytes) const;
  [[nodiscard]] Time next_packet() const noexcept;
  [[nodiscard]] Time next_timer() const noexcept;
  void turns(Seat& seat) noexcept;

  PcapOptions options_;
  PacketSink& sink_;
  std::vector<std::unique_ptr<Inlet>> inlets_;  // As the ports.
  std::vector<std::unique_ptr<Seat>> seats_;
  std::vector<PcapTally> tallies_;
  Report report_;
  std::optional<Error> error_;
  Time clock_{};
  Time last_packet_{};
  Time begun_{};  // On this machine's clock.
  Duration worked_{};
  std::uint64_t kept_ = 0;
  bool done_ = false;
};

}  // namespace sluice::testing
