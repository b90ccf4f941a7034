// SPDX-License-Identifier: Apache-2.0
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <sluice/umem.hpp>
#include <string>

namespace sluice {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::string described(const UmemOptions& options) {
  return std::to_string(options.frames) + " frames of " +
         std::to_string(options.frame_size) + " bytes";
}

Result<Fd> make_file(std::size_t size, unsigned flags, std::string what) {
  Fd fd(::memfd_create("sluice-umem", MFD_CLOEXEC | flags));
  if (!fd) return Error::last("memfd_create", std::move(what));
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
    return Error::last("ftruncate", std::move(what));
  }
  return fd;
}

}  // namespace

Result<Umem> Umem::create(const UmemOptions& options) {
  if ((options.frame_size != 2048 && options.frame_size != 4096) ||
      options.frames == 0) {
    return Error{EINVAL, "umem", described(options),
                 "The frame size is 2048 or 4096."};
  }
  Umem umem;
  umem.options_ = options;
  const std::size_t size =
      static_cast<std::size_t>(options.frames) * options.frame_size;
  if (options.huge_pages && size % kHugePage == 0) {
    // Reserved pages may be too few: mapping tells, at once.
    auto file = make_file(size, MFD_HUGETLB, described(options));
    if (file) {
      auto mapping = Mapping::shared(file->get(), size, 0, "umem");
      if (mapping) {
        umem.fd_ = std::move(*file);
        umem.mapping_ = std::move(*mapping);
        umem.huge_ = true;
        return umem;
      }
    }
  }
  auto file = make_file(size, 0, described(options));
  if (!file) return file.error();
  auto mapping = Mapping::shared(file->get(), size, 0, "umem");
  if (!mapping) {
    Error error = mapping.error();
    error.arguments = described(options);
    error.advice = "Ask for fewer with --frames-per-queue.";
    return error;
  }
  umem.fd_ = std::move(*file);
  umem.mapping_ = std::move(*mapping);
  if (options.huge_pages) {
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
