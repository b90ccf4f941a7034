// SPDX-License-Identifier: Apache-2.0
// --mirror FILE: what mirror rules copy, as a capture. Private to the app wing.
#pragma once

#include <optional>
#include <sluice/engine.hpp>
#include <sluice/mirror.hpp>
#include <sluice/testing/pcap.hpp>
#include <string>
#include <vector>

namespace sluice::app {

class MirrorFile {
 public:
  /// Nothing is written where `path` is empty.
  [[nodiscard]] static Result<MirrorFile> open(const std::string& path,
                                               const Engine& engine);
  /// Readable when there is something to write.
  [[nodiscard]] std::vector<int> fds() const;
  /// Writes what there is, of each interface a batch: not more than fits into
  /// the time between two lines.
  void copy();
  /// Writes the rest. Error: of this or of any write before.
  Result<void> close();

 private:
  std::optional<testing::PcapWriter> file_;
  std::vector<Mirror> mirrors_;
  std::uint64_t since_1970_ = 0;  // Of CLOCK_MONOTONIC's zero, ns.
};

}  // namespace sluice::app
