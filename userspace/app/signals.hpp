// SPDX-License-Identifier: Apache-2.0
// StopSignals: SIGINT and SIGTERM as a descriptor, and SIGHUP where it has a
// meaning. Private to the app wing.
#pragma once

#include <signal.h>

#include <sluice/sys.hpp>
#include <string>

namespace sluice::app {

/// Made before any thread is started, so that none of them takes the signal.
class StopSignals {
 public:
  enum class Hangup { ends, is_told };
  /// Blocks both, and SIGHUP where it is to be told; from here on SIGPIPE ends
  /// nothing either. System call: signalfd(2).
  explicit StopSignals(Hangup hangup = Hangup::ends);
  /// Readable when one has come.
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool pending() const;
  /// Which one came: "SIGINT", "SIGTERM" or "SIGHUP". From here on a second one
  /// of the first two ends the program at once.
  std::string take();

 private:
  sigset_t set_{};
  Fd fd_;
};

}  // namespace sluice::app
