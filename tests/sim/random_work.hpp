// SPDX-License-Identifier: Apache-2.0
// RandomWork: a handler that does, at random, everything a handler can do, and
// remembers all of it: what comes in is checked byte by byte, and what goes out
// must be what was sent, once, in order, and nothing else.
#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <optional>
#include <set>
#include <sluice/handler.hpp>
#include <string>
#include <utility>
#include <vector>

#include "numbered_traffic.hpp"

namespace sluice::testing {

class RandomWork {
 public:
  struct Options {
    std::uint64_t seed = 1;
    std::size_t ports = 1;
    std::size_t keeps = 32;  // Packets at a time, at most.
  };

  RandomWork(const Options& options, Core& core);

  /// A packet that is left where it is.
  void leave(const Packet& packet) noexcept { check(packet); }
  /// One packet; it is anybody's guess what becomes of it.
  void take(Packet packet) noexcept;
  void event(const Event& event) { events_ += event.port < 32 ? 1 : 0; }
  /// Of a packet that was sent with a number.
  void transmitted(const Transmitted& told);
  /// For SimPort::watch.
  void saw(const SimDeparture& departure);

  /// From now on: keeps nothing, and replies to everything.
  void calm() noexcept;
  [[nodiscard]] bool is_calm() const { return calm_; }

  /// What was wrong first; "" is good.
  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] std::uint64_t received(std::size_t port) const {
    return last_[port].count;
  }
  /// Frames in kept packets, as counted here.
  [[nodiscard]] std::size_t kept_frames() const;
  /// Packets sent and not seen on the wire yet.
  [[nodiscard]] std::size_t owed() const;
  [[nodiscard]] std::uint64_t events() const { return events_; }
  /// Packets sent with a number, whose end was not told yet, or was.
  [[nodiscard]] std::size_t untold() const { return numbered_.size(); }
  [[nodiscard]] std::uint64_t told() const { return told_; }
  [[nodiscard]] SimRandom& random() { return random_; }

 private:
  struct Kept {
    Packet packet;
    std::uint64_t digest;
    std::size_t frames;
    Time until;
  };
  struct Sent {
    std::uint64_t digest;
    bool empty;
  };
  struct Last {
    std::uint64_t serial = 0;
    std::uint64_t count = 0;
  };

  void wrong(const std::string& what) {
    if (problem_.empty()) problem_ = what;
  }
  std::uint64_t digest(const Packet& packet);
  std::span<const std::byte> whole(const Packet& packet);
  void check(const Packet& packet);
  void act(Packet packet);
  void change(Packet& packet);
  void send(Packet packet, std::size_t port);
  bool try_send(Packet& packet, std::size_t port, const TxRequest& request);
  void keep(Packet packet);
  void let_go(bool all);
  std::size_t any_port() {
    return random_.below(static_cast<std::uint32_t>(last_.size()));
  }

  Core& core_;
  SimRandom random_;
  std::size_t keeps_;
  bool calm_ = false;
  std::vector<Kept> kept_;
  std::vector<std::deque<Sent>> sent_;  // By port, in the order of TX.
  std::vector<Last> last_;              // By port.
  std::vector<std::byte> scratch_;
  std::vector<std::byte> expected_;
  std::uint64_t events_ = 0;
  std::uint64_t last_number_ = 0;
  std::set<std::uint64_t> numbered_;
  std::uint64_t told_ = 0;
  std::string problem_;
};

inline RandomWork::RandomWork(const Options& options, Core& core)
    : core_(core),
      random_(options.seed),
      keeps_(options.keeps),
      sent_(options.ports),
      last_(options.ports) {
  core.every(1ms, [this] { let_go(false); });
}

inline std::span<const std::byte> RandomWork::whole(const Packet& packet) {
  const auto segments = packet.segments();
  if (segments.size() == 1) return segments[0];
  scratch_.clear();
  for (const auto segment : segments) {
    scratch_.insert(scratch_.end(), segment.begin(), segment.end());
  }
  return scratch_;
}

