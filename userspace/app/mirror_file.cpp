// SPDX-License-Identifier: Apache-2.0
#include "mirror_file.hpp"

#include <chrono>
#include <set>

namespace sluice::app {
namespace {

std::uint64_t now_since_1970() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(
          std::chrono::system_clock::now().time_since_epoch())
          .count());
}

}  // namespace

Result<MirrorFile> MirrorFile::open(const std::string& path,
                                    const Engine& engine) {
  MirrorFile result;
  if (path.empty()) return result;
  auto file = testing::PcapWriter::open(path);
  if (!file) return file.error();
  result.file_ = std::move(*file);
  result.since_1970_ = now_since_1970() - monotonic_now().ns;
  std::set<std::string> interfaces;
  for (const QueueGrant& queue : engine.queues()) {
    if (!interfaces.insert(queue.interface).second) continue;
    auto mirror = Mirror::open(*engine.program(queue.interface));
    if (!mirror) return mirror.error();
    result.mirrors_.push_back(std::move(*mirror));
  }
  return result;
}

std::vector<int> MirrorFile::fds() const {
  std::vector<int> all;
  for (const Mirror& mirror : mirrors_) all.push_back(mirror.fd());
  return all;
}

void MirrorFile::copy() {
  constexpr std::size_t kBatch = 4096;
  for (Mirror& mirror : mirrors_) {
    mirror.read(
        [this](const Mirrored& packet) {
          file_->write({since_1970_ + packet.time.ns}, packet.bytes,
                       packet.size);
        },
        kBatch);
  }
}

Result<void> MirrorFile::close() {
  if (!file_) return {};
  copy();
  return file_->close();
}

}  // namespace sluice::app
