// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <sluice/checksum.hpp>
#include <sluice/port.hpp>

namespace sluice {
namespace {

// Rings without a kernel: nothing to read, and no room to write. A port that
// has lost its socket has these, so that a turn need not ask. Never written.
PortRings rings_of_nobody() noexcept {
  static std::uint32_t zero = 0;
  static std::uint32_t one = 1;
  static std::uint64_t addr = 0;
  static xdp_desc desc{};
  return {.fill = {&one, &zero, &zero, {&addr, 1}},
          .rx = {&zero, &zero, &zero, {&desc, 1}},
          .tx = {&one, &zero, &zero, {&desc, 1}},
          .completion = {&zero, &zero, &zero, {&addr, 1}}};
}

// By the CPU. A sum of zero is written as ones, as the kernel writes it: of UDP
// it would mean none, for the others they are the same.
void complete(const Packet& packet, const TxChecksum& checksum) noexcept {
  Sum sum;
  std::size_t from = checksum.start;
  const auto segments = packet.segments();
  for (const auto segment : segments) {
    sum.add(segment.subspan(std::exchange(from, 0)));
  }
  const be16 value = sum.udp_checksum();
  std::memcpy(&segments[0][std::size_t{checksum.start} + checksum.offset],
              &value, sizeof value);
}

// What the device's time is written over, as one number.
std::uint64_t word_of(const TxMetadata& metadata) noexcept {
  return std::bit_cast<std::array<std::uint64_t, 3>>(metadata)[1];
}

}  // namespace

Port::Port(std::uint8_t index, std::uint16_t queue, const PortRings& rings,
           FramePool& pool, std::uint32_t fill_target, std::uint32_t lent,
           std::uint64_t first_lent)
    : rx_(rings.rx),
      tx_(rings.tx),
      fill_(rings.fill),
      completion_(rings.completion),
      pool_(&pool),
      counters_(std::make_unique<PortCounters>()),
      silent_(pool.map()),
      fill_target_(fill_target),
      // Few stores to a line that the kernel reads, yet never half empty.
      refill_batch_(std::clamp(fill_target / 4, 1U, 32U)),
      queue_(queue),
      index_(index) {
  assert(fill_target <= rx_.size() && fill_target <= fill_.size());
  assert(lent <= fill_target);
  counters_->fill_submitted += lent;
  if (index > 0) pool.track();
  for (std::uint64_t i = 0; i < lent; ++i) {
    pool.lend(first_lent + i * pool.frame_size(), index);
  }
}

void Port::refill_now(std::uint32_t missing) noexcept {
  // Else more arrived than FILL ever had; the ledger shows it in any build.
  if constexpr (kCheckFrames) assert(missing <= fill_target_);
  const std::uint32_t count =
      fill_.writable(std::min(missing, pool_->available()));
  if (count == 0) return;
  fill_.submit(take_to_fill(count));
}

std::span<const std::uint64_t> Port::take_to_fill(
    std::uint32_t count) noexcept {
  const auto frames = pool_->take(count);
  // Checked builds have overwritten all of it, and let nobody write now.
  if (!kCheckFrames && pool_->has_metadata()) {
    for (const std::uint64_t addr : frames) {
      Packet::forget_metadata(*pool_, addr);
    }
  }
  if (pool_->tracks()) {
    for (const std::uint64_t addr : frames) pool_->lend(addr, index_);
  }
  for (const std::uint64_t addr : frames) {
    pool_->moved(addr, FrameOwner::pool, FrameOwner::fill);
  }
  counters_->fill_submitted += count;
  return frames;
}

void Port::part() noexcept {
  submit();
  while (reclaim() > 0) continue;
  counters_->cut_off += rx_.readable(rx_.size()) + untaken();
  if (chain_.open) {
    drop_chain();
    ++counters_->rx_broken;
    chain_ = {};
  }
  join(rings_of_nobody());
  parted_ = true;
}

void Port::recover() noexcept {
  assert(parted_);
  const std::uint32_t found =
      pool_->recover(index_, receiving() + transmitting());
  const std::uint32_t received = std::min(found, receiving());
  counters_->rx_received += received;
  counters_->completed += found - received;
  for (std::size_t i = 0; awaited() > 0; ++i) {
    if (tx_state_->frames[i].set) end_wait(i, std::nullopt);
  }
}

void Port::lend(std::vector<std::uint64_t>& frames) noexcept {
  assert(parted_);
  const std::uint32_t count =
      std::min(fill_target_ - receiving(), pool_->available());
  assert(frames.capacity() >= frames.size() + count);
  const auto taken = take_to_fill(count);
  frames.insert(frames.end(), taken.begin(), taken.end());
}

void Port::join(const PortRings& rings) noexcept {
  rx_ = ConsumerRing(rings.rx);
  tx_ = ProducerRing(rings.tx);
  fill_ = ProducerRing(rings.fill);
  completion_ = ConsumerRing(rings.completion);
  room_ = 0;
  parted_ = false;
}

void Port::note_queued() noexcept {
  for (std::uint32_t i = 0; i < queued_; ++i) pool_->lend(tx_[i].addr, index_);
}

void Port::keep(std::uint32_t count) noexcept {
  for (const auto run : received(count)) {
    for (const xdp_desc& desc : run) {
      if (pool_->contains(desc.addr)) pool_->keep(desc.addr);
    }
  }
}

void Port::drop_chain() noexcept {
  std::uint64_t addr = chain_.first_addr;
  for (std::uint32_t i = 0; i < chain_.segments; ++i) {
    const std::uint64_t next = pool_->link(addr).addr;
    pool_->put(addr, FrameOwner::chain);
    addr = next;
  }
  chain_.segments = 0;
}

std::optional<Packet> Port::gather(const xdp_desc& desc) noexcept {
  if (!pool_->contains(desc.addr, desc.len)) {
    // Never followed: only the frame it starts in, if any, is taken home.
    ++counters_->rx_invalid;
    if (pool_->contains(desc.addr)) {
      pool_->put(desc.addr, FrameOwner::fill);
    } else {
      ++counters_->astray;
    }
    chain_.broken = true;
  } else {
    pool_->moved(desc.addr, FrameOwner::fill, FrameOwner::chain);
    if (chain_.segments == 0) {
      chain_.first_addr = desc.addr;
      chain_.first_size = desc.len;
    } else {
      pool_->link(chain_.last_addr) = {desc.addr, desc.len};
    }
    chain_.last_addr = desc.addr;
    if (++chain_.segments > Packet::kSegmentsMax) chain_.broken = true;
  }
  if (chain_.broken) drop_chain();
  chain_.open = true;
  if ((desc.options & XDP_PKT_CONTD) != 0) return std::nullopt;

  const Chain chain = std::exchange(chain_, Chain{});
  if (chain.broken) {
    ++counters_->rx_broken;
    return std::nullopt;
  }
  std::uint64_t addr = chain.first_addr;
  for (std::uint32_t i = 0; i < chain.segments; ++i) {
    const std::uint64_t next = pool_->link(addr).addr;
    pool_->moved(addr, FrameOwner::chain, FrameOwner::handler);
    pool_->keep(addr);
    addr = next;
  }
  pool_->hold(chain.segments);
  return Packet(*pool_, chain.first_addr, chain.first_size,
                {queue_, index_, static_cast<std::uint8_t>(chain.segments)});
}

bool Port::find_room(std::uint32_t wanted) noexcept {
  // What is queued was given room: a consumer that goes back is not believed.
  room_ = std::max(queued_, tx_.writable(tx_.size()));
  return room_ - queued_ >= wanted;
}

// All descriptors of a packet or none: half a chain in TX would join the next.
bool Port::send_segments(FramePool::Link first,
                         std::uint32_t segments) noexcept {
  if (room_ - queued_ < segments && !find_room(segments)) return false;
  FramePool::Link at = first;
  for (std::uint32_t left = segments; left > 0; --left) {
    const FramePool::Link here = at;
    if (left > 1) at = pool_->link(here.addr);
    put_descriptor(here.addr, here.size, left > 1 ? XDP_PKT_CONTD : 0U);
  }
  queued_more_ += segments - 1;
  return true;
}

void Port::send_or_drop_segments(FramePool::Link first,
                                 std::uint32_t segments) noexcept {
  if (send_segments(first, segments)) return;
  ++counters_->tx_full;
  Packet::drop(*pool_, first.addr, static_cast<std::uint8_t>(segments));
}

// --- What the device does ----------------------------------------------------

void Port::offer(const TxOffload& offload) {
  if (!tx_state_) {
    assert(pool_->reserved() >= sizeof(TxMetadata));
    tx_state_ = std::make_unique<TxState>();
    tx_state_->frames.resize(pool_->frames());
    tx_state_->ended.reserve(pool_->frames());
  }
  tx_state_->offload = offload;
}

bool Port::send(Packet& packet, const TxRequest& request) noexcept {
  const std::uint32_t segments = packet.origin_.segments;
  if (segments > room_ - queued_ && !find_room(segments)) return false;
  const TxOffload offload = this->offload();
  TxMetadata metadata{};
  if (request.checksum) {
    assert(std::size_t{request.checksum->start} + request.checksum->offset +
               sizeof(be16) <=
           packet.bytes().size());
    if (offload.checksum) {
      metadata.flags |= kTxChecksum;
      metadata.checksum_start = request.checksum->start;
      metadata.checksum_offset = request.checksum->offset;
    } else {
      complete(packet, *request.checksum);
    }
  }
  if (request.launch_time && offload.launch_time) {
    metadata.flags |= kTxLaunchTime;
    metadata.launch_time = *request.launch_time;
  }
  if (request.timestamp && offload.timestamp && tx_state_->listened) {
    metadata.flags |= kTxTimestamp;
  }
  if (metadata.flags == 0) return send(packet);

  // Where an arrived packet has the program's: nobody asks for that any more.
  std::memcpy(packet.bytes().data() - sizeof metadata, &metadata,
              sizeof metadata);
  if ((metadata.flags & kTxTimestamp) != 0) {
    Awaited& awaited = tx_state_->frames[pool_->number_of(packet.addr_)];
    awaited = {*request.timestamp, word_of(metadata), true};
    ++tx_state_->awaited;
    silent_ = FrameMap({}, pool_->frame_size());
  }
  const std::uint32_t first = queued_;
  [[maybe_unused]] const bool sent = send(packet);
  assert(sent);
  tx_[first].options |= XDP_TX_METADATA;
  return true;
}

void Port::end_wait(std::size_t frame, std::optional<Timestamp> time) noexcept {
  Awaited& awaited = tx_state_->frames[frame];
  awaited.set = false;
  if (--tx_state_->awaited == 0) silent_ = pool_->map();
  tx_state_->ended.push_back({awaited.number, index_, time});
}

// Completions of which one names no frame, or may have something to tell.
void Port::look_at(std::span<const std::uint64_t> completed) noexcept {
  for (const std::uint64_t addr : completed) {
    // The kernel completes invalid descriptors with their raw address.
    if (pool_->contains(addr)) {
      take_back(addr);
    } else {
      ++counters_->astray;
    }
  }
}

void Port::take_back(std::uint64_t addr) noexcept {
  const std::size_t frame = pool_->number_of(addr);
  if (awaited() == 0 || !tx_state_->frames[frame].set) {
    return pool_->put(addr, FrameOwner::tx);
  }
  pool_->moved(addr, FrameOwner::tx, FrameOwner::handler);  // To be read.
  TxMetadata metadata{};
  if (pool_->contains(addr - sizeof metadata, sizeof metadata)) {
    std::memcpy(&metadata, pool_->at(addr - sizeof metadata), sizeof metadata);
  }
  const std::uint64_t ns = word_of(metadata);
  std::optional<Timestamp> time;
  if (ns != tx_state_->frames[frame].before && tx_state_->offload.timestamp) {
    time = {ns, *tx_state_->offload.timestamp};
  }
  end_wait(frame, time);
  pool_->put(addr, FrameOwner::handler);
}

}  // namespace sluice
