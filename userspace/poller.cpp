// SPDX-License-Identifier: Apache-2.0
// When to kick, when to spin, when to sleep.
#include <algorithm>
#include <cerrno>
#include <sluice/cpu.hpp>
#include <sluice/poller.hpp>
#include <utility>

namespace sluice {
namespace {

using std::chrono::milliseconds;

// After ENETDOWN and its like: so long at first, then twice as long each time.
// A link that comes up says so.
constexpr Duration kRetryMin = milliseconds(10);
constexpr Duration kRetryMax = milliseconds(160);
// Completions wake nobody, so a loop that waits for frames looks again.
constexpr Duration kCompletionNap = milliseconds(1);
// TX that stands still for so long is reported, and no longer waited for.
constexpr Duration kStalled = std::chrono::seconds(1);
// A belt: whatever was missed is found after this.
constexpr Duration kSleepMax = milliseconds(500);

}  // namespace

Loop::Loop(Core& core, Kernel& kernel, const PollerOptions& options)
    : core_(core),
      kernel_(kernel),
      options_(options),
      pending_(core.ports().size()) {
  assert(options.batch >= 1 && options.batch <= 256);
  core_.set_now(kernel_.now());
  last_arrival_ = core_.now();
}

void Loop::begin() noexcept {
  const Time now = kernel_.now();
  stood_still_ = now - core_.now() >= kStalled;
  const auto passed = static_cast<std::uint64_t>((now - core_.now()).count());
  core_.loop().elapsed_ns += passed;
  if (worked_) {
    ++core_.loop().turns;
    core_.loop().busy_ns += passed;
  }
  core_.set_now(now);
}

void Loop::arrived(std::uint32_t packets) noexcept {
  const Duration gap = (core_.now() - last_arrival_) / packets;
  gap_ += (gap - gap_) / 8;
  last_arrival_ = core_.now();
}

// A gap that is under way counts as soon as it is longer than those before.
Duration Loop::expected_gap() const noexcept {
  return std::max(gap_, core_.now() - last_arrival_);
}

std::optional<Packet> Loop::gather(Port& port, const xdp_desc& desc) noexcept {
  core_.pool().unhold(1);
  return port.gather(desc);
}

void Loop::wake_rx(Port& port) noexcept {
  if (busy_polls()) return busy_poll(port);
  if (!port.fill_needs_wakeup()) return;
  ++port.counters().rx_wakes;
  // An interface that is down has nothing to receive; its link event follows.
  (void)kernel_.wake_rx(port.index());
}

// Nothing came: RX is empty, or the frames to replace its packets are in TX.
// Either way the driver has work, and does it in the call. Without the gap a
// loop would do nothing else.
void Loop::busy_poll(Port& port) noexcept {
  Pending& pending = pending_[port.index()];
  const std::uint64_t received = port.counters().rx_received.value();
  const bool came = std::exchange(pending.received, received) != received;
  if (came && !port.fill_needs_wakeup()) return;
  if (core_.now() - pending.polled < options_.busy_poll_gap) return;
  if (port.parted()) return;
  pending.polled = core_.now();
  ++port.counters().rx_wakes;
  (void)kernel_.wake_rx(port.index());
}

// A kick costs a system call for a packet as for a batch. So packets wait for
// company, but only if it is on its way: where the watermark would not be
// reached within the age, waiting buys nothing and the kick comes at once.
void Loop::transmit(Port& port, bool now) noexcept {
  Pending& pending = pending_[port.index()];
  if (pending.leaving != nullptr) [[unlikely]]
    return leave(port, pending);
  port.submit();
  if (port.transmitting() == 0) {
    pending.progress = core_.now();
    return;
  }
  watch_progress(port, pending);
  const std::uint32_t untaken = port.untaken();
  if (untaken == 0) {
    pending.since = Time{};
    return;
  }
  if (!wants_kick(port) || core_.now() < pending.retry) return;
  if (pending.since == Time{}) {
    pending.since = core_.now();
  } else if (core_.now() - pending.kicked < options_.busy_poll_gap) {
    return;  // What the last kick left, the next one would leave, too.
  }
  const bool lonely =
      expected_gap() * options_.kick_watermark > options_.kick_age;
  if (now || lonely || untaken >= options_.kick_watermark ||
      core_.now() - pending.since >= options_.kick_age) {
    kick(port, pending);
  }
}

// The rings decide, not the return value: a call stops after a budget (EAGAIN),
// but also behind an invalid descriptor, which it consumes and returns 0.
void Loop::kick(Port& port, Pending& pending) noexcept {
  std::uint32_t left = port.untaken();
  for (std::uint32_t kicks = 0; kicks < kKicksMax && left > 0; ++kicks) {
    port.reclaim();  // The kernel takes no more than COMPLETION has room for.
    ++port.counters().kicks;
    const Duration paused = pending.retry - pending.kicked;  // If it failed.
    pending.polled = pending.kicked = core_.now();
    const int error = kernel_.kick_tx(port.index());
    const std::uint32_t before = std::exchange(left, port.untaken());
    if (error == EBUSY) {
      ++port.counters().tx_refused;
    } else if (error != 0 && error != EAGAIN) {
      ++port.counters().kick_errors;
      pending.retry =
          core_.now() + std::clamp(2 * paused, kRetryMin, kRetryMax);
      break;
    } else if (left == before) {
      // EAGAIN without progress: the device's own queue is full. Or it was
      // polled, and sends elsewhere.
      if (busy_polls() && port.tx_needs_wakeup()) {
        kernel_.wake_tx(port.index());
        left = port.untaken();
      }
      break;
    }
  }
  pending.since = left == 0 ? Time{} : core_.now();
}

// Some queues accept packets and never transmit them.
void Loop::watch_progress(Port& port, Pending& pending) noexcept {
  const std::uint64_t completed = port.counters().completed.value();
  if (completed != pending.completed || pending.progress == Time{}) {
    pending.completed = completed;
    pending.progress = core_.now();
    pending.stalled = false;
  } else if (stood_still_) {
    // A process that was stopped, a machine that was paused: not TX's fault.
    pending.progress = core_.now();
  } else if (!pending.stalled && core_.now() - pending.progress >= kStalled) {
    pending.stalled = true;
    ++port.counters().tx_stalls;
  }
}

void Loop::idle() noexcept {
  if (options_.spin || (gap_ < options_.spin_window &&
                        core_.now() - last_arrival_ < options_.spin_window)) {
    return spin_pause();
  }
  sleep();
}

void Loop::sleep() noexcept {
  Time deadline = std::min(core_.timers().next(), core_.now() + kSleepMax);
  // All kicks come before the last look at any RX: packets arrive meanwhile.
  for (Port& port : core_.ports()) {
    Pending& pending = pending_[port.index()];
    if (port.transmitting() == 0 || port.untaken() == 0) continue;
    if (wants_kick(port) && core_.now() >= pending.retry) {
      kick(port, pending);
    }
    if (port.untaken() > 0) {
      deadline = std::min(
          deadline, std::max(pending.retry, core_.now()) + kCompletionNap);
    }
  }
  std::uint32_t watched = 0;
  for (Port& port : core_.ports()) {
    // RX is looked at once more: the kernel has been watching it all along.
    // What can't be received for want of frames must not keep us awake.
    if (port.receivable(1) > 0 || port.untold() > 0) return;
    const bool blocked = port.unreceived() > 0;
    if (!blocked) watched |= 1U << port.index();
    const bool waits = blocked || port.starving() || port.awaited() > 0;
    if (port.transmitting() > 0 && waits && !pending_[port.index()].stalled) {
      deadline = std::min(deadline, core_.now() + kCompletionNap);
    }
  }
  ++core_.loop().sleeps;
  kernel_.wait(deadline, watched);
}

// What came before the interface went is the handler's yet. Frames that it
// would take to replace them are lacking: the rest is cut off.
void Loop::leave(Port& port, Pending& pending) noexcept {
  port.submit();
  if (port.receivable(1) > 0) return;
  kernel_.set_socket(port.index(), -1);
  port.part();
  std::exchange(pending, {}).leaving->step = Rebind::Step::parted;
}

void Loop::rejoin(Port& port, const Rebind& rebind) noexcept {
  port.join(rebind.rings);
  if (core_.pool().reserved() > 0) port.offer(rebind.tx_offload);
  core_.readdress(port.index(), rebind.mac, rebind.mtu);
  kernel_.set_socket(port.index(), rebind.fd);
  pending_[port.index()] = {};
}

bool Loop::take_event(Event& event) noexcept {
  Rebind* const rebind = std::exchange(event.rebind, nullptr);
  switch (event.kind) {
    case Event::Kind::stop:
      stopping_ = true;
      return false;
    case Event::Kind::publish:
      publish();
      return false;
    case Event::Kind::link_up:
      pending_[event.port].retry = Time{};
      return true;
    case Event::Kind::changed:
      core_.readdress(event.port, event.mac, event.mtu);
      return true;
    case Event::Kind::gone:
      pending_[event.port].leaving = rebind;
      return true;
    case Event::Kind::recover:
      core_.ports()[event.port].recover();
      rebind->step = Rebind::Step::recovered;
      return false;
    case Event::Kind::lend:
      core_.ports()[event.port].lend(rebind->frames);
      rebind->step = Rebind::Step::lent;
      return false;
    case Event::Kind::rebound:
      if (rebind != nullptr) {
        rejoin(core_.ports()[event.port], *rebind);
        rebind->step = Rebind::Step::joined;
      }
      return true;
    default:
      return true;
  }
}

void Loop::publish() noexcept {
  const Ledger ledger = core_.ledger();
  const auto set = [](Gauge& gauge, std::uint64_t value) {
    gauge.set(static_cast<std::int64_t>(value));
  };
  set(core_.loop().pool, ledger.pool);
  set(core_.loop().handler, ledger.handler);
  set(core_.loop().chain, ledger.chain);
  set(core_.loop().receiving, ledger.receiving);
  set(core_.loop().transmitting, ledger.transmitting);
  set(core_.loop().astray, ledger.astray);
  ++core_.loop().published;
}

bool Loop::drained() noexcept {
  return std::ranges::all_of(core_.ports(), [this](Port& port) {
    const Pending& pending = pending_[port.index()];
    return port.transmitting() == 0 || pending.stalled ||
           core_.now() < pending.retry;
  });
}

}  // namespace sluice
