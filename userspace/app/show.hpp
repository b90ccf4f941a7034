// SPDX-License-Identifier: Apache-2.0
// How a run tells what it does: as lines for people, or as JSON. Private to the
// app wing.
#pragma once

#include <memory>
#include <sluice/engine.hpp>
#include <string>
#include <string_view>

namespace sluice::app {

class Show {
 public:
  virtual ~Show() = default;
  /// What was granted, once all cores stand.
  virtual void started(const Engine& engine) = 0;
  /// Something happened to a link.
  virtual void news(const std::string& line) = 0;
  /// One interval, from the statistics at its two ends.
  virtual void interval(const Stats& before, const Stats& after) = 0;
  /// The end: totals, the handlers' report, the ledger.
  virtual void ended(const Stats& stats, const Report& report,
                     const std::string& reason) = 0;
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
