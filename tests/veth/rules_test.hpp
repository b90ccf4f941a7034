// SPDX-License-Identifier: Apache-2.0
// RulesTest: `sluice rules` on the first interface, from another process than
// the one that runs there.
#pragma once

#include <fstream>

#include "veth_test.hpp"

namespace sluice::testing {

class RulesTest : public VethTest {
 protected:
  const Words kUdp7 = {"--handler", "reflect", "--steer", "udp and dst port 7"};

  struct Ended {
    int code = -1;
    std::string out, err;
    Json json() const { return Json::parse(out, nullptr, false); }
  };
  static Ended ended(Process process) {
    const auto code = process.wait(20s);
    return {code.value_or(-1), process.out(), process.err()};
  }
  Ended rules(Words words) {
    words.insert(words.begin(), "rules");
    words.insert(words.end(), {"-i", mine().interface});
    return ended(sluice(words));
  }
  /// That worked.
  Ended right(const Words& words) {
    Ended done = rules(words);
    EXPECT_EQ(done.code, 0) << words.front() << ": " << done.err;
    return done;
  }
  /// That was refused, with these words.
  void refused(const Words& words, int code, const Words& said) {
    const Ended done = rules(words);
    EXPECT_EQ(done.code, code) << done.out << done.err;
    EXPECT_EQ(done.out, "");
    for (const std::string& each : said) {
      EXPECT_NE(done.err.find(each), std::string::npos) << done.err;
    }
  }
  Json shown() { return right({"show", "--json"}).json(); }
  /// The list in force, as written.
  std::string text() { return right({"save"}).out; }

  std::string file(const std::string& name, const std::string& text) {
    const std::string path = ::testing::TempDir() + "sluice-" +
                             std::to_string(getpid()) + "-" + name;
    std::ofstream(path) << text;
    files_.push_back(path);
    return path;
  }
  void TearDown() override {
    for (const std::string& path : files_) unlink(path.c_str());
  }

 private:
  std::vector<std::string> files_;
};

}  // namespace sluice::testing
