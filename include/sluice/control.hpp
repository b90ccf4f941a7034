// SPDX-License-Identifier: Apache-2.0
// Control: who owns an interface, and how to ask the owner.
//
// An owner listens on an abstract Unix socket named after the interface. The
// abstract namespace belongs to the network namespace, as interface names do,
// and the name vanishes with the process however that ends: there is nothing to
// clean up and nothing stale to recognise. Only the owner's user and root are
// answered. Source: unix(7).
#pragma once

#include <functional>
#include <optional>
#include <sluice/clock.hpp>
#include <sluice/result.hpp>
#include <sluice/sys.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

class Control {
 public:
  /// Claims `interface` in this network namespace. EBUSY: another process owns
  /// it; the error names its pid. System calls: socket(2), bind(2).
  [[nodiscard]] static Result<Control> claim(const std::string& interface);

  /// Readable when somebody asks.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  using Answer = std::function<std::string(std::string_view request)>;
  /// Answers one who asks, or nobody. Blocks for at most 200 ms, on a client
  /// that neither writes nor reads.
  void serve_one(const Answer& answer);

  /// Asks the owner of `interface`, and waits for its answer as long as
  /// `patience`. ENOENT: nobody owns it; EACCES: it does not answer this user,
  /// or not in time.
  [[nodiscard]] static Result<std::string> ask(
      const std::string& interface, std::string_view request,
      Duration patience = std::chrono::seconds(2));

  /// Interfaces of this network namespace that have an owner.
  [[nodiscard]] static std::vector<std::string> owned();

  /// Pid of the owner of `interface`, if there is one.
  [[nodiscard]] static std::optional<int> owner(const std::string& interface);

 private:
  Fd fd_;
};

}  // namespace sluice
