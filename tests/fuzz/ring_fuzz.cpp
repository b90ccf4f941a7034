// SPDX-License-Identifier: Apache-2.0
// A hostile kernel: whatever it writes into the rings, says and returns, the
// loop stays inside its memory, ends, and accounts for every frame.
//
// It is trusted with one thing, as in release builds: it names no frame that is
// not its own. An index that leaves its ring stops the program; ring_test and
// port_test have both.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <sluice/poller.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace sluice;

constexpr std::uint32_t kFrames = 64;
constexpr std::uint32_t kFrameSize = 2048;
constexpr std::uint32_t kRing = 8;
constexpr std::size_t kPorts = 2;
constexpr std::uint32_t kMore = XDP_PKT_CONTD;
constexpr std::uint64_t kUmem = std::uint64_t{kFrames} * kFrameSize;

void require(bool holds) {
  if (!holds) std::abort();
}

// The fuzzer's bytes; zeros at their end.
class Input {
 public:
  explicit Input(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  std::uint8_t byte() {
    if (bytes_.empty()) return 0;
    const std::uint8_t first = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return first;
  }
  template <class T>
  T number() {
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      value = static_cast<T>(value << 4 << 4 | byte());
    }
    return value;
  }
  std::uint32_t below(std::size_t limit) {
    const std::uint32_t value = number<std::uint16_t>();
    return limit == 0 ? 0 : value % static_cast<std::uint32_t>(limit);
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

template <class T>
struct Ring {
  explicit Ring(std::uint32_t start) : producer(start), consumer(start) {}
  std::uint32_t producer;
  std::uint32_t consumer;
  std::uint32_t flags = 1;
  std::array<T, kRing> slots{};
  RingMemory<T> memory() { return {&producer, &consumer, &flags, slots}; }
  [[nodiscard]] std::uint32_t used() const { return producer - consumer; }
  [[nodiscard]] bool full() const { return used() == kRing; }
  void push(const T& value) { slots[producer++ % kRing] = value; }
  T pop() { return slots[consumer++ % kRing]; }
};

// The kernel's side of a port, and what Sluice must have counted in the end.
struct Side {
  explicit Side(std::uint32_t start)
      : fill(start), rx(start), tx(start), completion(start) {}
  Ring<std::uint64_t> fill;
  Ring<xdp_desc> rx;
  Ring<xdp_desc> tx;
  Ring<std::uint64_t> completion;
  std::vector<std::uint64_t> spare;   // Taken from FILL.
  std::vector<std::uint64_t> flying;  // Taken from TX.
  std::uint64_t invalid = 0;          // RX descriptors that are no good.
  std::uint64_t astray = 0;           // Frames that never come back.
  std::uint64_t bytes = 0;            // In RX descriptors.
  bool open = false;                  // The last descriptor goes on.
  std::uint32_t segments = 0;         // Of a chain, still to come.
};

class HostileKernel : public Kernel {
 public:
  HostileKernel(Input& input, std::span<std::byte> umem)
      : input_(input), frames_(umem, kFrameSize) {
    const auto start = input_.number<std::uint32_t>();
    for (std::size_t i = 0; i < kPorts; ++i) {
      sides_.push_back(std::make_unique<Side>(start));
    }
  }

  [[nodiscard]] Side& side(std::size_t port) { return *sides_[port]; }

  int kick_tx(std::uint8_t port) noexcept override {
    require(port < kPorts);
    act();
    return healed_ ? 0 : input_.number<std::int16_t>();
  }
  int wake_rx(std::uint8_t port) noexcept override {
    require(port < kPorts);
    act();
    return input_.byte();
  }
  void wait(Time deadline, std::uint32_t watched) noexcept override {
    require(watched < 1U << kPorts);
    if (deadline > clock_) clock_ = deadline;
    act();
  }
  Time now() noexcept override {
    // What has no end is found here.
    require(++looks_ < 100'000);
    act();
    clock_ = clock_ + std::chrono::microseconds(
                          input_.empty() ? 1000 : 1 + input_.byte());
    return clock_;
  }
  bool next_event(Event& event) noexcept override {
    if (input_.empty()) {
      event = {Event::Kind::stop, 0};
      return !std::exchange(stopped_, true);
    }
    // Not those by which the engine gives a port another socket: it keeps to
    // an order.
    constexpr std::array kKinds = {Event::Kind::link_up, Event::Kind::link_down,
                                   Event::Kind::rebound, Event::Kind::gone,
                                   Event::Kind::publish};
    const std::uint8_t chosen = input_.byte();
    if (chosen >= 2 * kKinds.size()) return false;
    event = {kKinds[chosen / 2U], static_cast<std::uint8_t>(chosen % kPorts)};
    return true;
  }

  // From now on all that was sent completes.
  void heal() {
    healed_ = true;
    stopped_ = false;
    for (auto& side : sides_) side->tx.flags = 1;
  }

 private:
  void act() {
    if (healed_) return obey();
    for (auto& side : sides_) go_on(*side);
    for (int steps = input_.byte() % 8; steps > 0; --steps) {
      Side& side = *sides_[input_.byte() % kPorts];
      const int step = input_.byte() % 6;
      if (step == 0) take_fill(side, 1 + input_.byte() % kRing);
      if (step == 1) receive(side);
      if (step == 2) take_tx(side, 1 + input_.byte() % kRing);
      if (step == 3) complete(side, input_.below(side.flying.size()));
      if (step == 4) side.segments = input_.byte() % 32;
      if (step == 5) side.fill.flags = side.tx.flags = input_.byte();
    }
  }

  void obey() {
    for (auto& side : sides_) {
      take_tx(*side, kRing);
      while (!side->flying.empty() && !side->completion.full()) {
        complete(*side, 0);
      }
    }
  }

  // What Sluice gives must be a frame, and not twice.
  void give(std::uint64_t addr) {
    require(frames_.contains(addr, 0));
    require(!std::exchange(has_[addr / kFrameSize], true));
  }
  void back(std::uint64_t addr) { has_[addr / kFrameSize] = false; }

  void take_fill(Side& side, std::uint32_t count) {
    for (; count > 0 && side.fill.used() > 0; --count) {
      const std::uint64_t addr = side.fill.pop();
      give(addr);
      side.spare.push_back(frames_.frame_of(addr));
    }
  }

  void take_tx(Side& side, std::uint32_t count) {
    for (; count > 0 && side.tx.used() > 0; --count) {
      const xdp_desc desc = side.tx.pop();
      give(desc.addr);
      require(frames_.contains(desc.addr, desc.len));
      require((desc.options & ~kMore) == 0);
      side.flying.push_back(frames_.frame_of(desc.addr));
    }
  }

  // An address of this frame, or of none.
  std::uint64_t address(std::uint64_t frame, Side& side) {
    back(frame);
    if (input_.byte() % 8 != 0) {
      return frame + input_.number<std::uint16_t>() % kFrameSize;
    }
    const auto any = input_.number<std::uint64_t>();
    ++side.astray;
    return any < kUmem ? ~any : any;
  }

  void receive(Side& side) {
    if (side.spare.empty() || side.rx.full()) return;
    const std::uint32_t chosen = input_.below(side.spare.size());
    const std::uint64_t frame = side.spare[chosen];
    side.spare.erase(side.spare.begin() + chosen);
    xdp_desc desc{};
    desc.addr = address(frame, side);
    const std::uint8_t form = input_.byte();
    desc.len = form % 4 == 0 ? input_.number<std::uint32_t>()
                             : input_.number<std::uint16_t>() % 512U;
    desc.options = form % 3 == 0 ? input_.number<std::uint32_t>()
                                 : (form % 3 == 1 ? kMore : 0U);
    push(side, desc);
  }

  void push(Side& side, const xdp_desc& desc) {
    if (!frames_.contains(desc.addr, desc.len)) ++side.invalid;
    side.bytes += desc.len;
    side.open = (desc.options & kMore) != 0;
    side.rx.push(desc);
  }

  // A good chain, or one too long: what fits now, in a turn to come the rest.
  void go_on(Side& side) {
    for (; side.segments > 0 && !side.rx.full(); --side.segments) {
      take_fill(side, 1);
      if (side.spare.empty()) return;
      back(side.spare.back());
      push(side, {side.spare.back(), 64, side.segments > 1 ? kMore : 0U});
      side.spare.pop_back();
    }
  }

  void complete(Side& side, std::uint32_t chosen) {
    if (side.flying.empty() || side.completion.full()) return;
    const std::uint64_t frame = side.flying[chosen];
    side.flying.erase(side.flying.begin() + chosen);
    side.completion.push(healed_ ? frame : address(frame, side));
    if (healed_) back(frame);
  }

  Input& input_;
  FrameMap frames_;
  std::array<bool, kFrames> has_{};  // The kernel has the frame.
  std::vector<std::unique_ptr<Side>> sides_;
  Time clock_{1'000'000'000};
  std::uint32_t looks_ = 0;
  bool healed_ = false;
  bool stopped_ = false;
};

// Does to a packet all that a handler may do.
class Work {
 public:
  explicit Work(Input& input) : input_(input) {}
  std::uint64_t packets = 0;

  void take(Packet packet, Core& core) {
    ++packets;
    touch(packet);
    change(packet);
    switch (input_.byte() % 8) {
      case 0:
      case 1:
        core.reply(std::move(packet));
        break;
      case 2:
        core.port(input_.byte() % kPorts).send(std::move(packet));
        break;
      case 3:
        if (!core.try_reply(packet)) touch(packet);
        break;
      case 4:
        if (kept_.size() < 8) kept_.push_back(std::move(packet));
        break;
      case 5:
        if (auto copy = packet.copy()) core.reply(std::move(*copy));
        break;
      case 6:
        if (!kept_.empty()) kept_.pop_back();
        core.flush();
        break;
      default:
        break;
    }
  }
  void drop_all() { kept_.clear(); }

 private:
  // Every byte is read and written: ASan watches.
  static void touch(const Packet& packet) {
    std::uint64_t size = 0;
    for (const auto segment : packet.segments()) {
      size += segment.size();
      for (std::byte& byte : segment) byte ^= std::byte{1};
    }
    require(size == packet.size());
  }
  void change(Packet& packet) {
    const std::uint32_t count = input_.number<std::uint16_t>() % 300U;
    const int change = input_.byte() % 8;
    if (change == 0) (void)packet.prepend(count);
    if (change == 1) (void)packet.append(count);
    if (change == 2) (void)packet.trim_front(count);
    if (change == 3) (void)packet.trim_back(count);
    touch(packet);
  }

  Input& input_;
  std::vector<Packet> kept_;
};

struct EachPacket {
  Work& work;
  void operator()(Packet packet, Core& core) noexcept {
    work.take(std::move(packet), core);
  }
};

struct WholeBurst {
  Work& work;
  void operator()(Burst& burst, Core& core) noexcept {
    for (Packet& packet : burst) work.take(std::move(packet), core);
  }
};

template <class H>
void run(HostileKernel& kernel, Core& core, Work& work) {
  H handler{work};
  Poller<H>(handler, core, kernel, {.batch = 4}).run();
  kernel.heal();
  work.drop_all();
  Poller<H>(handler, core, kernel).run();
}

// Every frame has an owner, and all that was bad is counted.
void check(HostileKernel& kernel, Core& core, const Work& work) {
  const Ledger ledger = core.ledger();
  require(ledger.balanced() && ledger.handler == 0);
  std::uint64_t packets = 0;
  for (Port& port : core.ports()) {
    Side& side = kernel.side(port.index());
    const PortCounters& counters = port.counters();
    require(side.flying.empty() && port.transmitting() == 0);
    require(port.receiving() ==
            side.fill.used() + side.spare.size() + side.rx.used());
    packets += counters.rx_packets.value();
    if (side.rx.used() > 0) {
      // Too many frames went astray to replace what waits.
      require(counters.pool_dry.value() > 0 && core.pool().available() < kRing);
      continue;
    }
    require(counters.rx_invalid.value() == side.invalid);
    require(counters.astray.value() == side.astray);
    require(counters.rx_bytes.value() == side.bytes);
    require(side.open || port.chained() == 0);
  }
  require(packets == work.packets);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  Input input({data, size});
  const bool bursts = input.byte() % 2 != 0;
  std::vector<std::byte> memory(kUmem);
  HostileKernel kernel(input, memory);
  FramePool pool(memory, kFrameSize);
  std::vector<Port> ports;
  std::vector<PortFacts> facts;
  for (std::uint8_t i = 0; i < kPorts; ++i) {
    Side& side = kernel.side(i);
    const PortRings rings{side.fill.memory(), side.rx.memory(),
                          side.tx.memory(), side.completion.memory()};
    ports.emplace_back(i, std::uint16_t{0}, rings, pool, kRing);
    ports.back().refill();
    facts.push_back({"p" + std::to_string(i), "", MacAddress{}, 1500});
  }
  Core core(0, 0, ports, std::move(facts), pool, Time{});
  Work work(input);
  if (bursts) {
    run<WholeBurst>(kernel, core, work);
  } else {
    run<EachPacket>(kernel, core, work);
  }
  check(kernel, core, work);
  return 0;
}
