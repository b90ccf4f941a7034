// SPDX-License-Identifier: Apache-2.0
// Core: what a handler sees of the pinned thread it runs on.
//
// One instance per thread; nothing here is shared and nothing is locked. A
// handler may keep a reference to it, and to what its constructor asked for.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <sluice/address.hpp>
#include <sluice/bypass.hpp>
#include <sluice/clock.hpp>
#include <sluice/counter.hpp>
#include <sluice/frame_pool.hpp>
#include <sluice/metadata.hpp>
#include <sluice/packet.hpp>
#include <sluice/port.hpp>
#include <sluice/result.hpp>
#include <sluice/timer.hpp>
#include <sluice/tx_offload.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// What a port is called and what is behind it. Cold.
struct PortFacts {
  std::string name = {};       ///< "outside"; the interface's where unnamed.
  std::string interface = {};  ///< "eth0".
  MacAddress mac{};
  std::uint32_t mtu = 0;  ///< Bytes after the Ethernet header.
};

/// A port to send on. Small; copy it, keep it, use it on its own core only.
class Outlet {
 public:
  Outlet(Port& port, const PortFacts& facts) noexcept
      : port_(&port), facts_(&facts) {}

  /// Sends the packet out of this port; drops and counts it (tx_full) where TX
  /// has no room. Packets of every port of the core will do: no byte moves.
  void send(Packet packet) const noexcept { port_->send_or_drop(packet); }
  /// As send, but says no and leaves the packet with you.
  [[nodiscard]] bool try_send(Packet& packet) const noexcept {
    return port_->send(packet);
  }
  /// The same, and asks the device for something: see TxRequest.
  void send(Packet packet, const TxRequest& request) const noexcept {
    if (!port_->send(packet, request)) ++port_->counters().tx_full;
  }
  [[nodiscard]] bool try_send(Packet& packet,
                              const TxRequest& request) const noexcept {
    return port_->send(packet, request);
  }
  /// What of that the device does; may change when the port is bound again.
  [[nodiscard]] TxOffload offload() const noexcept { return port_->offload(); }
  /// Packets that TX is sure to take now.
  [[nodiscard]] std::uint32_t room() const noexcept { return port_->room(); }

  [[nodiscard]] std::uint8_t index() const noexcept { return port_->index(); }
  [[nodiscard]] const std::string& name() const noexcept {
    return facts_->name;
  }
  [[nodiscard]] const MacAddress& mac() const noexcept { return facts_->mac; }
  [[nodiscard]] std::uint32_t mtu() const noexcept { return facts_->mtu; }

 private:
  Port* port_;
  const PortFacts* facts_;
};

/// Every frame of a core, by owner. All but `frames` are counted on their own,
/// so that a frame lost, or freed twice, shows as a difference.
struct Ledger {
  std::uint64_t frames = 0;        ///< What there are.
  std::uint64_t pool = 0;          ///< Free.
  std::uint64_t handler = 0;       ///< In packets that a handler owns.
  std::uint64_t chain = 0;         ///< In packets not yet whole.
  std::uint64_t receiving = 0;     ///< The kernel's, by way of FILL and RX.
  std::uint64_t transmitting = 0;  ///< The kernel's, by way of TX, COMPLETION.
  std::uint64_t astray = 0;        ///< Completed under no address of ours.

  [[nodiscard]] std::uint64_t accounted() const noexcept {
    return pool + handler + chain + receiving + transmitting + astray;
  }
  [[nodiscard]] bool balanced() const noexcept { return accounted() == frames; }
  Ledger& operator+=(const Ledger& other) noexcept;
};

/// What a loop does with its time, and the ledger when it was last asked for.
/// Read from any thread.
struct LoopCounters {
  Counter turns;       ///< Turns that found something to do.
  Counter busy_ns;     ///< Time spent in them.
  Counter elapsed_ns;  ///< All of the loop's time.
  Counter sleeps;      ///< Calls that waited.
  /// The ledger at the end of some turn. Event::publish asks for it, and
  /// `published` grows when it is there.
  Gauge pool, handler, chain, receiving, transmitting, astray;
  Counter published;
};

class Core {
 public:
  /// `ports` and `pool` outlive the core; `facts` are in the same order.
  Core(std::size_t index, int cpu, std::span<Port> ports,
       std::vector<PortFacts> facts, FramePool& pool, Time now);
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // --- Packets -------------------------------------------------------------

  /// Sends the packet out of the port it came in on; drops and counts it
  /// (tx_full) where TX has no room.
  void reply(Packet packet) noexcept {
    ports_[packet.port()].send_or_drop(packet);
  }
  /// As reply, but says no and leaves the packet with you.
  [[nodiscard]] bool try_reply(Packet& packet) noexcept {
    return ports_[packet.port()].send(packet);
  }
  /// The same, and asks the device for something: see TxRequest.
  void reply(Packet packet, const TxRequest& request) noexcept {
    port(std::size_t{packet.port()}).send(std::move(packet), request);
  }
  [[nodiscard]] bool try_reply(Packet& packet,
                               const TxRequest& request) noexcept {
    return ports_[packet.port()].send(packet, request);
  }
  /// Replies that TX is sure to take for packets of that port.
  [[nodiscard]] std::uint32_t room(std::uint8_t port = 0) noexcept {
    return ports_[port].room();
  }
  /// A packet of `size` bytes that hold anything, with kHeadroom in front; none
  /// where the pool is empty or the size does not fit into a frame. It counts
  /// as come in on the first port.
  [[nodiscard]] std::optional<Packet> make_packet(std::uint32_t size) noexcept;

