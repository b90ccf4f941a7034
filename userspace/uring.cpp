// SPDX-License-Identifier: Apache-2.0
#include <liburing.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <sluice/uring.hpp>

namespace sluice {
namespace {

// Completions of no poll: the answers to cancel requests.
constexpr std::uint64_t kCancel = ~0ULL;
// Of 10 ms at most: a poll that does not end then is left to the kernel.
constexpr int kCancelTurns = 100;

__kernel_timespec until(Time deadline) noexcept {
  const Time now = monotonic_now();
  const std::uint64_t ns = deadline > now ? deadline.ns - now.ns : 0;
  return {static_cast<long long>(ns / 1'000'000'000),
          static_cast<long long>(ns % 1'000'000'000)};
}

}  // namespace

Uring::Uring()
    : ring_(std::make_unique<io_uring>()),
      watches_(std::make_unique<Watch[]>(kWatchedMax)) {}

Result<std::unique_ptr<Uring>> Uring::open() {
  std::unique_ptr<Uring> uring(new Uring());
  // Deferred: while the core is awake, packets that arrive make no completions
  // and no interrupts for it; they are looked at when it goes to sleep.
  int result = io_uring_queue_init(
      2 * kWatchedMax, uring->ring_.get(),
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
  if (result == -EINVAL) {
    result = io_uring_queue_init(2 * kWatchedMax, uring->ring_.get(), 0);
  }
  if (result < 0) {
    uring->ring_->ring_fd = -1;
    return Error{-result, "io_uring_setup", "",
                 result == -EPERM || result == -ENOSYS
                     ? "A container's seccomp profile or "
                       "kernel.io_uring_disabled refuses it."
                     : ""};
  }
  return uring;
}

Uring::~Uring() {
  if (ring_->ring_fd < 0) return;
  for (int turn = 0; turn < kCancelTurns && cancel_all(); ++turn) {
    await_cancelled();
  }
  io_uring_queue_exit(ring_.get());
}

// True if the poll is armed yet: then it has been asked to end. Asked again and
// again: one that has just fired can't be cancelled before its completion is
// seen.
bool Uring::cancel(std::size_t index) noexcept {
  if (!watches_[index].armed) return false;
  if (io_uring_sqe* sqe = io_uring_get_sqe(ring_.get()); sqe != nullptr) {
    io_uring_prep_poll_remove(sqe, index);
    io_uring_sqe_set_data64(sqe, kCancel);
  }
  return true;
}

bool Uring::cancel_all() noexcept {
  bool armed = false;
  for (std::size_t i = 0; i < count_; ++i) armed |= cancel(i);
  return armed;
}

void Uring::await_cancelled() noexcept {
  __kernel_timespec nap{0, 10'000'000};
  io_uring_cqe* cqe = nullptr;
  io_uring_submit_and_wait_timeout(ring_.get(), &cqe, 1, &nap, nullptr);
  drain();
}

void Uring::unwatch(int fd) noexcept {
  for (std::size_t i = 0; i < count_; ++i) {
    if (watches_[i].fd != fd) continue;
    for (int turn = 0; turn < kCancelTurns && cancel(i); ++turn) {
      await_cancelled();
    }
    watches_[i] = {};
  }
}

void Uring::arm(std::size_t index) noexcept {
  io_uring_sqe* sqe = io_uring_get_sqe(ring_.get());
  if (sqe == nullptr) return;  // Full: the next call arms it.
  // Never POLLOUT: an XSK is always ready for that.
  io_uring_prep_poll_multishot(sqe, watches_[index].fd, POLLIN);
  io_uring_sqe_set_data64(sqe, index);
  watches_[index].armed = true;
}

Result<void> Uring::watch(int fd) {
  std::size_t at = 0;
  while (at < count_ && watches_[at].fd >= 0) ++at;
  if (at == kWatchedMax) return Error{ENOSPC, "watch", std::to_string(fd)};
  count_ = std::max(count_, at + 1);
  watches_[at].fd = fd;
  arm(at);
  const int result = io_uring_submit(ring_.get());
  if (result < 0) return Error{-result, "io_uring_enter", std::to_string(fd)};
  return {};
}

// True if a descriptor fired.
bool Uring::drain() noexcept {
  bool fired = false;
  unsigned head = 0;
  unsigned count = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(ring_.get(), head, cqe) {
    ++count;
    if (cqe->user_data == kCancel) continue;
    Watch& watch = watches_[cqe->user_data];
    if ((cqe->flags & IORING_CQE_F_MORE) == 0) watch.armed = false;
    if (cqe->res < 0 || (cqe->res & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
      watch.dead = true;
    }
    fired = true;
  }
  io_uring_cq_advance(ring_.get(), count);
  return fired;
}

void Uring::wait(Time deadline) noexcept {
  bool rearmed = false;
  for (std::size_t i = 0; i < count_; ++i) {
    const Watch& watch = watches_[i];
    if (watch.armed || watch.dead || watch.fd < 0) continue;
    arm(i);
    rearmed = true;
  }
  if (rearmed) {
    // What arrived before this was armed fires no edge. Not slept.
    io_uring_submit(ring_.get());
    return;
  }
  __kernel_timespec timeout = until(deadline);
  io_uring_cqe* cqe = nullptr;
  io_uring_submit_and_wait_timeout(ring_.get(), &cqe, 1, &timeout, nullptr);
  drain();
}

}  // namespace sluice
