// SPDX-License-Identifier: Apache-2.0
// How a run tells what it does: as lines for people, or as JSON. Private to the
// app wing.
#pragma once

#include <algorithm>
#include <memory>
#include <sluice/engine.hpp>
#include <sluice/testing/pcap_engine.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::app {

/// What a run was granted, on interfaces or over captures.
struct Granted {
  explicit Granted(const Engine& engine);
  explicit Granted(const testing::PcapEngine& engine);
  [[nodiscard]] const char* mode(const QueueGrant& queue) const;

  std::vector<QueueGrant> queues;
  std::vector<CoreGrant> cores;
  std::vector<Coverage> coverage;
  Rules rules;
  bool pcap = false;
};

/// Whose clock: "hardware", "monotonic", or "off".
[[nodiscard]] const char* timestamps(const QueueGrant& queue);
/// What a line of a queue says at its end; empty: it is not busy-polled.
[[nodiscard]] std::string busy_poll(std::uint32_t budget,
                                    std::uint32_t napi_id);

/// ", rx hints hash vlan-tag"; "" where there is none.
[[nodiscard]] std::string hints_text(RxHints hints);
/// ", tx offload checksum timestamp(tai)"; "" where there is none.
[[nodiscard]] std::string offload_text(const TxOffload& offload);

/// What came of the captures of one port, or of their lack.
struct PcapFiles {
  std::string port;
  std::string in, out;  ///< Paths; `out` may be empty.
  testing::PcapTally tally;
};

/// What came of a run over captures, beside its totals.
struct PcapEnd {
  std::vector<PcapFiles> files;
  std::uint64_t received = 0;  ///< By handlers.
  std::uint64_t sent = 0;      ///< By handlers.
  std::uint64_t kept = 0;      ///< Held by handlers when they ended.

  /// Received, and neither sent nor kept.
  [[nodiscard]] std::uint64_t dropped() const {
    return received - std::min(received, sent + kept);
  }
};

class Show {
 public:
  virtual ~Show() = default;
  /// What was granted, once all cores stand.
  virtual void started(const Granted& granted) = 0;
  /// Something happened to a link, or to a file.
  virtual void news(const std::string& line) = 0;
  /// One interval, from the statistics at its two ends.
  virtual void interval(const Stats& before, const Stats& after) = 0;
  /// The end: totals, the handlers' report, the ledger.
  virtual void ended(const Stats& stats, const Report& report,
                     const std::string& reason) = 0;
  /// Before ended(), for captures.
  virtual void files(const PcapEnd& end) = 0;
};

/// Writes to standard output, at once. A reader that went away is no error
/// here: std::ferror(stdout) tells.
void put(std::string_view text) noexcept;

[[nodiscard]] std::unique_ptr<Show> text_show();
[[nodiscard]] std::unique_ptr<Show> json_show();

/// The answer to `status`: a JSON object, schema version included.
[[nodiscard]] std::string status_json(const Engine& engine, const Stats& stats);

/// A status answer as lines for people. Empty where it is not one.
[[nodiscard]] std::string status_text(const std::string& json);

}  // namespace sluice::app
