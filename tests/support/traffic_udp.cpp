// SPDX-License-Identifier: Apache-2.0
// traffic udp: a windowed request and answer load, every answer verified.
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>

#include "traffic.hpp"

namespace traffic {
namespace {

constexpr unsigned kBatch = 32;
constexpr std::size_t kPayloadMax = 65536;

/// The life of one datagram.
enum class State : std::uint8_t { unsent, in_flight, answered, lost };

struct Datagram {
  std::uint64_t sent_ns = 0;
  State state = State::unsent;
};

struct Flow {
  sluice::Fd socket;
  Address to;
  std::vector<Datagram> datagrams;  // By sequence.
  std::uint32_t next = 0;           // Sequence to send next.
  std::uint32_t newest = 0;         // One past the highest answered.
};

struct Counts {
  std::uint64_t sent = 0, answered = 0, lost = 0, wrong = 0, duplicates = 0,
                reordered = 0;
};

/// Messages of one system call, with room for their payloads and addresses.
struct Batch {
  std::vector<std::byte> memory;
  std::array<iovec, kBatch> vectors{};
  std::array<mmsghdr, kBatch> messages{};
  std::array<Address, kBatch> addresses{};
  std::size_t room;

  explicit Batch(std::size_t payload_room)
      : memory(payload_room * kBatch), room(payload_room) {}

  std::span<std::byte> payload(unsigned i) {
    return std::span(memory).subspan(i * room, room);
  }
  void prepare(unsigned i, std::size_t size, const Address& address) {
    addresses[i] = address;
    vectors[i] = {payload(i).data(), size};
    auto& header = messages[i].msg_hdr;
    header = {};
    header.msg_name = addresses[i].get();
    header.msg_namelen = address.size;
    header.msg_iov = &vectors[i];
    header.msg_iovlen = 1;
  }
};

class Run {
 public:
  explicit Run(const Options& options) : options_(options) {}

  sluice::Result<void> open();
  sluice::Result<void> drive();
  int report() const;

 private:
  struct Sent {
    std::uint32_t flow, sequence;
  };

  sluice::Result<void> send_some();
  sluice::Result<unsigned> send_on(Flow& flow, std::uint32_t index, unsigned n);
  sluice::Result<void> receive(std::uint32_t index);
  void take(Flow& flow, std::uint32_t index, std::span<const std::byte> payload,
            const Address& from);
  bool is_right(std::uint32_t index, const Tag& tag,
                std::span<const std::byte> payload, const Address& from);
  void expire(std::uint64_t now);
  sluice::Result<void> wait(double seconds);

