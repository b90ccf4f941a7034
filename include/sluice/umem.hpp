// SPDX-License-Identifier: Apache-2.0
// Umem: the packet memory of one core.
//
// One shared memory region (memfd), mapped once. Each socket of the core
// registers it for itself, with XDP_UMEM_REG: so each has a mode, flags, FILL
// and COMPLETION of its own, and closes alone, while an address means the same
// in all of them. The price is that it counts as locked memory once per socket.
// XDP_SHARED_UMEM is not used: a shared bind inherits its mode, takes no flags
// and dies with its first device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <sluice/result.hpp>
#include <sluice/sys.hpp>
#include <span>

namespace sluice {

struct UmemOptions {
  std::uint32_t frames = 8192;
  std::uint32_t frame_size = 2048;  ///< 2048 or 4096.
  bool huge_pages = true;           ///< Use them where they can be had.
};

class Umem {
 public:
  /// Maps frames × frame_size zeroed bytes. Huge pages are asked for: reserved
  /// ones (MFD_HUGETLB), else transparent ones. Fails with ENOMEM, and leaves
  /// nothing behind, where there is no room for it.
  /// System calls: memfd_create(2), ftruncate(2), mmap(2), madvise(2), open(2)
  /// of /proc/meminfo.
  [[nodiscard]] static Result<Umem> create(const UmemOptions& options);

  /// Maps the region behind `fd`, received from another process.
  [[nodiscard]] static Result<Umem> adopt(Fd fd, const UmemOptions& options);

  [[nodiscard]] std::span<std::byte> bytes() const noexcept;
  [[nodiscard]] std::uint32_t frame_size() const noexcept {
    return options_.frame_size;
  }
  /// Reserved huge pages hold it. (Transparent ones are not told of.)
  [[nodiscard]] bool huge() const noexcept { return huge_; }
  /// Why they do not, where this host has some reserved; code 0: they do, there
  /// are none, or they were not asked for.
  [[nodiscard]] const Error& refusal() const noexcept { return refusal_; }
  /// To give to another process.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

 private:
  UmemOptions options_;
  Fd fd_;
  Mapping mapping_;
  bool huge_ = false;
  Error refusal_;
};

}  // namespace sluice
