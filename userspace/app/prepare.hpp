// SPDX-License-Identifier: Apache-2.0
// Mending what the doctor finds, for as long as a run lasts or for good.
// Private to the app wing.
#pragma once

#include <sluice/doctor.hpp>
#include <sluice/engine.hpp>
#include <string>
#include <vector>

#include "flags.hpp"

namespace sluice::app {

/// What --fix and --prepare take for "what is wrong", instead of names.
inline constexpr const char* kWrong = "wrong";

/// What the doctor is to judge by.
[[nodiscard]] Result<Wanted> wanted_of(const RunFlags& flags,
                                       const EngineOptions& options);

/// What is to be mended: "wrong", or findings by name, with commas, beside what
/// is chosen before. EINVAL names the ones there are where one has another
/// name.
class Chosen {
 public:
  [[nodiscard]] static Result<Chosen> parse(const char* flag,
                                            const std::string& text,
                                            Chosen chosen);
  /// What flags want that name no finding: --rss, --busy-poll.
  [[nodiscard]] static Chosen asked_for(const Wanted& wanted);
  [[nodiscard]] bool contains(const Finding& finding) const;

 private:
  bool wrong_ = false;
  std::vector<std::string> ids_;
};

/// What could not be mended of an interface; Prepared has what was.
struct Mended {
  struct Failure {
    std::string finding;  ///< Its id; empty: of the interface.
    Error error;
  };
  std::vector<Failure> failed;
};
/// Mends one finding after the other, and looks anew after each, since one may
/// change what is true of others.
[[nodiscard]] Mended mend(const std::string& interface, const HostFacts& host,
                          const Wanted& wanted, const Chosen& chosen,
                          Prepared& prepared);

/// The host as `run --prepare`, `--rss` and `--busy-poll` want it, until this
/// object ends.
class Preparation {
 public:
  /// Nothing is done where no such flag is given. What can't be mended is told
  /// by news(), but for --rss, which is an error.
  [[nodiscard]] static Result<Preparation> make(const RunFlags& flags,
                                                const EngineOptions& options);
  /// Whether the flags want something done.
  [[nodiscard]] static bool wanted(const RunFlags& flags);
  /// A sentence for each change and each failure.
  [[nodiscard]] const std::vector<std::string>& news() const { return news_; }
  /// The interface of a port was made anew: it is prepared as at the start.
  /// Sentences as news() has them.
  [[nodiscard]] std::vector<std::string> again(std::size_t port,
                                               const std::string& interface);
  /// Puts all back; sentences for what could not be.
  std::vector<std::string> restore();

 private:
  Result<void> prepare(const std::string& interface, Prepared& prepared,
                       std::vector<std::string>& news) const;
  HostFacts host_;
  Wanted wanted_;
  Chosen chosen_;
  std::vector<Prepared> prepared_;  // As the ports; none: nothing is wanted.
  std::vector<std::string> news_;
};

/// Tells on standard error, after a start that failed, what the doctor has to
/// say about it.
void tell_causes(const Error& error, const RunFlags& flags,
                 const EngineOptions& options);

}  // namespace sluice::app
