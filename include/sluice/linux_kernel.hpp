// SPDX-License-Identifier: Apache-2.0
// LinuxKernel: the Kernel of a core that runs over real sockets.
#pragma once

#include <cstdint>
#include <memory>
#include <sluice/kernel.hpp>
#include <sluice/result.hpp>
#include <sluice/spsc.hpp>
#include <sluice/sys.hpp>
#include <sluice/uring.hpp>
#include <sluice/wake.hpp>
#include <vector>

namespace sluice {

/// Events for a core from one other thread, which wakes it.
class Mailbox {
 public:
  /// System call: eventfd(2).
  [[nodiscard]] static Result<std::unique_ptr<Mailbox>> open();

  /// Sender. False when full: the core has not kept up with 64 events.
  /// System call: write(2), only if the core sleeps.
  bool post(const Event& event) noexcept;

 private:
  friend class LinuxKernel;
  Spsc<Event, 64> events_;
  Wake wake_;
  Fd eventfd_;
};

/// Made and used on the core's thread; the sockets outlive it.
class LinuxKernel : public Kernel {
 public:
  /// `sockets`: descriptors of the ports' XSKs, in the ports' order. Sleeps in
  /// io_uring; where that is refused (or `use_uring` is false), in ppoll(2).
  [[nodiscard]] static Result<std::unique_ptr<LinuxKernel>> open(
      std::vector<int> sockets, Mailbox& mailbox, bool use_uring);

  int kick_tx(std::uint8_t port) noexcept override;
  int wake_rx(std::uint8_t port) noexcept override;
  void wake_tx(std::uint8_t port) noexcept override;
  void wait(Time deadline, std::uint32_t watched) noexcept override;
  [[nodiscard]] Time now() noexcept override;
  [[nodiscard]] bool next_event(Event& event) noexcept override;
  void set_socket(std::uint8_t port, int fd) noexcept override;

  /// Why it does not sleep in io_uring; code 0 if it does.
  [[nodiscard]] const Error& refusal() const noexcept { return refusal_; }

 private:
  explicit LinuxKernel(std::vector<int> sockets, Mailbox& mailbox)
      : sockets_(std::move(sockets)), mailbox_(mailbox) {}
  void poll(Time deadline, std::uint32_t watched) noexcept;

  std::vector<int> sockets_;
  Mailbox& mailbox_;
  std::unique_ptr<Uring> uring_;  // None: ppoll.
  std::uint32_t dead_ = 0;        // Ports whose device is gone: never polled.
  Error refusal_;
};

}  // namespace sluice