  const Options& options_;
  std::vector<Flow> flows_;
  sluice::Fd epoll_;
  std::deque<Sent> order_;  // In flight or done, oldest first.
  Counts counts_;
  std::uint64_t in_flight_ = 0;
  std::uint32_t turn_ = 0;  // Flow to send on next.
  std::vector<std::uint32_t> round_trips_ns_;
  double seconds_ = 0;
  Batch sending_{options_.size};
  Batch receiving_{std::min(kPayloadMax, std::size_t{options_.size} + 64)};
  std::vector<std::byte> expected_ = std::vector<std::byte>(options_.size);
};

sluice::Result<void> Run::open() {
  epoll_ = sluice::Fd{::epoll_create1(EPOLL_CLOEXEC)};
  if (!epoll_) return sluice::Error::last("epoll_create1");
  flows_.resize(options_.flows);
  for (std::uint32_t i = 0; i < options_.flows; ++i) {
    Flow& flow = flows_[i];
    auto to = parse_address(options_.to[i % options_.to.size()], options_.port);
    if (!to) return to.error();
    flow.to = *to;
    auto socket = open_udp(flow.to.family());
    if (!socket) return socket.error();
    flow.socket = *std::move(socket);
    // Room for a whole window, so that this end never is the one that loses.
    const int room = 1 << 20;
    ::setsockopt(flow.socket.get(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    epoll_event event{.events = EPOLLIN, .data = {.u32 = i}};
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, flow.socket.get(), &event))
      return sluice::Error::last("epoll_ctl");
    const auto share = options_.count / options_.flows +
                       (i < options_.count % options_.flows ? 1 : 0);
    flow.datagrams.resize(share);
  }
  round_trips_ns_.reserve(options_.count);
  return {};
}

sluice::Result<unsigned> Run::send_on(Flow& flow, std::uint32_t index,
                                      unsigned n) {
  for (unsigned i = 0; i < n; ++i) {
    write_payload(sending_.payload(i), {index, flow.next + i}, options_.seed);
    sending_.prepare(i, options_.size, flow.to);
  }
  const auto now = now_ns();
  const int done =
      ::sendmmsg(flow.socket.get(), sending_.messages.data(), n, 0);
  if (done < 0) {
    if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS) return 0u;
    return sluice::Error::last("sendmmsg",
                               options_.to[index % options_.to.size()]);
  }
  for (int i = 0; i < done; ++i) {
    flow.datagrams[flow.next] = {now, State::in_flight};
    order_.push_back({index, flow.next++});
  }
  counts_.sent += static_cast<unsigned>(done);
  in_flight_ += static_cast<unsigned>(done);
  return static_cast<unsigned>(done);
}

// Flows take turns, so that a window touches as many of them as it can.
sluice::Result<void> Run::send_some() {
  const std::uint64_t per_flow =
      std::max<std::uint64_t>(1, options_.window / options_.flows);
  while (in_flight_ < options_.window && counts_.sent < options_.count) {
    Flow& flow = flows_[turn_];
    const std::uint64_t n =
        std::min({std::uint64_t{kBatch}, per_flow, options_.window - in_flight_,
                  std::uint64_t{flow.datagrams.size()} - flow.next});
    if (n > 0) {
      auto done = send_on(flow, turn_, static_cast<unsigned>(n));
      if (!done) return done.error();
      if (*done == 0) break;  // The kernel is full: wait for answers first.
    }
    turn_ = (turn_ + 1) % options_.flows;
  }
  return {};
}

bool Run::is_right(std::uint32_t index, const Tag& tag,
                   std::span<const std::byte> payload, const Address& from) {
  const Flow& flow = flows_[index];
  if (tag.flow != index || tag.sequence >= flow.next) return false;
  if (payload.size() != options_.size || !(from == flow.to)) return false;
  write_payload(expected_, tag, options_.seed);
  return std::ranges::equal(payload, expected_);
}

void Run::take(Flow& flow, std::uint32_t index,
               std::span<const std::byte> payload, const Address& from) {
  Tag tag{UINT32_MAX, UINT32_MAX};
  if (payload.size() >= sizeof tag)
    std::memcpy(&tag, payload.data(), sizeof tag);
  if (!is_right(index, tag, payload, from)) {
    ++counts_.wrong;
    return;
  }
  Datagram& datagram = flow.datagrams[tag.sequence];
  if (datagram.state == State::answered) {
    ++counts_.duplicates;
    return;
  }
  if (datagram.state == State::in_flight) --in_flight_;
  if (datagram.state == State::lost) --counts_.lost;  // Late, not lost.
  datagram.state = State::answered;
  ++counts_.answered;
  round_trips_ns_.push_back(static_cast<std::uint32_t>(
      std::min<std::uint64_t>(now_ns() - datagram.sent_ns, UINT32_MAX)));
  if (tag.sequence < flow.newest) ++counts_.reordered;
  flow.newest = std::max(flow.newest, tag.sequence + 1);
}

sluice::Result<void> Run::receive(std::uint32_t index) {
  Flow& flow = flows_[index];
  Address any;
  any.size = sizeof any.storage;
  for (unsigned i = 0; i < kBatch; ++i)
    receiving_.prepare(i, receiving_.room, any);
  const int n = ::recvmmsg(flow.socket.get(), receiving_.messages.data(),
                           kBatch, MSG_DONTWAIT, nullptr);
  if (n < 0) {
    if (errno == EAGAIN || errno == EINTR) return {};
    return sluice::Error::last("recvmmsg");
  }
  for (unsigned i = 0; i < static_cast<unsigned>(n); ++i) {
    const std::size_t size = receiving_.messages[i].msg_len;
    take(flow, index, receiving_.payload(i).first(size),
         receiving_.addresses[i]);
  }
  return {};
}

void Run::expire(std::uint64_t now) {
  const auto patience = static_cast<std::uint64_t>(options_.patience_s * 1e9);
  while (!order_.empty()) {
    Datagram& oldest =
        flows_[order_.front().flow].datagrams[order_.front().sequence];
    if (oldest.state == State::in_flight) {
      if (now - oldest.sent_ns < patience) return;
      oldest.state = State::lost;
      ++counts_.lost;
      --in_flight_;
    }
    order_.pop_front();
  }
}

sluice::Result<void> Run::wait(double seconds) {
  std::array<epoll_event, 256> events;
  const int n = ::epoll_wait(epoll_.get(), events.data(), events.size(),
                             std::max(1, static_cast<int>(seconds * 1000)));
  if (n < 0 && errno != EINTR) return sluice::Error::last("epoll_wait");
  for (int i = 0; i < n; ++i) {
    auto received = receive(events[static_cast<unsigned>(i)].data.u32);
    if (!received) return received;
  }
  return {};
}

sluice::Result<void> Run::drive() {
  const auto start = now_ns();
  const auto end = start + static_cast<std::uint64_t>(options_.timeout_s * 1e9);
  auto now = start;
  while (counts_.answered + counts_.lost < options_.count && now < end) {
    auto sent = send_some();
    if (!sent) return sent;
    // Short enough to notice the oldest datagram's loss in time.
    auto waited = wait(std::min(0.1, options_.patience_s / 4));
    if (!waited) return waited;
    now = now_ns();
    expire(now);
  }
  seconds_ = static_cast<double>(now - start) / 1e9;
  auto waited = wait(0.02);  // What comes now is a duplicate, or late.
  if (!waited) return waited;
  counts_.lost += in_flight_;
  return {};
}

int Run::report() const {
  auto sorted = round_trips_ns_;
  std::ranges::sort(sorted);
  const auto percentile = [&](std::size_t hundredth) {
    if (sorted.empty()) return 0.0;
    return sorted[(sorted.size() - 1) * hundredth / 100] / 1000.0;
  };
  const Counts& c = counts_;
  const bool right = c.answered == options_.count && c.sent == options_.count &&
                     c.wrong == 0 && c.duplicates == 0;
  const double rate =
      static_cast<double>(c.answered) / std::max(seconds_, 1e-9);
  if (options_.json) {
    fmt::print(R"({{"schema":1,"kind":"udp","ok":{},"sent":{},"answered":{},)"
               R"("lost":{},"wrong":{},"duplicates":{},"reordered":{},)"
               R"("seconds":{:.3f},)"
               R"("rate":{:.0f},"rtt_p50_us":{:.1f},"rtt_p99_us":{:.1f}}})"
               "\n",
               right, c.sent, c.answered, c.lost, c.wrong, c.duplicates,
               c.reordered, seconds_, rate, percentile(50), percentile(99));
  } else {
    fmt::print(
        "udp: sent {}, answered {}, lost {}, wrong {}, duplicates {}, "
        "reordered {}; {:.3f} s, {:.0f} a second, round trip p50 {:.1f} us, "
        "p99 {:.1f} us\n",
        c.sent, c.answered, c.lost, c.wrong, c.duplicates, c.reordered,
        seconds_, rate, percentile(50), percentile(99));
  }
  return right ? 0 : 1;
}

}  // namespace

int run_udp(const Options& options) {
  Run run(options);
  auto opened = run.open();
  if (!opened) return failed(opened.error());
  auto driven = run.drive();
  const int result = run.report();
  return driven ? result : failed(driven.error());
}

}  // namespace traffic
