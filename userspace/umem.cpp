// SPDX-License-Identifier: Apache-2.0
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <sluice/umem.hpp>
#include <string>

#include "umem_room.hpp"

namespace sluice {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::string described(const UmemOptions& options) {
  return std::to_string(options.frames) + " frames of " +
         std::to_string(options.frame_size) + " bytes";
}

std::string mebibytes(std::uint64_t bytes) {
  return std::to_string(bytes >> 20) + " MiB";
}

// Of a host that has reserved some; else there is nothing to tell.
Error why_not_huge(std::size_t size, const UmemOptions& options) {
  const HugePages pages = huge_pages();
  if (pages.total == 0) return {};
  if (size % kHugePage != 0) {
    return {EINVAL, "huge pages", described(options),
            "These are no whole huge pages: choose another number with "
            "--frames-per-queue."};
  }
  return {ENOMEM, "huge pages", described(options),
          mebibytes(size) + " are needed, and " +
              mebibytes(pages.free * pages.size) + " of the " +
              mebibytes(pages.total * pages.size) +
              " reserved are free: reserve more (sysctl vm.nr_hugepages)."};
}

// Memory is taken at once, and pinned. What is not there would be taken from
// others: by the kernel, which ends one of them or this process.
Result<void> check_room(std::size_t size, const UmemOptions& options) {
  const std::uint64_t available = memory_available();
  if (size <= available) return {};
  return Error{ENOMEM, "memory", described(options),
               mebibytes(size) + " are asked for, and " + mebibytes(available) +
                   " can be had: lower --frames-per-queue or --ring-size."};
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
    if (options.huge_pages) umem.refusal_ = why_not_huge(size, options);
    if (auto room = check_room(size, options); !room) return room.error();
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
