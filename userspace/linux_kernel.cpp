// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <sluice/linux_kernel.hpp>
#include <utility>

namespace sluice {

Result<std::unique_ptr<Mailbox>> Mailbox::open() {
  auto mailbox = std::make_unique<Mailbox>();
  mailbox->eventfd_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!mailbox->eventfd_) return Error::last("eventfd");
  return mailbox;
}

bool Mailbox::post(const Event& event) noexcept {
  if (!events_.push(event)) return false;
  if (wake_.claim()) {
    const std::uint64_t one = 1;
    // Can't fail but for a counter at its limit, and then the sleeper wakes.
    (void)!::write(eventfd_.get(), &one, sizeof one);
  }
  return true;
}

Result<std::unique_ptr<LinuxKernel>> LinuxKernel::open(std::vector<int> sockets,
                                                       Mailbox& mailbox,
                                                       bool use_uring) {
  std::unique_ptr<LinuxKernel> kernel(
      new LinuxKernel(std::move(sockets), mailbox));
  if (!use_uring) {
    kernel->refusal_ = {EPERM, "io_uring", "", "It was masked."};
    return kernel;
  }
  auto uring = Uring::open();
  if (!uring) {
    kernel->refusal_ = uring.error();
    return kernel;
  }
  kernel->uring_ = std::move(*uring);
  for (const int fd : kernel->sockets_) {
    if (auto watched = kernel->uring_->watch(fd); !watched) {
      return watched.error();
    }
  }
  if (auto watched = kernel->uring_->watch(mailbox.eventfd_.get()); !watched) {
    return watched.error();
  }
  return kernel;
}

int LinuxKernel::kick_tx(std::uint8_t port) noexcept {
  // MSG_DONTWAIT: without it the kernel refuses (EOPNOTSUPP).
  const auto sent =
      ::sendto(sockets_[port], nullptr, 0, MSG_DONTWAIT, nullptr, 0);
  return sent < 0 ? errno : 0;
}

int LinuxKernel::wake_rx(std::uint8_t port) noexcept {
  const auto got =
      ::recvfrom(sockets_[port], nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
  return got < 0 ? errno : 0;
}

// Of the calls that make a driver look at TX, poll(2) alone does so for a
// socket that prefers busy polling. Source: net/xdp/xsk.c, xsk_poll,
// xsk_no_wakeup.
void LinuxKernel::wake_tx(std::uint8_t port) noexcept {
  pollfd asked{sockets_[port], POLLOUT, 0};
  (void)::poll(&asked, 1, 0);
}

void LinuxKernel::wait(Time deadline, std::uint32_t watched) noexcept {
  mailbox_.wake_.prepare();
  if (!mailbox_.events_.ready()) {
    if (uring_) {
      uring_->wait(deadline);
    } else {
      poll(deadline, watched);
    }
  }
  mailbox_.wake_.done();
}

void LinuxKernel::poll(Time deadline, std::uint32_t watched) noexcept {
  std::array<pollfd, 33> fds{};
  std::array<std::uint8_t, 33> port_of{};
  nfds_t count = 0;
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    if (((watched & ~dead_) >> i & 1U) == 0 || sockets_[i] < 0) continue;
    port_of[count] = static_cast<std::uint8_t>(i);
    fds[count++] = {sockets_[i], POLLIN, 0};
  }
  const nfds_t ports = count;
  fds[count++] = {mailbox_.eventfd_.get(), POLLIN, 0};

  const Time from = monotonic_now();
  const std::uint64_t ns = deadline > from ? deadline.ns - from.ns : 0;
  const timespec timeout{static_cast<time_t>(ns / 1'000'000'000),
                         static_cast<long>(ns % 1'000'000'000)};
  if (::ppoll(fds.data(), count, &timeout, nullptr) <= 0) return;
  for (nfds_t i = 0; i < ports; ++i) {
    if ((fds[i].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
      dead_ |= 1U << port_of[i];
    }
  }
  if (fds[ports].revents != 0) {
    std::uint64_t drained = 0;
    (void)!::read(mailbox_.eventfd_.get(), &drained, sizeof drained);
  }
}

Time LinuxKernel::now() noexcept { return monotonic_now(); }

bool LinuxKernel::next_event(Event& event) noexcept {
  return mailbox_.events_.pop(event);
}

void LinuxKernel::set_socket(std::uint8_t port, int fd) noexcept {
  const int old = std::exchange(sockets_[port], fd);
  dead_ &= ~(1U << port);
  if (!uring_) return;
  if (old >= 0) uring_->unwatch(old);
  // Can't fail for want of room: there are no more ports than there were. What
  // the kernel refuses now it is asked again before the next sleep.
  if (fd >= 0) (void)uring_->watch(fd);
}

}  // namespace sluice
