// SPDX-License-Identifier: Apache-2.0
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <sluice/umem.hpp>
#include <string>

#include "umem_room.hpp"

namespace sluice {
namespace {

std::string described(const UmemOptions& options) {
  return std::to_string(options.frames) + " frames of " +
         std::to_string(options.frame_size) + " bytes";
}

struct Memory {
  Fd fd;
  Mapping mapping;
};

Result<Memory> make_memory(std::size_t size, unsigned flags,
                           const UmemOptions& options) {
  Fd fd(::memfd_create("sluice-umem", MFD_CLOEXEC | flags));
  if (!fd) return Error::last("memfd_create", described(options));
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
    return Error::last("ftruncate", described(options));
  }
  auto mapping = Mapping::shared(fd.get(), size, 0, "umem");
  if (!mapping) {
    Error error = mapping.error();
    error.arguments = described(options);
    error.advice = "Ask for fewer with --frames-per-queue.";
    return error;
  }
  return Memory{std::move(fd), std::move(*mapping)};
}

}  // namespace

Result<Umem> Umem::create(const UmemOptions& options) {
  if ((options.frame_size != 2048 && options.frame_size != 4096) ||
      options.frames == 0) {
    return Error{EINVAL, "umem", described(options),
                 "The frame size is 2048 or 4096."};
  }
  const std::size_t size =
      static_cast<std::size_t>(options.frames) * options.frame_size;
  const bool fits = options.huge_pages && size % kHugePage == 0;
  Umem umem;
  Result<Memory> memory = Error{ENOMEM, "huge pages"};
  // Reserved huge pages may be too few: mapping tells, at once.
  if (fits) memory = make_memory(size, MFD_HUGETLB, options);
  umem.huge_ = static_cast<bool>(memory);
  if (!umem.huge_) {
    const std::string what = described(options);
    if (options.huge_pages) umem.refusal_ = why_not_huge(size, what);
    if (auto room = check_room(size, what); !room) return room.error();
    memory = make_memory(size, 0, options);
  }
  if (!memory) return memory.error();
  umem.options_ = options;
  umem.fd_ = std::move(memory->fd);
  umem.mapping_ = std::move(memory->mapping);
  if (options.huge_pages && !umem.huge_) {
    // Advice: the kernel may have them or not, and need not say.
    (void)::madvise(umem.bytes().data(), size, MADV_HUGEPAGE);
  }
  return umem;
}

Result<Umem> Umem::adopt(Fd fd, const UmemOptions& options) {
  const std::size_t size =
      static_cast<std::size_t>(options.frames) * options.frame_size;
  auto mapping = Mapping::shared(fd.get(), size, 0, "adopted umem");
  if (!mapping) return mapping.error();
  Umem umem;
  umem.options_ = options;
  umem.fd_ = std::move(fd);
  umem.mapping_ = std::move(*mapping);
  return umem;
}

std::span<std::byte> Umem::bytes() const noexcept { return mapping_.bytes(); }

}  // namespace sluice