  /// What was sent so far leaves at the end of this turn, full batch or not.
  void flush() noexcept { flush_ = true; }

  // --- Bypass --------------------------------------------------------------

  /// Has the XDP program itself drop, pass or reflect the flow's packets for so
  /// many seconds from now(), on every port, before any rule is asked; 0 ends
  /// it. Works where there is a table: EngineOptions::bypass_flows. Packets
  /// that are on their way still come. False, on any port: see
  /// BypassTable::insert(); there is no table. No system call; never waits.
  bool bypass(const FlowKey& flow, Action action,
              std::chrono::seconds time) noexcept {
    bool done = !bypass_.empty();
    for (BypassTable& table : bypass_) {
      done = table.insert(flow, action, time, now_) && done;
    }
    return done;
  }

  // --- Ports ---------------------------------------------------------------

  /// The port of that name. For constructors: a name that is not there makes
  /// the start fail with a sentence (the outlet given meanwhile is the first).
  [[nodiscard]] Outlet port(std::string_view name);
  /// REQUIRES: index < port_count().
  [[nodiscard]] Outlet port(std::size_t index) noexcept {
    return {ports_[index], facts_[index]};
  }
  [[nodiscard]] std::size_t port_count() const noexcept {
    return ports_.size();
  }

  // --- Rules ---------------------------------------------------------------

  /// The rule of that label, without the @, to compare Packet::rule() with. It
  /// need not be in the list yet: lists come and go while handlers stay.
  [[nodiscard]] static constexpr RuleId rule(std::string_view label) noexcept {
    return rule_id(label);
  }

  // --- Time ----------------------------------------------------------------

  /// Read once a turn.
  [[nodiscard]] Time now() const noexcept { return now_; }
  /// Calls `function` on this core every `period`. For constructors.
  void every(Duration period, std::function<void()> function) {
    timers_.every(period, now_, std::move(function));
  }

  // --- Statistics ----------------------------------------------------------

  /// A named number, made at the first call and valid as long as the core; any
  /// thread reads it. Summed over the cores in `status` and at the end. For
  /// constructors: it searches, and it may allocate.
  [[nodiscard]] Counter& counter(std::string_view name);
  [[nodiscard]] Gauge& gauge(std::string_view name);
  [[nodiscard]] Histogram& histogram(std::string_view name);

  // --- This core -----------------------------------------------------------

  /// 0, 1, ... in the order of --cpus.
  [[nodiscard]] std::size_t index() const noexcept { return index_; }
  [[nodiscard]] int cpu() const noexcept { return cpu_; }

  /// For constructors: the handler can't work and says why. The start fails
  /// with the first error told.
  void fail(Error error);

  // --- For the loop and the statistics -------------------------------------

  [[nodiscard]] std::span<Port> ports() noexcept { return ports_; }
  [[nodiscard]] FramePool& pool() noexcept { return *pool_; }
  [[nodiscard]] const FramePool& pool() const noexcept { return *pool_; }
  [[nodiscard]] Timers& timers() noexcept { return timers_; }
  [[nodiscard]] Ledger ledger() const noexcept;
  [[nodiscard]] const std::optional<Error>& failure() const noexcept {
    return failure_;
  }
  [[nodiscard]] std::span<const PortFacts> facts() const noexcept {
    return facts_;
  }
  template <class T>
  struct Named {
    std::string name;
    T value;
  };
  [[nodiscard]] const std::deque<Named<Counter>>& counters() const noexcept {
    return counters_;
  }
  [[nodiscard]] const std::deque<Named<Gauge>>& gauges() const noexcept {
    return gauges_;
  }
  [[nodiscard]] const std::deque<Named<Histogram>>& histograms() const {
    return histograms_;
  }
  [[nodiscard]] LoopCounters& loop() noexcept { return loop_; }
  [[nodiscard]] const LoopCounters& loop() const noexcept { return loop_; }
  void set_now(Time now) noexcept { now_ = now; }
  /// What is behind the port has changed, or is another one of that name.
  void readdress(std::uint8_t port, const MacAddress& mac, std::uint32_t mtu) {
    facts_[port].mac = mac;
    facts_[port].mtu = mtu;
  }
  void set_bypass(std::vector<BypassTable> tables) {
    bypass_ = std::move(tables);
  }
  [[nodiscard]] bool take_flush() noexcept {
    return std::exchange(flush_, false);
  }

 private:
  std::span<Port> ports_;
  FramePool* pool_;
  Time now_;
  bool flush_ = false;
  Timers timers_;
  std::size_t index_;
  int cpu_;
  std::vector<PortFacts> facts_;
  std::deque<Named<Counter>> counters_;  // A deque: its elements stay put.
  std::deque<Named<Gauge>> gauges_;
  std::deque<Named<Histogram>> histograms_;
  std::vector<BypassTable> bypass_;  // Of the ports that have one.
  std::optional<Error> failure_;
  LoopCounters loop_;
};

}  // namespace sluice
