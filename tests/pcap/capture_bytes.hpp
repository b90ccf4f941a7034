// SPDX-License-Identifier: Apache-2.0
// CaptureBytes: capture files byte by byte, whole ones and broken ones.
//
// Written from the formats' own descriptions, so that the reader under test and
// the writer under test do not agree by mistake.
// Source: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sluice/testing/frame.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::testing {

class CaptureBytes {
 public:
  explicit CaptureBytes(bool foreign = false) : foreign_(foreign) {}

  // --- pcap
  // -------------------------------------------------------------------
  static CaptureBytes pcap(bool nanoseconds, std::uint32_t link_type = 1,
                           bool foreign = false) {
    CaptureBytes capture(foreign);
    capture.put32(nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4);
    capture.put16(2);
    capture.put16(4);
    capture.put32(0);
    capture.put32(0);
    capture.put32(262144);
    capture.put32(link_type);
    return capture;
  }
  /// `size` on the wire; 0: as many as there are bytes.
  CaptureBytes& record(std::uint32_t seconds, std::uint32_t fraction,
                       const Bytes& packet, std::uint32_t size = 0) {
    const auto there = static_cast<std::uint32_t>(packet.size());
    put32(seconds);
    put32(fraction);
    put32(there);
    put32(size == 0 ? there : size);
    return put(packet);
  }

  // --- pcapng
  // -----------------------------------------------------------------
  static CaptureBytes pcapng(bool foreign = false) {
    CaptureBytes capture(foreign);
    CaptureBytes body(foreign);
    body.put32(0x1a2b3c4d);
    body.put16(1);
    body.put16(0);
    body.put32(~0u);
    body.put32(~0u);
    return capture.block(0x0a0d0d0a, body.bytes);
  }
  /// `resolution`: times are 10^-resolution seconds.
  CaptureBytes& interface(std::uint8_t resolution,
                          std::uint16_t link_type = 1) {
    CaptureBytes body(foreign_);
    body.put16(link_type);
    body.put16(0);
    body.put32(262144);
    body.put16(9);  // if_tsresol
    body.put16(1);
    body.bytes.push_back(std::byte{resolution});
    body.bytes.resize(body.bytes.size() + 3);
    body.put32(0);  // The end of the options.
    return block(1, body.bytes);
  }
  CaptureBytes& packet(std::uint32_t interface, std::uint64_t time,
                       const Bytes& packet) {
    CaptureBytes body(foreign_);
    body.put32(interface);
    body.put32(static_cast<std::uint32_t>(time >> 32));
    body.put32(static_cast<std::uint32_t>(time));
    body.put32(static_cast<std::uint32_t>(packet.size()));
    body.put32(static_cast<std::uint32_t>(packet.size()));
    body.put(packet);
    return block(6, body.bytes);
  }
  CaptureBytes& block(std::uint32_t type, Bytes body) {
    body.resize((body.size() + 3) / 4 * 4);
    const auto size = static_cast<std::uint32_t>(body.size() + 12);
    put32(type);
    put32(size);
    put(body);
    return put32(size);
  }

  CaptureBytes& put16(std::uint16_t value) {
    return put_number(
        foreign_ ? static_cast<std::uint16_t>(value << 8 | value >> 8) : value);
  }
  CaptureBytes& put32(std::uint32_t value) {
    return put_number(foreign_ ? __builtin_bswap32(value) : value);
  }
  CaptureBytes& put(const Bytes& more) {
    bytes.insert(bytes.end(), more.begin(), more.end());
    return *this;
  }

  Bytes bytes;

 private:
  template <class T>
  CaptureBytes& put_number(T value) {
    const auto* first = reinterpret_cast<const std::byte*>(&value);
    bytes.insert(bytes.end(), first, first + sizeof value);
    return *this;
  }
  bool foreign_;  // The other byte order.
};

/// A directory that goes with its test.
class Folder {
 public:
  Folder() {
    std::string pattern =
        std::filesystem::temp_directory_path() / "sluice-pcap-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  [[nodiscard]] std::string path(const std::string& name) const {
    return path_ / name;
  }
  std::string write(const std::string& name, const Bytes& bytes) const {
    std::ofstream file(path(name), std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    return path(name);
  }
  std::string write(const std::string& name, std::string_view text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }
  [[nodiscard]] Bytes read(const std::string& name) const {
    std::ifstream file(path(name), std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
  }

 private:
  std::filesystem::path path_;
};

}  // namespace sluice::testing
