// SPDX-License-Identifier: Apache-2.0
// On libpcap, which reads by stdio. It does not tell where in a file it is, so
// the stream below it counts; that works on pipes, too.
#include <fcntl.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <stdio_ext.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sluice/sys.hpp>
#include <sluice/testing/pcap.hpp>
#include <utility>

namespace sluice::testing {
namespace {

constexpr std::size_t kChunk = 256 * 1024;  // To a system call.
constexpr int kSnapLength = 262144;         // libpcap's own limit.

Error not_read(const std::string& path, int code, std::string why) {
  return {code, "read capture", path, std::move(why)};
}

// Large steps, and no lock to each: nobody else has the stream.
void make_quick(std::FILE* stream) {
  (void)std::setvbuf(stream, nullptr, _IOFBF, kChunk);
  (void)::__fsetlocking(stream, FSETLOCKING_BYCALLER);
}

// Seconds before 1970 are what a 32-bit time after 2038 looks like. None: no
// time at all.
std::optional<Time> time_of(const timeval& stamp) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  constexpr std::int64_t kLatest = 17'000'000'000;  // What 64 bits of ns hold.
  std::int64_t seconds = stamp.tv_sec;
  if (seconds < 0) seconds = static_cast<std::uint32_t>(seconds);
  if (seconds > kLatest || stamp.tv_usec < 0 || stamp.tv_usec >= kSecond) {
    return std::nullopt;
  }
  // Unsigned: from 2262 on it is more than 63 bits hold.
  return Time{static_cast<std::uint64_t>(seconds) * kSecond +
              static_cast<std::uint64_t>(stamp.tv_usec)};
}

}  // namespace

// A stdio stream that knows its offset.
struct PcapReader::File {
  Fd fd;
  int stop = -1;
  std::uint64_t bytes = 0;
  std::FILE* stream = nullptr;  // Closed by pcap_close.

  static ssize_t read(void* cookie, char* to, std::size_t size) {
    auto* file = static_cast<File*>(cookie);
    if (file->stop >= 0 && file->stopped()) {
      errno = ECANCELED;
      return -1;
    }
    const ssize_t count = ::read(file->fd.get(), to, size);
    if (count > 0) file->bytes += static_cast<std::uint64_t>(count);
    return count;
  }
  // Waits until there is something to read, or no reason to wait.
  [[nodiscard]] bool stopped() const {
    pollfd watched[] = {{stop, POLLIN, 0}, {fd.get(), POLLIN, 0}};
    while (::poll(watched, 2, -1) < 0 && errno == EINTR) {
    }
    return watched[0].revents != 0;
  }
  // Only asked where it is.
  static int seek(void* cookie, off64_t* offset, int whence) {
    if (whence != SEEK_CUR || *offset != 0) return -1;
    *offset = static_cast<off64_t>(static_cast<File*>(cookie)->bytes);
    return 0;
  }
  [[nodiscard]] std::uint64_t offset() const {
    return static_cast<std::uint64_t>(::ftello(stream));
  }
};

PcapReader::PcapReader(std::string path)
    : path_(std::move(path)), file_(std::make_unique<File>()) {}

Result<std::unique_ptr<PcapReader>> PcapReader::open(const std::string& path) {
  std::unique_ptr<PcapReader> reader(new PcapReader(path));
  File& file = *reader->file_;
  file.fd = Fd(path == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                           : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.fd) return Error::last("open", path);
  file.stream = ::fopencookie(&file, "r",
                              {.read = File::read,
                               .write = nullptr,
                               .seek = File::seek,
                               .close = nullptr});
  if (file.stream == nullptr) return Error::last("fopencookie", path);
  make_quick(file.stream);
  if (auto begun = reader->begin(); !begun) return begun.error();
  return reader;
}

Result<void> PcapReader::begin() {
  char reason[PCAP_ERRBUF_SIZE] = {};
  errno = 0;
  pcap_ = ::pcap_fopen_offline_with_tstamp_precision(
      file_->stream, PCAP_TSTAMP_PRECISION_NANO, reason);
  if (pcap_ == nullptr) {
    const int code = std::ferror(file_->stream) != 0 ? errno : EBADMSG;
    return not_read(path_ + " at byte 0", code != 0 ? code : EBADMSG,
                    std::string(reason) + ".");
  }
  const int type = ::pcap_datalink(pcap_);
  if (type == DLT_EN10MB) return {};
  const char* name = ::pcap_datalink_val_to_name(type);
  return not_read(
      path_, EPROTONOSUPPORT,
      "Its link type is " +
          (name != nullptr ? std::string(name) : std::to_string(type)) +
          ", and a port has Ethernet (EN10MB): capture on one "
          "interface (tcpdump -i eth0 -w FILE), not on 'any'.");
}

