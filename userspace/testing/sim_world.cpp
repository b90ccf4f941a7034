// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <sluice/testing/sim_world.hpp>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLUICE_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SLUICE_ASAN 1
#endif

namespace sluice::testing {
namespace {

constexpr std::size_t kViolationsMax = 16;
constexpr std::size_t kStrikesMax = 64;

const char* name_of(SimFrames::Place place) noexcept {
  switch (place) {
    case SimFrames::Place::user:
      return "user space";
    case SimFrames::Place::fill:
      return "FILL";
    case SimFrames::Place::tx:
      return "TX";
  }
  return "nowhere";
}

}  // namespace

std::uint64_t sim_digest(std::span<const std::byte> bytes,
                         std::uint64_t digest) noexcept {
  digest = sim_mix(digest, bytes.size());
  std::size_t at = 0;
  for (; bytes.size() - at >= 8; at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, 8);
    digest = sim_mix(digest, word);
  }
  if (at == bytes.size()) return digest;
  std::uint64_t rest = 0;
  std::memcpy(&rest, bytes.data() + at, bytes.size() - at);
  return sim_mix(digest, rest);
}

SimFrames::SimFrames(std::size_t umem_size, std::uint32_t frame_size)
    : frames_(umem_size / frame_size), frame_size_(frame_size) {}

void SimFrames::entered(std::uint64_t addr, Place place, std::uint8_t port,
                        Time now) noexcept {
  const std::uint64_t index = addr / frame_size_;
  if (index >= frames_.size()) return;
  Frame& frame = frames_[index];
  if (frame.place != Place::user && violations_.size() < kViolationsMax) {
    violations_.push_back(
        "At " + std::to_string(now.ns) + " ns frame " + std::to_string(index) +
        " was put into " + name_of(place) + " of port " + std::to_string(port) +
        " while the kernel had it from " + name_of(frame.place) + " of port " +
        std::to_string(frame.port) + ".");
  }
  frame = {place, port};
}

void SimFrames::left(std::uint64_t addr) noexcept {
  const std::uint64_t index = addr / frame_size_;
  if (index < frames_.size()) frames_[index].place = Place::user;
}

SimWorld::SimWorld(std::span<std::byte> memory, std::uint32_t size_of_frame,
                   std::uint64_t seed)
    : umem(memory),
      frame_size(size_of_frame),
      random(seed),
      frames(memory.size(), size_of_frame) {}

bool SimWorld::strikes(double rate, SimTrait trait, std::uint8_t port) {
  if (!random.chance(rate)) return false;
  counts.add(trait);
  note('!', static_cast<std::uint64_t>(trait), port);
  if (strikes_log.size() == kStrikesMax) strikes_log.pop_front();
  strikes_log.push_back({clock, trait, port});
  return true;
}

#ifdef SLUICE_ASAN
__attribute__((no_sanitize("address"), noinline)) void sim_copy(
    std::byte* to, const std::byte* from, std::size_t size) noexcept {
  // Volatile: the compiler must not make a call to memcpy of it.
  volatile std::byte* target = to;
  const volatile std::byte* source = from;
  for (std::size_t i = 0; i < size; ++i) target[i] = source[i];
}
#else
void sim_copy(std::byte* to, const std::byte* from, std::size_t size) noexcept {
  std::memcpy(to, from, size);
}
#endif

}  // namespace sluice::testing
