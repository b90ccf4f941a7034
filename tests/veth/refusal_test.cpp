// SPDX-License-Identifier: Apache-2.0
// What can't be is refused in one clear sentence with its remedy, and leaves
// nothing behind.
#include <cstring>
#include <sstream>

#include "foreign_program.hpp"
#include "veth_test.hpp"

namespace sluice::testing {
namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;

class RefusalTest : public VethTest {
 protected:
  void expect_refused(Process process, int code, const Words& said) {
    EXPECT_EQ(process.wait(20s), code) << process.out() << process.err();
    EXPECT_EQ(process.out(), "");
    EXPECT_TRUE(process.err().starts_with("sluice: ")) << process.err();
    expect_one_error(process.err());
    for (const std::string& each : said) {
      EXPECT_NE(process.err().find(each), std::string::npos)
          << "\"" << each << "\" is not in: " << process.err();
    }
  }
  // One line, but for what the doctor adds.
  static void expect_one_error(const std::string& text) {
    std::istringstream lines(text);
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) {
      EXPECT_TRUE(line.starts_with("sluice: doctor: ")) << text;
    }
  }
  // Refused, and the interface is as before.
  void expect_refused(const Words& flags, int code, const Words& said) {
    Words all = flags;
    all.insert(all.end(), {"--steer", "udp and dst port 7"});
    expect_refused(sluice_run(all), code, said);
    expect_nothing_left();
  }
};

TEST_F(RefusalTest, MissingInterface) {
  expect_refused({"-i", "nope0"}, kFailed, {"nope0", mine().interface});
}

TEST_F(RefusalTest, MissingQueue) {
  expect_refused({"--queues", "0,2"}, kUsage,
                 {"queue 2 of " + mine().interface, "It has 2: 0 to 1."});
}

TEST_F(RefusalTest, RingSizeThatIsNoPowerOfTwo) {
  expect_refused({"--ring-size", "1000"}, kUsage,
                 {"ring size 1000", "power of two"});
}

TEST_F(RefusalTest, FrameSizeThatTheKernelDoesNotTake) {
  expect_refused({"--frame-size", "3000"}, kUsage, {"2048 or 4096"});
}

TEST_F(RefusalTest, FramesThatDoNotCoverTheRings) {
  expect_refused({"--frames-per-queue", "64"}, kFailed,
                 {"frames 64", "--frames-per-queue"});
}

TEST_F(RefusalTest, CpuThatIsNotThere) {
  expect_refused({"--queues", "0", "--cpus", "4095"}, kUsage, {"cpu 4095"});
}

TEST_F(RefusalTest, ModeNobodyKnows) {
  expect_refused({"--mode", "fast"}, kUsage, {"'fast'", "zero-copy"});
}

TEST_F(RefusalTest, RuleThatIsNoRule) {
  expect_refused(sluice_run({"--steer", "udp and dst prot 7"}), kUsage,
                 {"prot"});
  expect_nothing_left();
}

TEST_F(RefusalTest, InterfaceNamedTwice) {
  expect_refused(
      {"--port", "x=" + mine().interface, "--port", "y=" + mine().interface},
      kUsage, {mine().interface});
}

TEST_F(RefusalTest, HandlerNobodyKnows) {
  Process process = sluice_run({"--handler", "mirror"});
  EXPECT_EQ(process.wait(20s), kUsage);
  for (const auto* said : {"'mirror'", "reflect: "}) {
    EXPECT_NE(process.err().find(said), std::string::npos) << process.err();
  }
  expect_nothing_left();
}

TEST_F(RefusalTest, EchoWithoutAnAddress) {
  Process process = sluice_run({"--handler", "echo"});
  const auto code = process.wait(20s);
  EXPECT_TRUE(code == kFailed || code == kUsage) << process.out();
  EXPECT_NE(process.err().find("--address"), std::string::npos)
      << process.err();
  expect_nothing_left();
}

TEST_F(RefusalTest, EverythingOnAnInterfaceWithAddresses) {
  expect_refused(sluice_run({}), kFailed, {mine().ipv4, "--steer", "--force"});
  expect_nothing_left();
}

TEST_F(RefusalTest, ForceTakesEverything) {
  Running run = this->run({"--force"});
  ASSERT_TRUE(run.up());
  EXPECT_FALSE(ping(Side::b, mine().ipv4, 1));
  const Json ended = run.stop();
  EXPECT_GT(sum(ended, "rx_packets"), 0u);
  EXPECT_TRUE(ping(Side::b, mine().ipv4, 1));
  expect_nothing_left();
}

TEST_F(RefusalTest, SecondSluiceOnTheSameInterface) {
  Running first = run({"--steer", "udp and dst port 7"});
  ASSERT_TRUE(first.up());
  expect_refused(
      sluice_run({"--steer", "udp and dst port 8"}), kFailed,
      {mine().interface, "process " + std::to_string(first.process().pid())});
  EXPECT_TRUE(has_program());
  first.stop();
  expect_nothing_left();
}

TEST_F(RefusalTest, ForeignProgramIsNamedAndStays) {
  const auto device =
      lab().in(Side::a, [&] { return Netdev::read(mine().interface); });
  ASSERT_TRUE(device);
  Fd foreign = lab().in(Side::a, [&] { return attach_foreign(device->index); });
  ASSERT_TRUE(foreign) << std::strerror(errno);
  expect_refused(sluice_run({"--steer", "udp and dst port 7"}), kFailed,
                 {"somebody_elses", mine().interface});
  EXPECT_TRUE(has_program());
  EXPECT_TRUE(lab().in(Side::a, [] { return Control::owned(); }).empty());
  foreign.reset();
  expect_nothing_left();
}

TEST_F(RefusalTest, WithoutPrivileges) {
  expect_refused(
      spawn(Side::a, {"setpriv", "--bounding-set", "-all", "--inh-caps", "-all",
                      SLUICE_PROGRAM, "run", "-i", mine().interface, "--steer",
                      "udp and dst port 7"}),
      kFailed, {"Operation not permitted", "as root"});
  expect_nothing_left();
}

TEST_F(RefusalTest, WordsThatAreNoFlagsAreUsageErrors) {
  Process process = sluice({"run", "--no-such-flag"});
  EXPECT_EQ(process.wait(20s), kUsage);
  EXPECT_NE(process.err().find("--no-such-flag"), std::string::npos);
  EXPECT_EQ(sluice({}).wait(20s), kUsage);
  EXPECT_EQ(sluice({"run"}).wait(20s), kUsage);
  EXPECT_EQ(sluice({"--help"}).wait(20s), 0);
  EXPECT_EQ(sluice({"--version"}).wait(20s), 0);
}

}  // namespace
}  // namespace sluice::testing
