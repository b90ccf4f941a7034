// SPDX-License-Identifier: Apache-2.0
// Captures: packets with times, out of pcap and pcapng files and into them.
//
// Streams: whatever the file's size, one packet is in memory. A pipe will do.
// Needs no privileges.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <sluice/clock.hpp>
#include <sluice/result.hpp>
#include <span>
#include <string>

struct pcap;
struct pcap_dumper;

namespace sluice::testing {

/// One packet of a capture.
struct Captured {
  Time time;                         ///< Since 1970, in a file.
  std::span<const std::byte> bytes;  ///< What there is; until the next one.
  std::uint32_t size = 0;            ///< On the wire. More than `bytes`: cut.
};

/// Where packets come from, in order.
class PacketSource {
 public:
  virtual ~PacketSource() = default;
  /// The next one; nullptr at the end, and where error() says why.
  [[nodiscard]] virtual const Captured* next() = 0;
  /// What ended it before its end.
  [[nodiscard]] const std::optional<Error>& error() const noexcept {
    return error_;
  }

 protected:
  std::optional<Error> error_;
};

/// Where packets go that were sent.
class PacketSink {
 public:
  virtual ~PacketSink() = default;
  /// Sent out of `port` at `time`. `bytes` are valid during the call.
  virtual void sent(std::uint8_t port, Time time,
                    std::span<const std::byte> bytes) = 0;
};

/// Reads pcap and pcapng, with times in micro- or nanoseconds, of Ethernet.
class PcapReader : public PacketSource {
 public:
  /// "-" is standard input. Another link type than Ethernet
  /// is refused by name (EPROTONOSUPPORT), and so is what is no capture at all
  /// (EBADMSG). System call: open(2).
  [[nodiscard]] static Result<std::unique_ptr<PcapReader>> open(
      const std::string& path);
  ~PcapReader() override;
  PcapReader(const PcapReader&) = delete;
  PcapReader& operator=(const PcapReader&) = delete;

  /// From here on reading ends, with ECANCELED, once the descriptor `stop` is
  /// readable, even where a pipe has nothing.
  void set_stop(int stop) noexcept;

  /// A file that is cut off or corrupt ends where it is, with an error that
  /// names packet and offset. System calls: read(2), 256 KiB at a time;
  /// poll(2).
  [[nodiscard]] const Captured* next() override;

 private:
  struct File;
  explicit PcapReader(std::string path);
  Result<void> begin();
  const Captured* fail(const std::string& reason);

  std::string path_;
  std::unique_ptr<File> file_;
  pcap* pcap_ = nullptr;
  Captured captured_;
  std::uint64_t packets_ = 0;
  std::uint64_t offset_ = 0;  // Where the last packet's record begins.
};

/// Writes pcap with times in nanoseconds, of Ethernet.
class PcapWriter {
 public:
  /// Makes the file, or empties it. System call: open(2).
  [[nodiscard]] static Result<PcapWriter> open(const std::string& path);
  PcapWriter(PcapWriter&& other) noexcept;
  PcapWriter& operator=(PcapWriter&& other) noexcept;
  /// As close(), and nobody hears of an error.
  ~PcapWriter();

  /// Takes effect some packets later. What goes wrong is told by close().
  /// `size`: on the wire, where that is more than there is of it.
  void write(Time time, std::span<const std::byte> bytes,
             std::uint32_t size = 0) noexcept;

  /// Writes what is left. Error: of this or of any write() before.
  Result<void> close();

 private:
  explicit PcapWriter(std::string path) : path_(std::move(path)) {}

  std::string path_;
  pcap* pcap_ = nullptr;
  pcap_dumper* dumper_ = nullptr;
};

}  // namespace sluice::testing
