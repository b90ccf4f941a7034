// SPDX-License-Identifier: Apache-2.0
#include "save_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <sluice/sys.hpp>

namespace sluice::app {
namespace {

Result<void> write_all(int file, std::string_view text,
                       const std::string& path) {
  while (!text.empty()) {
    const auto written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Error::last("write", path);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(file) != 0) return Error::last("fsync", path);
  return {};
}

}  // namespace

Result<void> save_file(const std::string& path, std::string_view text) {
  struct stat old{};
  const bool there = ::stat(path.c_str(), &old) == 0;
  const std::string beside = path + ".new-" + std::to_string(::getpid());
  const Fd file(
      ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!file) return Error::last("open", beside);
  if (there) (void)::fchmod(file.get(), old.st_mode & 07777);
  auto done = write_all(file.get(), text, beside);
  if (done && ::rename(beside.c_str(), path.c_str()) != 0) {
    done = Error::last("rename", path);
  }
  if (!done) ::unlink(beside.c_str());
  return done;
}

}  // namespace sluice::app
