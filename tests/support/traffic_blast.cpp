// SPDX-License-Identifier: Apache-2.0
// traffic blast: a paced one-way load, as fast as one thread can send.
#include <netinet/udp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>

#include "traffic.hpp"

namespace traffic {
namespace {

// Half of a veth ring (256): a burst fits although the reader is a bit late.
constexpr unsigned kBurst = 64;
constexpr std::uint64_t kDebtMaxNs = 5'000'000;

/// Sends bursts of equal datagrams on one of several flows. With UDP_SEGMENT
/// a burst is one walk through the stack; else each datagram is.
class Blaster {
 public:
  explicit Blaster(const Options& options) : options_(options) {}

  sluice::Result<void> open();
  /// Sends up to `n` <= kBurst datagrams. Returns how many the kernel took.
  sluice::Result<unsigned> send(unsigned n);
  [[nodiscard]] const char* method() const {
    return segment_ ? "UDP_SEGMENT" : "sendmmsg";
  }

 private:
  struct Flow {
    sluice::Fd socket;
    Address to;
    std::uint32_t sequence = 0;
  };

  sluice::Result<unsigned> send_segmented(Flow& flow, unsigned n);
  sluice::Result<unsigned> send_singly(Flow& flow, unsigned n);

  const Options& options_;
  std::vector<Flow> flows_;
  std::vector<std::byte> memory_;
  std::uint32_t turn_ = 0;
  bool segment_ = true;
};

sluice::Result<void> Blaster::open() {
  memory_.resize(std::size_t{options_.size} * kBurst);
  flows_.resize(options_.flows);
  for (std::uint32_t i = 0; i < options_.flows; ++i) {
    auto to = parse_address(options_.to[i % options_.to.size()], options_.port);
    if (!to) return to.error();
    auto socket = open_udp(to->family());
    if (!socket) return socket.error();
    flows_[i] = {*std::move(socket), *to, 0};
  }
  return {};
}

sluice::Result<unsigned> Blaster::send_segmented(Flow& flow, unsigned n) {
  iovec vector{memory_.data(), std::size_t{options_.size} * n};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(std::uint16_t))>
      control{};
  msghdr message{};
  message.msg_name = flow.to.get();
  message.msg_namelen = flow.to.size;
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = IPPROTO_UDP;
  header->cmsg_type = UDP_SEGMENT;
  header->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
  *reinterpret_cast<std::uint16_t*>(CMSG_DATA(header)) =
      static_cast<std::uint16_t>(options_.size);
  if (::sendmsg(flow.socket.get(), &message, 0) >= 0) return n;
  // Older kernels want the device to finish checksums; EINVAL: too large.
  if (errno == EIO || errno == EINVAL || errno == EMSGSIZE) {
    segment_ = false;
    return send_singly(flow, n);
  }
  if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR) return 0u;
  return sluice::Error::last("sendmsg(UDP_SEGMENT)");
}

sluice::Result<unsigned> Blaster::send_singly(Flow& flow, unsigned n) {
  std::array<iovec, kBurst> vectors;
  std::array<mmsghdr, kBurst> messages{};
  for (unsigned i = 0; i < n; ++i) {
    vectors[i] = {&memory_[std::size_t{options_.size} * i], options_.size};
    messages[i].msg_hdr.msg_name = flow.to.get();
    messages[i].msg_hdr.msg_namelen = flow.to.size;
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const int done = ::sendmmsg(flow.socket.get(), messages.data(), n, 0);
  if (done >= 0) return static_cast<unsigned>(done);
  if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR) return 0u;
  return sluice::Error::last("sendmmsg");
}

sluice::Result<unsigned> Blaster::send(unsigned n) {
  const std::uint32_t index = turn_;
  Flow& flow = flows_[index];
  turn_ = (turn_ + 1) % options_.flows;
  for (unsigned i = 0; i < n; ++i) {
    write_payload(std::span(memory_).subspan(std::size_t{options_.size} * i,
                                             options_.size),
                  {index, flow.sequence + i}, options_.seed);
  }
  auto done =
      segment_ && n > 1 ? send_segmented(flow, n) : send_singly(flow, n);
  if (done) flow.sequence += *done;
  return done;
}

void sleep_until(std::uint64_t time_ns) {
  const timespec until{static_cast<time_t>(time_ns / 1'000'000'000),
                       static_cast<long>(time_ns % 1'000'000'000)};
  ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
}

}  // namespace

int run_blast(const Options& options) {
  Blaster blaster(options);
  auto opened = blaster.open();
  if (!opened) return failed(opened.error());

  const double gap_ns = 1e9 / static_cast<double>(options.rate);
  // Slow rates go one by one; fast ones in bursts, no more than the rate needs.
  const auto burst =
      static_cast<unsigned>(std::clamp(100'000 / gap_ns, 1.0, double{kBurst}));
  const auto step_ns = static_cast<std::uint64_t>(gap_ns * burst);
  const auto start = now_ns();
  const auto end = start + static_cast<std::uint64_t>(options.duration_s * 1e9);
  std::uint64_t sent = 0, refused = 0, skipped = 0, due = start;
  auto now = start;
  while (now < end) {
    auto done = blaster.send(burst);
    if (!done) return failed(done.error());
    sent += *done;
    refused += burst - *done;
    due += step_ns;
    now = now_ns();
    if (due > now) {
      sleep_until(due);
      now = now_ns();
    } else if (now - due > kDebtMaxNs) {
      // A debt is not paid in one go: that would be a burst nobody asked for.
      skipped +=
          static_cast<std::uint64_t>(static_cast<double>(now - due) / gap_ns);
      due = now;
    }
  }
  const double seconds = static_cast<double>(now - start) / 1e9;
  fmt::print(
      fmt::runtime(options.json
                       ? R"({{"schema":1,"kind":"blast","ok":true,"sent":{},)"
                         R"("refused":{},"skipped":{},"seconds":{:.3f},)"
                         R"("rate":{:.0f},"method":"{}"}})"
                         "\n"
                       : "blast: sent {}, refused {}, skipped {}; {:.3f} s, "
                         "{:.0f} a second by {}\n"),
      sent, refused, skipped, seconds, static_cast<double>(sent) / seconds,
      blaster.method());
  return 0;
}

}  // namespace traffic
