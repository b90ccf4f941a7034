// SPDX-License-Identifier: Apache-2.0
// Captures: a file of any bytes ends, with what was read before and an error
// that says where.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <sluice/sys.hpp>
#include <sluice/testing/pcap.hpp>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  static const sluice::Fd file(::memfd_create("capture", MFD_CLOEXEC));
  if (::ftruncate(file.get(), 0) != 0 ||
      ::lseek(file.get(), 0, SEEK_SET) != 0 ||
      ::write(file.get(), data, size) != static_cast<ssize_t>(size)) {
    std::abort();
  }
  const std::string path = "/proc/self/fd/" + std::to_string(file.get());
  auto reader = sluice::testing::PcapReader::open(path);
  if (!reader) {
    if (reader.error().message().empty()) std::abort();
    return 0;
  }
  std::size_t packets = 0;
  unsigned sum = 0;
  while (const auto* captured = (*reader)->next()) {
    for (const std::byte byte : captured->bytes) {
      sum += std::to_integer<unsigned>(byte);
    }
    if (++packets > size) std::abort();  // Every packet takes room in the file.
  }
  static_cast<void>(sum);
  return 0;
}
