// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cassert>
#include <cstring>
#include <sluice/packet.hpp>
#include <sluice/testing/pcap_kernel.hpp>
#include <sluice/uapi.hpp>

namespace sluice::testing {
namespace {

// The kernel reads and writes frames that checked builds have poisoned for us,
// so there byte by byte, out of sight of the sanitizers.
[[maybe_unused, gnu::noinline]]
__attribute__((no_sanitize("address"))) void copy_unseen(
    std::byte* to, const std::byte* from, std::size_t size) noexcept {
  volatile std::byte* at = to;
  for (std::size_t i = 0; i < size; ++i) at[i] = from[i];
}

void copy(std::byte* to, const std::byte* from, std::size_t size) noexcept {
  if constexpr (kCheckFrames) {
    copy_unseen(to, from, size);
  } else {
    std::memcpy(to, from, size);
  }
}

// One ring: its memory, and the end of it that is the kernel's. One thread has
// both ends, so plain indices will do.
template <class T>
struct KernelRing {
  std::vector<T> slots;
  std::uint32_t producer = 0;
  std::uint32_t consumer = 0;
  std::uint32_t flags = 0;

  explicit KernelRing(std::uint32_t size) : slots(size) {}
  [[nodiscard]] RingMemory<T> memory() {
    return {&producer, &consumer, &flags, slots};
  }
  [[nodiscard]] std::uint32_t used() const { return producer - consumer; }
  [[nodiscard]] bool full() const { return used() == slots.size(); }
  [[nodiscard]] std::uint32_t room() const {
    return static_cast<std::uint32_t>(slots.size()) - used();
  }
  void push(const T& value) { slots[producer++ & (slots.size() - 1)] = value; }
  T pop() { return slots[consumer++ & (slots.size() - 1)]; }
};

}  // namespace

struct PcapKernel::Side {
  explicit Side(std::uint32_t size, std::uint8_t number)
      : fill(2 * size), rx(size), tx(size), completion(size), port(number) {}

  KernelRing<std::uint64_t> fill;
  KernelRing<xdp_desc> rx;
  KernelRing<xdp_desc> tx;
  KernelRing<std::uint64_t> completion;
  SocketStatistics statistics;
  std::uint64_t chains = 0;
  std::uint32_t gathered = 0;  // Segments taken of a packet that goes on.
  bool invalid = false;        // It has one that is no good.
  std::uint8_t port;
};

PcapKernel::PcapKernel(std::span<std::byte> memory, std::uint32_t frame_size,
                       bool multi_buffer, PacketSink& sink)
    : frames_(memory, frame_size), sink_(sink), multi_buffer_(multi_buffer) {}

PcapKernel::~PcapKernel() = default;

PortRings PcapKernel::add_port(std::uint32_t size) {
  const auto port = static_cast<std::uint8_t>(sides_.size());
  Side& side = *sides_.emplace_back(std::make_unique<Side>(size, port));
  return {side.fill.memory(), side.rx.memory(), side.tx.memory(),
          side.completion.memory()};
}

std::size_t PcapKernel::segments(std::size_t size) const noexcept {
  const std::size_t room = frames_.frame_size() - Packet::kHeadroom;
  return (size + room - 1) / room;
}

bool PcapKernel::has_room(std::uint8_t port, std::size_t size) const noexcept {
  return sides_[port]->fill.used() >= segments(size);
}

bool PcapKernel::deliver(std::uint8_t port, std::span<const std::byte> bytes,
                         const sluice_metadata& metadata) noexcept {
  Side& side = *sides_[port];
  const std::size_t room = frames_.frame_size() - Packet::kHeadroom;
  const std::size_t most = multi_buffer_ ? Packet::kSegmentsMax : 1;
  const std::size_t count = segments(bytes.size());
  if (count == 0 || count > most) {
    ++side.statistics.rx_dropped;
    return false;
  }
  if (side.fill.used() < count) {
    ++side.statistics.fill_empty;
    ++side.statistics.rx_dropped;
    return false;
  }
  if (side.rx.room() < count) {
    ++side.statistics.rx_ring_full;
    return false;
  }
  if (count > 1) ++side.chains;
  const std::uint64_t first =
      put(side, bytes.first(std::min(bytes.size(), room)), bytes.size() > room);
  copy(frames_.at(first - sizeof metadata),
       reinterpret_cast<const std::byte*>(&metadata), sizeof metadata);
  while (bytes.size() > room) {
    bytes = bytes.subspan(room);
    put(side, bytes.first(std::min(bytes.size(), room)), bytes.size() > room);
  }
  return true;
}

std::uint64_t PcapKernel::put(Side& side, std::span<const std::byte> bytes,
                              bool more) noexcept {
  const std::uint64_t frame = frames_.frame_of(side.fill.pop());
  const std::uint64_t addr = frame + Packet::kHeadroom;
  copy(frames_.at(addr), bytes.data(), bytes.size());
  side.rx.push({addr, static_cast<std::uint32_t>(bytes.size()),
                more ? static_cast<std::uint32_t>(XDP_PKT_CONTD) : 0U});
  return addr;
}

bool PcapKernel::busy() const noexcept {
  return std::ranges::any_of(sides_, [](const auto& side) {
    return side->rx.used() > 0 || side->tx.used() > 0;
  });
}

const SocketStatistics& PcapKernel::statistics(
    std::uint8_t port) const noexcept {
  return sides_[port]->statistics;
}

std::uint64_t PcapKernel::chains(std::uint8_t port) const noexcept {
  return sides_[port]->chains;
}

// As the kernel: no more than COMPLETION has room for, and a descriptor that is
// no good comes back as it is.
int PcapKernel::kick_tx(std::uint8_t port) noexcept {
  Side& side = *sides_[port];
  while (side.tx.used() > 0 && !side.completion.full()) {
    const xdp_desc desc = side.tx.pop();
    if (!take(side, desc)) side.invalid = true;
    side.completion.push(desc.addr);
    if ((desc.options & XDP_PKT_CONTD) != 0) continue;
    if (side.invalid) ++side.statistics.tx_invalid;
    side.gathered = 0;
    side.invalid = false;
  }
  return 0;
}

bool PcapKernel::take(Side& side, const xdp_desc& desc) noexcept {
  if (desc.len == 0 || !frames_.contains(desc.addr, desc.len)) return false;
  if (side.gathered++ == 0) packet_.clear();
  const bool more = (desc.options & XDP_PKT_CONTD) != 0;
  const std::byte* bytes = frames_.at(desc.addr);
  if constexpr (!kCheckFrames) {
    if (!more && side.gathered == 1) {
      sink_.sent(side.port, clock_, {bytes, desc.len});
      return true;
    }
  }
  const std::size_t before = packet_.size();
  packet_.resize(before + desc.len);
  copy(packet_.data() + before, bytes, desc.len);
  if (!more && !side.invalid) sink_.sent(side.port, clock_, packet_);
  return true;
}

int PcapKernel::wake_rx(std::uint8_t) noexcept { return 0; }

void PcapKernel::wait(Time deadline, std::uint32_t) noexcept {
  clock_ = std::max(clock_, deadline);
}

bool PcapKernel::next_event(Event&) noexcept { return false; }

}  // namespace sluice::testing
