// SPDX-License-Identifier: Apache-2.0
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sluice/sys.hpp>

#include "rules_list.hpp"

namespace sluice::language {

Result<TextFile> read_file(const std::string& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return Error::last("open", path);
  struct stat status{};
  if (fstat(file.get(), &status) != 0) return Error::last("fstat", path);
  TextFile whole{{status.st_dev, status.st_ino}, {}};
  constexpr std::size_t kStep = std::size_t{1} << 20;
  for (std::size_t size = 0;;) {
    whole.text.resize(size + kStep);
    const ssize_t more = ::read(file.get(), whole.text.data() + size, kStep);
    if (more < 0 && errno == EINTR) continue;
    if (more < 0) return Error::last("read", path);
    size += static_cast<std::size_t>(more);
    if (more == 0) {
      whole.text.resize(size);
      return whole;
    }
  }
}

}  // namespace sluice::language