inline std::uint64_t RandomWork::digest(const Packet& packet) {
  return sim_digest(whole(packet));
}

inline void RandomWork::check(const Packet& packet) {
  const auto bytes = whole(packet);
  Mark mark;
  if (bytes.size() < sizeof mark) return wrong("A packet came in too short.");
  std::memcpy(&mark, bytes.data(), sizeof mark);
  if (bytes.size() != packet.size() || mark.size != bytes.size() ||
      mark.port != packet.port()) {
    return wrong("A packet came in with another's size or port.");
  }
  Last& last = last_[packet.port()];
  ++last.count;
  if (mark.serial <= last.serial) {
    return wrong("Packet " + std::to_string(mark.serial) + " came in after " +
                 std::to_string(last.serial) + ".");
  }
  last.serial = mark.serial;
  write_packet(mark, expected_);
  if (std::memcmp(bytes.data(), expected_.data(), bytes.size()) != 0) {
    wrong("Packet " + std::to_string(mark.serial) + " came in changed.");
  }
}

inline void RandomWork::take(Packet packet) noexcept {
  check(packet);
  if (calm_) {
    const std::size_t port = packet.port();
    send(std::move(packet), port);
  } else {
    act(std::move(packet));
  }
  if (!kept_.empty() && random_.below(16) == 0) let_go(false);
}

inline void RandomWork::act(Packet packet) {
  const std::size_t back = packet.port();
  const std::uint32_t what = random_.below(100);
  if (what < 15) {
    // Dies.
  } else if (what < 45) {
    send(std::move(packet), back);
  } else if (what < 60) {
    send(std::move(packet), any_port());
  } else if (what < 70) {
    keep(std::move(packet));
  } else if (what < 80) {
    auto copy = packet.copy();
    if (copy && digest(*copy) != digest(packet)) wrong("A copy differs.");
    send(std::move(packet), back);
    if (copy) send(std::move(*copy), any_port());
  } else if (what < 83) {
    if (auto made = core_.make_packet(kSmallest + random_.below(200))) {
      std::memset(made->bytes().data(), 0x5a, made->size());
      send(std::move(*made), back);
    }
  } else {
    change(packet);
    send(std::move(packet), any_port());
  }
}

// Grows, shrinks, overwrites; what does not fit leaves it as it was.
inline void RandomWork::change(Packet& packet) {
  const std::uint32_t size = packet.size();
  const std::uint32_t count = random_.below(400);
  switch (random_.below(6)) {
    case 0:
      if (!packet.prepend(count)) break;
      std::memset(packet.bytes().data(), 0x11, count);
      break;
    case 1:
      if (!packet.append(count)) break;
      for (std::uint32_t i = 0; i < count; ++i) {
        const auto segments = packet.segments();
        const auto last = segments[segments.size() - 1];
        if (i < last.size()) last[last.size() - 1 - i] = std::byte{0x22};
      }
      break;
    case 2:
      if (packet.trim_front(count) && packet.size() != size - count) {
        wrong("trim_front took another size.");
      }
      break;
    case 3:
      if (packet.trim_back(count) && packet.size() != size - count) {
        wrong("trim_back took another size.");
      }
      break;
    case 4:
      for (const auto segment : packet.segments()) segment[0] ^= std::byte{1};
      break;
    default:
      // An empty packet is an invalid descriptor.
      if (random_.below(8) == 0) (void)packet.trim_back(size);
  }
}

