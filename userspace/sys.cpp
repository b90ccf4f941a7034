// SPDX-License-Identifier: Apache-2.0
#include <sys/mman.h>
#include <unistd.h>

#include <sluice/sys.hpp>

namespace sluice {

void Fd::reset() noexcept {
  // Not retried on EINTR: Linux has released the descriptor by then.
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Result<Mapping> Mapping::shared(int fd, std::size_t size, long offset,
                                const char* what) noexcept {
  void* address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_POPULATE, fd, offset);
  if (address == MAP_FAILED) return Error::last("mmap", what);
  Mapping mapping;
  mapping.bytes_ = {static_cast<std::byte*>(address), size};
  return mapping;
}

void Mapping::reset() noexcept {
  if (bytes_.data() != nullptr) ::munmap(bytes_.data(), bytes_.size());
  bytes_ = {};
}

}  // namespace sluice
