// SPDX-License-Identifier: Apache-2.0
#include "pcap_folder.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace sluice::app {
namespace {

bool same_file(const std::string& a, const std::string& b) {
  if (a == b) return true;
  struct stat first{};
  struct stat second{};
  return ::stat(a.c_str(), &first) == 0 && ::stat(b.c_str(), &second) == 0 &&
         S_ISREG(first.st_mode) && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

// OUT is emptied before the first packet is read.
Result<void> check_outs(const std::vector<PcapPort>& ports) {
  for (std::size_t i = 0; i < ports.size(); ++i) {
    const std::string& out = ports[i].out;
    if (out.empty()) continue;
    for (std::size_t j = 0; j < ports.size(); ++j) {
      const PcapPort& other = ports[j];
      if (same_file(out, other.in) ||
          (!other.expected.empty() && same_file(out, other.expected))) {
        return bad("--port", out, "It would be written over while it is read.");
      }
      if (j > i && !other.out.empty() && same_file(out, other.out)) {
        return bad("--port", out, "Two ports would write it.");
      }
    }
  }
  return {};
}

// Sixteen bytes to a line, each after its offset.
std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i % 16 == 0)
      text += fmt::format("{}    {:04x} ", i == 0 ? "" : "\n", i);
    text += fmt::format(" {:02x}", std::to_integer<unsigned>(bytes[i]));
  }
  return text + "\n";
}

}  // namespace

Result<std::unique_ptr<PcapFolder>> PcapFolder::open(
    const std::vector<PcapPort>& ports) {
  if (auto good = check_outs(ports); !good) return good.error();
  auto folder = std::make_unique<PcapFolder>();
  for (const PcapPort& port : ports) {
    Side& side = folder->sides_.emplace_back();
    side.name = port.name;
    side.expected_path = port.expected;
    if (!port.expected.empty()) {
      auto expected = testing::PcapReader::open(port.expected);
      if (!expected) return expected.error();
      side.expected = std::move(*expected);
    }
    if (port.out.empty()) continue;
    auto out = testing::PcapWriter::open(port.out);
    if (!out) return out.error();
    side.out = std::move(*out);
  }
  return folder;
}

void PcapFolder::sent(std::uint8_t port, Time time,
                      std::span<const std::byte> bytes) {
  Side& side = sides_[port];
  if (!difference_.empty()) return;
  ++side.sent;
  if (side.out) side.out->write(time, bytes);
  if (side.expected) compare(side, bytes);
}

void PcapFolder::compare(Side& side, std::span<const std::byte> bytes) {
  const testing::Captured* expected = side.expected->next();
  if (expected == nullptr) {
    difference_ = fmt::format(
        "{}: packet {} was sent, and {} has {} packets\n  sent, {} bytes:\n{}",
        side.name, side.sent, side.expected_path, side.sent - 1, bytes.size(),
        hex(bytes));
    return;
  }
  const auto [ours, theirs] = std::ranges::mismatch(bytes, expected->bytes);
  if (ours == bytes.end() && theirs == expected->bytes.end()) return;
  difference_ = fmt::format(
      "{}: packet {} sent is not that of {}: they differ from byte {:#x} on\n"
      "  sent, {} bytes:\n{}  expected, {} bytes:\n{}",
      side.name, side.sent, side.expected_path, ours - bytes.begin(),
      bytes.size(), hex(bytes), expected->bytes.size(), hex(expected->bytes));
}

Result<void> PcapFolder::close() {
  Result<void> result;
  for (Side& side : sides_) {
    if (side.out) {
      if (auto closed = side.out->close(); !closed && result) result = closed;
    }
    if (!side.expected || !difference_.empty()) continue;
    if (const testing::Captured* missing = side.expected->next()) {
      difference_ = fmt::format(
          "{}: {} packets were sent, and {} has more\n  expected, {} "
          "bytes:\n{}",
          side.name, side.sent, side.expected_path, missing->bytes.size(),
          hex(missing->bytes));
    }
    if (side.expected->error() && result) result = *side.expected->error();
  }
  return result;
}

}  // namespace sluice::app
