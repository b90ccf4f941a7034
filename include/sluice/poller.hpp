// SPDX-License-Identifier: Apache-2.0
// Poller: the loop of one core. Read turn(), and you know the whole system.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <sluice/core.hpp>
#include <sluice/handler.hpp>
#include <sluice/kernel.hpp>
#include <sluice/port.hpp>
#include <span>

namespace sluice {

/// How a loop trades latency for system calls. The defaults suit a NIC.
struct PollerOptions {
  std::uint32_t batch = 64;  ///< Packets a port may receive a turn, 1 to 256.
  bool spin = false;         ///< Never sleep.
  /// Kick when so many packets wait in TX, or when the oldest has waited so
  /// long, or at once where so many are not to be expected in that time.
  std::uint32_t kick_watermark = 32;
  Duration kick_age = std::chrono::microseconds(100);
  /// Spin so long after the last packet, if packets come closer than that.
  Duration spin_window = std::chrono::microseconds(50);
  /// The ports' sockets prefer busy polling (SocketOptions::busy_poll): packets
  /// move when the loop asks for it. A port to which nothing came is asked
  /// again so long after the last time, whatever its rings' flags say. 0: the
  /// flags decide.
  Duration busy_poll_gap{};
};

/// The part of the loop that does not depend on the handler.
class Loop {
 public:
  Loop(Core& core, Kernel& kernel, const PollerOptions& options);

  [[nodiscard]] bool stopping() const noexcept { return stopping_; }

 protected:
  /// A turn begins: reads the clock, once.
  void begin() noexcept;
  /// Packets arrived: keeps the measured gap between them.
  void arrived(std::uint32_t packets) noexcept;
  /// RX: a descriptor that is no whole packet, though it may complete one.
  [[gnu::cold]] std::optional<Packet> gather(Port& port,
                                             const xdp_desc& desc) noexcept;
  /// The handler has frames that it did not send: perhaps some that just came.
  [[nodiscard]] bool keeps() const noexcept {
    std::uint32_t queued = 0;
    for (const Port& port : core_.ports()) queued += port.queued();
    return core_.pool().held() != queued;
  }
  /// TX: what was sent this turn goes to the kernel, now or a little later.
  void transmit(Port& port, bool now) noexcept;
  /// FILL: wakes the driver where it asks for that, or polls it.
  void wake_rx(Port& port) noexcept;
  /// Nothing to do: spins a little, or sleeps until there is.
  void idle() noexcept;
  /// True for an event that handlers are told.
  bool take_event(Event& event) noexcept;
  /// All that was sent has left, or can't.
  [[nodiscard]] bool drained() noexcept;

  Core& core_;
  Kernel& kernel_;
  const PollerOptions options_;
  bool stopping_ = false;
  bool worked_ = false;  // In the turn before this one.

 private:
  static constexpr std::uint32_t kKicksMax = 4;  // To a port, in a turn.

  // What a port waits for.
  struct Pending {
    Time since{};     // The oldest packet in TX that was not kicked.
    Time retry{};     // Not before, after an error.
    Time progress{};  // The last completion, or when TX was last empty.
    Time polled{};    // The last call, of either kind: busy polling.
    Time kicked{};    // The last kick.
    std::uint64_t received = 0;  // Descriptors, as of the turn before.
    std::uint64_t completed = 0;
    bool stalled = false;
    Rebind* leaving = nullptr;  // Its socket is lost, and RX is to be emptied.
  };
  void kick(Port& port, Pending& pending) noexcept;
  void busy_poll(Port& port) noexcept;
  void watch_progress(Port& port, Pending& pending) noexcept;
  void leave(Port& port, Pending& pending) noexcept;
  void rejoin(Port& port, const Rebind& rebind) noexcept;
  void sleep() noexcept;
  void publish() noexcept;
  [[nodiscard]] Duration expected_gap() const noexcept;
  [[nodiscard]] bool busy_polls() const noexcept {
    return options_.busy_poll_gap > Duration{};
  }
  /// TX: the kernel takes from it only if it is asked to.
  [[nodiscard]] bool wants_kick(const Port& port) const noexcept {
    return port.tx_needs_wakeup() || busy_polls();
  }

  std::vector<Pending> pending_;  // One per port.
  bool stood_still_ = false;      // Longer than any sleep, before this turn.
  Time last_arrival_{};
  Duration gap_ = std::chrono::milliseconds(1);  // Between packets, smoothed.
};

template <class H>
class Poller : public Loop {
  static_assert(Handler<H>,
                "a handler is called as void operator()(sluice::Packet, "
                "sluice::Core&) noexcept or, for a whole burst, as void "
                "operator()(sluice::Burst&, sluice::Core&) noexcept; it has "
                "one of the two");

