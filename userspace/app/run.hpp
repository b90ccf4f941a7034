// SPDX-License-Identifier: Apache-2.0
// What the ways to run have in common: exit codes, and how a failure is told.
// Private to the app wing.
#pragma once

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

[[nodiscard]] inline Duration seconds(double count) {
  return Duration(static_cast<std::int64_t>(count * 1e9));
}

/// `run` over captures: some --port is NAME=pcap:IN[,OUT].
int run_pcap(const RunFlags& flags, const Choice& handler);

}  // namespace sluice::app
