// SPDX-License-Identifier: Apache-2.0
// Where the old values of settings are kept, for when this process is killed.
// Private to the library.
#pragma once

#include <optional>
#include <sluice/doctor.hpp>
#include <sluice/sys.hpp>
#include <string>
#include <vector>

namespace sluice {

/// A file below kStateFolder, locked by this object: one interface's changes,
/// a line each, written before the change is made.
class StateFile {
 public:
  enum class Open : std::uint8_t { make, if_there };
  /// `suffix` tells what the file is for: "run" or "kept". EBUSY: a living
  /// process has it; the error names neither. Nothing: there is none.
  [[nodiscard]] static Result<std::optional<StateFile>> open(
      const std::string& interface, const char* suffix, Open how);

  /// Those of an earlier process of this boot, in order; of one setting the
  /// oldest value before and the newest after.
  [[nodiscard]] std::vector<Prepared::Change> read() const;
  /// Appends one. System calls: write(2), fdatasync(2).
  Result<void> add(const Prepared::Change& change);
  /// Removes the file, and the folder if it was the last.
  void remove();

 private:
  Fd file_;
  std::string path_;
};

inline constexpr const char* kStateFolder = "/run/sluice";

/// Adds a change to others: of one setting the oldest value before stays.
void merge(std::vector<Prepared::Change>& changes,
           const Prepared::Change& change);
/// Without those that were taken back.
void drop_undone(std::vector<Prepared::Change>& changes);

/// Puts changes back, the last first. What is not as it was left stays.
Restored put_back(const std::vector<Prepared::Change>& changes);

}  // namespace sluice
