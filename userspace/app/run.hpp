// SPDX-License-Identifier: Apache-2.0
// What the ways to run have in common: exit codes, and how a failure is told.
// Private to the app wing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <sluice/app.hpp>

#include "flags.hpp"

namespace sluice::app {

inline constexpr int kOk = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

/// Tells the error on standard error; `code` back.
int fail(const Error& error, int code);
/// What only the interface could tell to be wrong is wrong usage all the same.
int fail(const Error& error);

/// When a run is over, and when it tells how it goes, on this machine's clock.
class Timetable {
 public:
  explicit Timetable(const RunFlags& flags)
      : interval_(seconds(flags.interval)),
        end_(flags.duration > 0 ? monotonic_now() + seconds(flags.duration)
                                : Time::never()),
        line_(flags.interval > 0 ? monotonic_now() + interval_
                                 : Time::never()) {}

  /// The next time at which there is something to do.
  [[nodiscard]] Time next() const { return std::min(line_, end_); }
  [[nodiscard]] bool over(Time now) const { return now >= end_; }
  /// A live line is due; one that is late makes the next one late.
  [[nodiscard]] bool take_line(Time now) {
    if (now < line_) return false;
    line_ = line_ + interval_;
    if (line_ <= now) line_ = now + interval_;
    return true;
  }

 private:
  static Duration seconds(double count) {
    return Duration(static_cast<std::int64_t>(count * 1e9));
  }
  Duration interval_;
  Time end_;
  Time line_;
};

/// `run` over captures: some --port is NAME=pcap:IN[,OUT].
int run_pcap(const RunFlags& flags, const Choice& handler);

}  // namespace sluice::app
