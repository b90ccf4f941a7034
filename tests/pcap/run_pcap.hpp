// SPDX-License-Identifier: Apache-2.0
// RunTest: `sluice run` over captures that a test writes.
#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <sluice/testing/frame.hpp>
#include <sluice/testing/pcap.hpp>
#include <sluice/testing/process.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "capture_bytes.hpp"

namespace sluice::testing {

using ::testing::HasSubstr;
using Json = nlohmann::json;
using Words = std::vector<std::string>;
using namespace std::chrono_literals;

inline constexpr std::uint32_t kStart = 1'700'000'000;

inline Frame from_a() { return Frame().eth().ipv4("192.0.2.1", "192.0.2.2"); }
inline Frame from_b() {
  return Frame().eth(kMacB, kMacA).ipv4("192.0.2.2", "192.0.2.1");
}
inline Bytes question(std::uint16_t number, std::size_t size = 20) {
  return from_a().udp(number, 9).payload(size);
}
inline Bytes answer(std::uint16_t number, std::size_t size = 20) {
  return from_b().udp(9, number).payload(size);
}

struct Ended {
  int code = -1;
  std::string out, err;
  Json line(const std::string& type) const {
    std::istringstream lines(out);
    for (std::string text; std::getline(lines, text);) {
      Json json = Json::parse(text, nullptr, false);
      if (json.is_object() && json.value("type", "") == type) return json;
    }
    ADD_FAILURE() << "no line " << type << " in " << out << err;
    return Json::object();
  }
};

class RunTest : public ::testing::Test {
 protected:
  /// `sluice run` without privileges, as nobody where the test is root.
  Ended run(Words flags, bool json = true) {
    Words words = {SLUICE_PROGRAM, "run", "--interval", "0"};
    if (json) words.emplace_back("--json");
    words.insert(words.end(), flags.begin(), flags.end());
    return start(words);
  }
  Ended start(const Words& words) {
    auto process = Process::start(words);
    Ended ended;
    if (!process) {
      ADD_FAILURE() << process.error().message();
      return ended;
    }
    ended.code = process->wait(60s).value_or(-1);
    ended.out = process->out();
    ended.err = process->err();
    return ended;
  }
  /// A capture of questions, a millisecond apart.
  std::string questions(const std::string& name, std::uint16_t count) {
    CaptureBytes capture = CaptureBytes::pcap(true);
    for (std::uint16_t i = 0; i < count; ++i) {
      capture.record(kStart, i * 1'000'000u, question(i, i % 64));
    }
    return folder_.write(name, capture.bytes);
  }
  std::string path(const std::string& name) { return folder_.path(name); }

  struct Packet {
    std::uint64_t ns;
    Bytes bytes;
    bool operator==(const Packet&) const = default;
  };
  std::vector<Packet> packets(const std::string& name) {
    std::vector<Packet> all;
    auto reader = PcapReader::open(path(name));
    if (!reader) {
      ADD_FAILURE() << reader.error().message();
      return all;
    }
    while (const Captured* each = (*reader)->next()) {
      all.push_back({each->time.ns, {each->bytes.begin(), each->bytes.end()}});
    }
    EXPECT_FALSE((*reader)->error());
    return all;
  }
  static void expect_balanced(const Json& ended) {
    const Json& ledger = ended.at("ledger");
    EXPECT_GT(ledger.at("frames"), 0u);
    EXPECT_EQ(ledger.at("accounted"), ledger.at("frames"));
  }
  Folder folder_;
};

}  // namespace sluice::testing