 public:
  static constexpr std::uint32_t kBatchMax = 256;

  /// All outlive the poller. REQUIRES: 1 <= options.batch <= kBatchMax.
  Poller(H& handler, Core& core, Kernel& kernel,
         const PollerOptions& options = {})
      : Loop(core, kernel, options), handler_(handler) {
    if constexpr (kListens) {
      for (Port& port : core.ports()) port.listen();
    }
  }

  /// Turns until an Event::stop, then until what was sent has left.
  void run() noexcept {
    while (!stopping()) {
      if (turn() == 0) idle();
    }
    const Time deadline = core_.now() + std::chrono::milliseconds(200);
    while (core_.now() < deadline) {
      if (turn() == 0 && drained()) break;
    }
    for (Port& port : core_.ports()) (void)tell_transmitted(port);
  }

  /// One turn: a bounded amount of work, never blocks. Returns how much was
  /// done; 0 means that there was nothing to do.
  ///
  /// The order is the design. Each step feeds the ones below it, so that a
  /// packet leaves in the turn in which it came, and frames that came back
  /// serve the packets of this very turn.
  std::uint32_t turn() noexcept {
    begin();
    std::uint32_t work = 0;
    for (Port& port : core_.ports()) {
      work += port.reclaim();  // COMPLETION -> pool: frames to spend.
      work += tell_transmitted(port);
      work += receive(port);  // RX -> handler -> TX.
      port.refill();          // pool -> FILL: the kernel is never short.
      wake_rx(port);          // FILL: a system call only if it is wanted.
    }
    work += core_.timers().run(core_.now());  // Timers may send, too.
    work += take_events();
    const bool now = core_.take_flush();
    for (Port& port : core_.ports()) transmit(port, now);  // TX: one kick.
    worked_ = work != 0;
    return work;
  }

 private:
  std::uint32_t receive(Port& port) noexcept {
    const std::uint32_t count = port.receivable(options_.batch);
    if (count == 0) return 0;
    core_.pool().hold(count);
    Taken taken;
    if constexpr (PacketHandler<H>) {
      taken = each_packet(port, count, [this](Packet packet) {
        handler_(std::move(packet), core_);
      });
    } else {
      Packet* const first = reinterpret_cast<Packet*>(burst_.data());
      Packet* next = first;
      taken = each_packet(port, count, [&next](Packet packet) {
        std::construct_at(next++, std::move(packet));
      });
      const std::span<Packet> packets(first, next);
      Burst burst(packets);
      if (!packets.empty()) handler_(burst, core_);
      if (keeps()) std::destroy(first, next);  // Else all were sent.
    }
    if (keeps()) [[unlikely]]
      port.keep(count);
    port.release(count, taken.packets, taken.bytes);
    arrived(count);
    return count;
  }

  struct Taken {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
  };
  // Calls `take` with each packet of the first `count` descriptors in RX.
  // Inline, so that what `take` writes to stays in registers.
  template <class Take>
  [[gnu::always_inline]] Taken each_packet(Port& port, std::uint32_t count,
                                           Take take) noexcept {
    const Arrivals arrivals = port.arrivals();
    std::uint32_t plain = port.plain_options();
    std::uint64_t packets = count;
    std::uint64_t bytes = 0;
    for (const auto run : port.received(count)) {
      for (const xdp_desc& desc : run) {
        bytes += desc.len;
        if (arrivals.whole(desc, plain)) [[likely]] {
          take(arrivals.packet(desc));
          continue;
        }
        auto packet = gather(port, desc);
        plain = port.plain_options();
        if (packet) {
          take(std::move(*packet));
        } else {
          --packets;
        }
      }
    }
    return {packets, bytes};
  }

  // The handler wants to know when what it sent has left.
  static constexpr bool kListens = requires(
      H& handler, const Transmitted& each) { handler.transmitted(each); };
  std::uint32_t tell_transmitted([[maybe_unused]] Port& port) noexcept {
    if constexpr (kListens) {
      return port.tell_transmitted(
          [this](const Transmitted& each) { handler_.transmitted(each); });
    } else {
      return 0;
    }
  }

  std::uint32_t take_events() noexcept {
    Event event;
    if (!kernel_.next_event(event)) return 0;
    if (take_event(event)) {
      if constexpr (requires { handler_.event(event); }) {
        handler_.event(event);
      }
    }
    return 1;
  }

  H& handler_;
  // Room for a burst; a Packet has no empty state to start from.
  alignas(64) std::array<std::byte, kBatchMax * sizeof(Packet)> burst_;
};

}  // namespace sluice
