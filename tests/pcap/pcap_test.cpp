// SPDX-License-Identifier: Apache-2.0
// Captures: what is read from which format, and where a broken one breaks.
#include <gmock/gmock.h>

#include <sluice/testing/frame.hpp>
#include <sluice/testing/pcap.hpp>

#include "capture_bytes.hpp"
#include "numbered.hpp"

namespace sluice::testing {
namespace {

using ::testing::HasSubstr;

constexpr std::uint32_t kStart = 1'700'000'000;
constexpr std::uint64_t kSecond = 1'000'000'000;

struct Read {
  std::vector<Bytes> packets;
  std::vector<std::uint64_t> times;
  std::optional<Error> error;
};

Read read(const std::string& path) {
  Read read;
  auto reader = PcapReader::open(path);
  if (!reader) {
    read.error = reader.error();
    return read;
  }
  while (const Captured* captured = (*reader)->next()) {
    read.packets.emplace_back(captured->bytes.begin(), captured->bytes.end());
    read.times.push_back(captured->time.ns);
  }
  EXPECT_EQ((*reader)->next(), nullptr) << "it goes on behind its end";
  read.error = (*reader)->error();
  return read;
}

class PcapTest : public ::testing::Test {
 protected:
  Read read_bytes(const Bytes& bytes) {
    return read(folder_.write("some.pcap", bytes));
  }
  Folder folder_;
};

TEST_F(PcapTest, MicrosecondsAndNanosecondsOfEitherByteOrderAreRead) {
  for (const bool foreign : {false, true}) {
    for (const bool nanoseconds : {false, true}) {
      const Read got = read_bytes(CaptureBytes::pcap(nanoseconds, 1, foreign)
                                      .record(kStart, 7, numbered(1))
                                      .record(kStart + 1, 999'999, numbered(2))
                                      .bytes);
      EXPECT_FALSE(got.error);
      EXPECT_EQ(got.packets, (std::vector{numbered(1), numbered(2)}));
      const std::uint64_t unit = nanoseconds ? 1 : 1000;
      EXPECT_EQ(got.times,
                (std::vector{kStart * kSecond + 7 * unit,
                             (kStart + 1) * kSecond + 999'999 * unit}));
    }
  }
}

TEST_F(PcapTest, PcapngIsReadWithTheTimesOfEachOfItsInterfaces) {
  for (const bool foreign : {false, true}) {
    const Read got =
        read_bytes(CaptureBytes::pcapng(foreign)
                       .interface(6)
                       .interface(9)
                       .packet(0, kStart * 1'000'000ull + 5, numbered(1))
                       .block(4, Bytes(8))  // Name resolution: skipped.
                       .packet(1, kStart * kSecond + 12'345, numbered(2, 11))
                       .bytes);
    EXPECT_FALSE(got.error) << got.error->message();
    EXPECT_EQ(got.packets, (std::vector{numbered(1), numbered(2, 11)}));
    EXPECT_EQ(got.times, (std::vector{kStart * kSecond + 5000,
                                      kStart * kSecond + 12'345}));
  }
}

TEST_F(PcapTest, WhatIsWrittenIsReadBackToTheNanosecond) {
  std::vector<Bytes> packets;
  std::vector<std::uint64_t> times;
  {
    auto writer = PcapWriter::open(folder_.path("out.pcap"));
    ASSERT_TRUE(writer) << writer.error().message();
    PcapWriter moved = std::move(*writer);
    for (std::size_t i = 0; i < 1000; ++i) {
      packets.push_back(numbered(i, i * 60));
      times.push_back(kStart * kSecond + i * 333'333'333 + i);
      moved.write(Time{times.back()}, packets.back());
    }
    ASSERT_TRUE(moved.close());
  }
  const Read got = read(folder_.path("out.pcap"));
  EXPECT_FALSE(got.error);
  EXPECT_EQ(got.packets, packets);
  EXPECT_EQ(got.times, times);
}

TEST_F(PcapTest, TimesGoOnAfter2038) {
  const Read got = read_bytes(
      CaptureBytes::pcap(false).record(4'000'000'000, 1, numbered(1)).bytes);
  EXPECT_EQ(got.times, (std::vector{4'000'000'000 * kSecond + 1000}));
}

TEST_F(PcapTest, TimesGoOnAfter2262) {
  constexpr std::uint64_t kSeconds = 13'000'000'000;
  const Read got = read_bytes(CaptureBytes::pcapng()
                                  .interface(6)
                                  .packet(0, kSeconds * 1'000'000, numbered(1))
                                  .bytes);
  EXPECT_EQ(got.times, (std::vector{kSeconds * kSecond}));
}

// Cut anywhere: all whole packets come, and the error names where the first one
// begins that is not whole.
TEST_F(PcapTest, ATruncatedFileEndsWithItsLastWholePacketAndNamesTheOffset) {
  CaptureBytes whole = CaptureBytes::pcap(false);
  std::vector<std::size_t> ends = {whole.bytes.size()};
  for (std::uint32_t i = 0; i < 4; ++i) {
    whole.record(kStart, i, numbered(i));
    ends.push_back(whole.bytes.size());
  }
  for (std::size_t size = 24; size <= whole.bytes.size(); ++size) {
    const Bytes cut(whole.bytes.begin(),
                    whole.bytes.begin() + static_cast<std::ptrdiff_t>(size));
    const Read got = read_bytes(cut);
    std::size_t packets = 0;
    while (packets < 4 && ends[packets + 1] <= size) ++packets;
    EXPECT_EQ(got.packets.size(), packets) << size;
    if (ends[packets] == size) {
      EXPECT_FALSE(got.error) << size;
      continue;
    }
    ASSERT_TRUE(got.error) << size;
    EXPECT_EQ(got.error->code, EBADMSG);
    EXPECT_THAT(got.error->message(),
                HasSubstr("some.pcap packet " + std::to_string(packets + 1) +
                          " at byte " + std::to_string(ends[packets]) + ":"));
  }
}

TEST_F(PcapTest, ATruncatedPcapngNamesTheOffset) {
  CaptureBytes capture = CaptureBytes::pcapng().interface(6).packet(
      0, kStart * 1'000'000ull, numbered(1));
  const std::size_t good = capture.bytes.size();
  capture.packet(0, kStart * 1'000'000ull, numbered(2));
  capture.bytes.resize(capture.bytes.size() - 5);
  const Read got = read_bytes(capture.bytes);
  EXPECT_EQ(got.packets, std::vector<Bytes>{numbered(1)});
  ASSERT_TRUE(got.error);
  EXPECT_THAT(got.error->message(),
              HasSubstr("packet 2 at byte " + std::to_string(good)));
}

TEST_F(PcapTest, ACorruptLengthOrTimeNamesTheOffset) {
  const CaptureBytes good =
      CaptureBytes::pcap(true).record(kStart, 0, numbered(1));
  const std::string place =
      "packet 2 at byte " + std::to_string(good.bytes.size());
  CaptureBytes length = good;
  length.put32(kStart).put32(0).put32(0x7fffffff).put32(0x7fffffff);
  CaptureBytes time = good;
  time.record(kStart, 2'000'000'000, numbered(2));
  for (const CaptureBytes& bad : {length, time}) {
    const Read got = read_bytes(bad.bytes);
    EXPECT_EQ(got.packets.size(), 1u);
    ASSERT_TRUE(got.error);
    EXPECT_THAT(got.error->message(), HasSubstr(place));
  }
}

TEST_F(PcapTest, WhatIsNoCaptureIsRefusedByName) {
  for (const Bytes& bytes : {Bytes{}, Bytes(3), Bytes(1000, std::byte{'x'})}) {
    const Read got = read_bytes(bytes);
    ASSERT_TRUE(got.error);
    EXPECT_EQ(got.error->code, EBADMSG);
    EXPECT_THAT(got.error->message(), HasSubstr("some.pcap"));
  }
  EXPECT_EQ(read(folder_.path("nothing")).error->code, ENOENT);
  EXPECT_TRUE(read(folder_.path("")).error) << "a directory";
}

TEST_F(PcapTest, AnotherLinkTypeIsRefusedWithItsNameAndARemedy) {
  for (const auto& [type, name] :
       {std::pair{113u, "LINUX_SLL"}, {276u, "LINUX_SLL2"}, {101u, "RAW"}}) {
    const Read got = read_bytes(
        CaptureBytes::pcap(false, type).record(kStart, 0, numbered(1)).bytes);
    ASSERT_TRUE(got.error);
    EXPECT_EQ(got.error->code, EPROTONOSUPPORT);
    EXPECT_THAT(got.error->message(), HasSubstr(name));
    EXPECT_THAT(got.error->message(), HasSubstr("tcpdump -i"));
  }
}

TEST_F(PcapTest, WritingToWhereThereIsNoRoomIsTold) {
  EXPECT_FALSE(PcapWriter::open(folder_.path("no/such/folder")));
  auto full = PcapWriter::open("/dev/full");
  ASSERT_TRUE(full);
  for (int i = 0; i < 10; ++i) full->write(Time{0}, numbered(1));
  const auto closed = full->close();
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().code, ENOSPC);
}

}  // namespace
}  // namespace sluice::testing