inline void RandomWork::send(Packet packet, std::size_t port) {
  const Sent sent{digest(packet), packet.size() == 0};
  const Counter& full = core_.ports()[port].counters().tx_full;
  const std::uint64_t before = full.value();
  TxRequest request;
  if (core_.port(port).offload().timestamp && random_.below(4) == 0) {
    request.timestamp = ++last_number_;
  }
  if (random_.below(2) == 0) {
    if (!try_send(packet, port, request)) {
      if (digest(packet) != sent.digest) wrong("A refused packet changed.");
      return keep(std::move(packet));
    }
  } else if (port == packet.port() && !request.timestamp) {
    core_.reply(std::move(packet));
  } else if (port == packet.port()) {
    core_.reply(std::move(packet), request);
  } else {
    core_.port(port).send(std::move(packet), request);
  }
  if (full.value() == before) {
    sent_[port].push_back(sent);
    if (request.timestamp) numbered_.insert(*request.timestamp);
  }
  if (random_.below(64) == 0) core_.flush();
}

inline bool RandomWork::try_send(Packet& packet, std::size_t port,
                                 const TxRequest& request) {
  const Outlet outlet = core_.port(port);
  if (request.timestamp) return outlet.try_send(packet, request);
  return outlet.try_send(packet);
}

inline void RandomWork::transmitted(const Transmitted& told) {
  if (numbered_.erase(told.number) == 0) wrong("A packet's end is told twice.");
  // The clock of the turn; the kernel's went on since it began.
  if (told.time && told.time->ns > (core_.now() + 1ms).ns) {
    wrong("A packet left later than now.");
  }
  ++told_;
}

inline void RandomWork::keep(Packet packet) {
  if (calm_ || kept_.size() >= keeps_) return;  // Dies.
  const std::uint64_t mark = digest(packet);
  const std::size_t frames = packet.segments().size();
  kept_.push_back(
      {std::move(packet), mark, frames, core_.now() + random_.up_to(5ms)});
}

inline void RandomWork::let_go(bool all) {
  std::vector<Kept> due;
  for (std::size_t i = 0; i < kept_.size();) {
    if (!all && kept_[i].until > core_.now()) {
      ++i;
      continue;
    }
    due.push_back(std::move(kept_[i]));
    if (i + 1 < kept_.size()) kept_[i] = std::move(kept_.back());
    kept_.pop_back();
  }
  for (Kept& each : due) {
    if (digest(each.packet) != each.digest) wrong("A kept packet changed.");
    if (all || random_.below(2) == 0) continue;
    send(std::move(each.packet), any_port());
  }
}

inline void RandomWork::calm() noexcept {
  calm_ = true;
  let_go(true);
}

inline std::size_t RandomWork::kept_frames() const {
  std::size_t frames = 0;
  for (const Kept& each : kept_) frames += each.frames;
  return frames;
}

inline std::size_t RandomWork::owed() const {
  std::size_t owed = 0;
  for (const auto& each : sent_) owed += each.size();
  return owed;
}

inline void RandomWork::saw(const SimDeparture& departure) {
  auto& owed = sent_[departure.port];
  if (owed.empty()) return wrong("A packet went out that nobody sent.");
  const Sent sent = owed.front();
  owed.pop_front();
  if (departure.fate == SimFate::cut_off) return;
  if (sent.empty != (departure.fate == SimFate::invalid)) {
    return wrong("A descriptor was invalid that should not be.");
  }
  if (!sent.empty && sim_digest(departure.bytes) != sent.digest) {
    wrong("A packet went out changed, or out of its turn.");
  }
}

/// As a handler of packets.
struct RandomPackets {
  RandomWork work;
  void operator()(Packet packet, Core&) noexcept {
    work.take(std::move(packet));
  }
  void event(const Event& event) { work.event(event); }
  void transmitted(const Transmitted& told) { work.transmitted(told); }
};

/// As a handler of bursts; some packets stay where they are, and die.
struct RandomBursts {
  RandomWork work;
  void operator()(Burst& burst, Core&) noexcept {
    for (Packet& packet : burst) {
      if (!work.is_calm() && work.random().below(8) == 0) {
        work.leave(packet);
      } else {
        work.take(std::move(packet));
      }
    }
  }
  void event(const Event& event) { work.event(event); }
  void transmitted(const Transmitted& told) { work.transmitted(told); }
};

}  // namespace sluice::testing