void PcapReader::set_stop(int stop) noexcept { file_->stop = stop; }

PcapReader::~PcapReader() {
  if (pcap_ != nullptr) {
    ::pcap_close(pcap_);  // Closes the stream, too.
  } else if (file_->stream != nullptr) {
    (void)std::fclose(file_->stream);
  }
}

const Captured* PcapReader::fail(const std::string& reason) {
  const bool system = std::ferror(file_->stream) != 0;
  error_ = not_read(path_ + " packet " + std::to_string(packets_ + 1) +
                        " at byte " + std::to_string(offset_),
                    system && errno != 0 ? errno : EBADMSG,
                    reason + "; the " + std::to_string(packets_) +
                        " packets before it were read.");
  return nullptr;
}

const Captured* PcapReader::next() {
  if (error_) return nullptr;
  offset_ = file_->offset();
  pcap_pkthdr* header = nullptr;
  const u_char* bytes = nullptr;
  errno = 0;
  const int result = ::pcap_next_ex(pcap_, &header, &bytes);
  if (result == PCAP_ERROR_BREAK) return nullptr;  // The end.
  if (result != 1) return fail(::pcap_geterr(pcap_));
  const auto time = time_of(header->ts);
  if (!time) return fail("its time is out of range");
  ++packets_;
  captured_.time = *time;
  captured_.bytes = {reinterpret_cast<const std::byte*>(bytes), header->caplen};
  captured_.size = header->len;
  return &captured_;
}

Result<PcapWriter> PcapWriter::open(const std::string& path) {
  PcapWriter writer(path);
  writer.pcap_ = ::pcap_open_dead_with_tstamp_precision(
      DLT_EN10MB, kSnapLength, PCAP_TSTAMP_PRECISION_NANO);
  if (writer.pcap_ == nullptr) return Error::last("pcap_open_dead", path);
  std::FILE* stream = std::fopen(path.c_str(), "we");
  if (stream == nullptr) return Error::last("open", path);
  make_quick(stream);
  writer.dumper_ = ::pcap_dump_fopen(writer.pcap_, stream);
  if (writer.dumper_ == nullptr) {
    (void)std::fclose(stream);
    return Error{EIO, "write capture", path,
                 std::string(::pcap_geterr(writer.pcap_)) + "."};
  }
  return writer;
}

PcapWriter::PcapWriter(PcapWriter&& other) noexcept
    : path_(std::move(other.path_)),
      pcap_(std::exchange(other.pcap_, nullptr)),
      dumper_(std::exchange(other.dumper_, nullptr)) {}

PcapWriter& PcapWriter::operator=(PcapWriter&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(pcap_, other.pcap_);
  std::swap(dumper_, other.dumper_);
  return *this;
}

PcapWriter::~PcapWriter() { (void)close(); }

void PcapWriter::write(Time time, std::span<const std::byte> bytes,
                       std::uint32_t size) noexcept {
  constexpr std::uint64_t kSecond = 1'000'000'000;
  pcap_pkthdr header{};
  header.ts.tv_sec = static_cast<time_t>(time.ns / kSecond);
  header.ts.tv_usec = static_cast<suseconds_t>(time.ns % kSecond);
  header.caplen = static_cast<bpf_u_int32>(bytes.size());
  header.len = std::max(header.caplen, size);
  ::pcap_dump(reinterpret_cast<u_char*>(dumper_), &header,
              reinterpret_cast<const u_char*>(bytes.data()));
}

Result<void> PcapWriter::close() {
  if (pcap_ == nullptr) return {};
  Result<void> result;
  if (dumper_ != nullptr) {
    errno = 0;
    const bool flushed = ::pcap_dump_flush(dumper_) == 0;
    const int code = errno != 0 ? errno : EIO;
    if (!flushed || std::ferror(::pcap_dump_file(dumper_)) != 0) {
      result = Error{code, "write capture", path_,
                     "What was sent is not all in it."};
    }
    ::pcap_dump_close(dumper_);
  }
  ::pcap_close(pcap_);
  dumper_ = nullptr;
  pcap_ = nullptr;
  return result;
}

}  // namespace sluice::testing
