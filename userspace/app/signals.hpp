// SPDX-License-Identifier: Apache-2.0
// StopSignals: SIGINT and SIGTERM as a descriptor. Private to the app wing.
#pragma once

#include <signal.h>

#include <sluice/sys.hpp>
#include <string>

namespace sluice::app {

/// Made before any thread is started, so that none of them takes the signal.
class StopSignals {
 public:
  /// Blocks both; from here on SIGPIPE ends nothing either.
  /// System call: signalfd(2).
  StopSignals();
  /// Readable when one has come.
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool pending() const;
  /// Which one came. From here on a second one ends the program at once.
  std::string take();

 private:
  sigset_t set_{};
  Fd fd_;
};

}  // namespace sluice::app
