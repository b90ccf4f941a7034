// SPDX-License-Identifier: Apache-2.0
// PcapFolder: the captures that a run writes, and those it is held against.
// Private to the app wing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <sluice/testing/pcap.hpp>
#include <span>
#include <string>
#include <vector>

#include "flags.hpp"

namespace sluice::app {

class PcapFolder : public testing::PacketSink {
 public:
  /// Opens what the ports name. Refuses (EINVAL) to write over what is read, or
  /// twice into one file.
  [[nodiscard]] static Result<std::unique_ptr<PcapFolder>> open(
      const std::vector<PcapPort>& ports);

  void sent(std::uint8_t port, Time time,
            std::span<const std::byte> bytes) override;

  /// The first packet that is not what was expected, for people: both of them.
  /// Empty: none so far.
  [[nodiscard]] const std::string& difference() const { return difference_; }

  /// Finishes the files, and looks for what was expected and did not come.
  Result<void> close();

 private:
  struct Side {
    std::string name;
    std::string expected_path;
    std::optional<testing::PcapWriter> out;
    std::unique_ptr<testing::PcapReader> expected;
    std::uint64_t sent = 0;
  };
  void compare(Side& side, std::span<const std::byte> bytes);

  std::vector<Side> sides_;
  std::string difference_;
};

}  // namespace sluice::app
