// SPDX-License-Identifier: Apache-2.0
// Fd and Mapping: a descriptor is closed, a mapping unmapped, exactly once.
#pragma once

#include <cstddef>
#include <sluice/result.hpp>
#include <span>
#include <utility>

namespace sluice {

/// Owns a file descriptor. Any thread, one at a time.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { reset(); }

  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }
  /// Gives up ownership; the caller closes it.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  /// close(2), now.
  void reset() noexcept;

 private:
  int fd_ = -1;
};

/// Owns a memory mapping.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept
      : bytes_(std::exchange(other.bytes_, std::span<std::byte>{})) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Mapping() { reset(); }

  /// mmap(2) with PROT_READ|PROT_WRITE, MAP_SHARED|MAP_POPULATE.
  [[nodiscard]] static Result<Mapping> shared(int fd, std::size_t size,
                                              long offset,
                                              const char* what) noexcept;

  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }
  [[nodiscard]] explicit operator bool() const noexcept {
    return bytes_.data() != nullptr;
  }
  /// munmap(2), now. Always the whole length: a rest would pin its socket.
  void reset() noexcept;

 private:
  std::span<std::byte> bytes_;
};

}  // namespace sluice
