// SPDX-License-Identifier: Apache-2.0
// Doctor: what is wrong with an interface and its host for AF_XDP, why that
// matters, and what mends it; and settings that are put back.
//
//   auto facts = InterfaceFacts::read("eth0");
//   for (const Finding& each : diagnose(*facts, HostFacts::read(), {}))
//     print(each.sentence, each.remedy);
//
// A finding is a pure function of facts. docs/operations.md has the list.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <sluice/host.hpp>
#include <sluice/result.hpp>
#include <sluice/sys.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// What is to become of the RSS table.
enum class Rss : std::uint8_t {
  keep,       ///< Nothing.
  spread,     ///< All traffic over the queues that are served.
  dedicated,  ///< All over the others; ntuple rules bring what is steered.
};

/// What a run is going to do with the interface.
struct Wanted {
  std::vector<int> queues;  ///< Empty: all.
  std::vector<int> cpus;    ///< One per queue; empty: from the affinity mask.
  std::uint32_t frame_size = 2048;
  std::uint32_t frames_per_queue = 8192;
  std::uint32_t ring_size = 2048;
  bool spin = false;
  bool busy_poll = false;
  bool copy = false;     ///< --mode copy: zero-copy is not tried.
  bool generic = false;  ///< --mode generic: the driver does not matter.
  Rss rss = Rss::keep;
  Rules rules;  ///< Whether they look at VLAN tags; their flows.
};

enum class Severity : std::uint8_t {
  advice,   ///< Works; could be better, or is worth knowing.
  warning,  ///< Works badly, or not as one might think.
  error,    ///< Does not work.
};
/// "advice", "warning" or "error".
[[nodiscard]] const char* to_string(Severity severity) noexcept;

struct Finding {
  const char* id = "";  ///< Literal: "vlan-stripping".
  Severity severity = Severity::advice;
  std::string interface;     ///< Empty: the host.
  std::string sentence;      ///< What is so, and why that matters.
  std::string remedy;        ///< A command, a flag or a setting; may be empty.
  std::vector<Setting> fix;  ///< What can be set; empty: not by us.
};

/// What is to be said of an interface, the worst first.
[[nodiscard]] std::vector<Finding> diagnose(const InterfaceFacts& interface,
                                            const HostFacts& host,
                                            const Wanted& wanted);
/// What is to be said of the host alone. diagnose() does not repeat it.
[[nodiscard]] std::vector<Finding> diagnose_host(const HostFacts& host,
                                                 const Wanted& wanted,
                                                 std::size_t queues);

/// Whether the finding may be why a start failed with errno `code`.
[[nodiscard]] bool concerns(const Finding& finding, int code) noexcept;

/// Settings that were changed, to be put back. The old values are also in a
/// file below /run/sluice, so that whoever comes after a kill can put them
/// back: recover(). One thread at a time.
class Prepared {
 public:
  /// Until when the changes stay.
  enum class Stay : std::uint8_t {
    while_it_lives,  ///< Put back by the destructor, or by recover().
    until_restored,  ///< Put back by restore_kept(), however this object ends.
  };

  /// For one interface. EBUSY: another process has prepared it and lives.
  /// What a killed process left is put back first.
  [[nodiscard]] static Result<Prepared> open(const std::string& interface,
                                             Stay stay);
  Prepared(Prepared&&) noexcept;
  Prepared& operator=(Prepared&&) noexcept;
  ~Prepared();

  /// Makes the settings; remembers the old values before. What has its value
  /// already is not touched. An error takes back those of this call.
  Result<void> apply(std::span<const Setting> settings);

  /// The interface may have been made anew, under that name: what was changed
  /// has gone with the old one then, and nothing of it is put back. Else this
  /// does nothing. Errors as of open().
  Result<void> follow(const std::string& interface);

  struct Change {
    Setting setting;  ///< With the value it got.
    std::string before;
  };
  [[nodiscard]] const std::vector<Change>& changes() const noexcept;

  /// Puts all back, the last first, and removes the file. A sentence for each
  /// that could not be, or that somebody else has changed meanwhile: that one
  /// stays as it is.
  std::vector<std::string> restore();

 private:
  struct State;
  explicit Prepared(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// What recover() and restore_kept() did.
struct Restored {
  std::vector<Prepared::Change> changes;  ///< That were put back.
  std::vector<std::string> troubles;      ///< Sentences.
};
/// Puts back what a process changed that was killed. EBUSY: it lives.
Result<Restored> recover(const std::string& interface);
/// Puts back what Stay::until_restored changed, after recover().
Result<Restored> restore_kept(const std::string& interface);

}  // namespace sluice
