// SPDX-License-Identifier: Apache-2.0
// Ladders: each rung can be masked, what was granted and why is said in the
// first lines, and packets flow on every rung.
#include "veth_test.hpp"

namespace sluice::testing {
namespace {

class LadderTest : public VethTest {
 protected:
  VethOptions wanted() const override { return {.queues = 1, .mtu = mtu_}; }
  // A run on a rung answers like any other; gives the grant of its queue.
  Json grant_of_run(Words flags, int count = 2000, const Words& traffic = {}) {
    flags.insert(flags.end(),
                 {"--handler", "reflect", "--steer", "udp and dst port 7"});
    Running run = this->run(flags);
    if (!run.up()) return Json::object();
    expect_answered(mine().ipv4, 7, count, traffic);
    const Json ended = run.stop();
    EXPECT_EQ(sum(ended, "lost"), 0u) << ended;
    EXPECT_EQ(sum(ended, "tx_packets"), static_cast<std::uint64_t>(count));
    return run.started().at("queues").at(0);
  }
  // The first lines for people, up to the rules.
  std::string first_lines(Words flags) {
    flags.insert(flags.end(), {"--steer", "udp and dst port 7"});
    Process process = sluice_run(flags);
    EXPECT_TRUE(process.wait_for("rule: ", 20s)) << process.err();
    process.signal(SIGINT);
    EXPECT_EQ(process.wait(10s), 0) << process.err();
    return process.out().substr(0, process.out().find("ended:"));
  }
  static std::string reason(const Json& refused, const std::string& rung) {
    for (const Json& each : refused) {
      if (each.at("rung") == rung) return each.at("reason");
    }
    return "not refused";
  }

  std::uint32_t mtu_ = 1500;
};

class LargeLadderTest : public LadderTest {
 protected:
  LargeLadderTest() { mtu_ = 9000; }
};

TEST_F(LadderTest, VethCopiesAndSaysWhyNotZeroCopy) {
  const Json grant = grant_of_run({});
  EXPECT_EQ(grant.at("mode"), "copy");
  EXPECT_NE(reason(grant.at("refused"), "zero-copy").find("not supported"),
            std::string::npos)
      << grant;
  const std::string lines = first_lines({});
  EXPECT_NE(lines.find(mine().interface + " queue 0: cpu "), std::string::npos)
      << lines;
  EXPECT_NE(lines.find(", copy, wait "), std::string::npos) << lines;
  EXPECT_NE(lines.find("not zero-copy: bind(AF_XDP) "), std::string::npos)
      << lines;
  EXPECT_NE(lines.find("1 of 1 queues served, 100 %"), std::string::npos)
      << lines;
}

TEST_F(LadderTest, ZeroCopyCanBeMasked) {
  const Json grant = grant_of_run({"--without", "zero-copy"});
  EXPECT_EQ(grant.at("mode"), "copy");
  EXPECT_EQ(reason(grant.at("refused"), "zero-copy"), "It was masked.");
  EXPECT_NE(first_lines({"--without", "zero-copy"})
                .find("not zero-copy: It was masked."),
            std::string::npos);
}

TEST_F(LadderTest, NativeCanBeMasked) {
  const Json grant = grant_of_run({"--without", "native"});
  EXPECT_EQ(grant.at("mode"), "generic");
  EXPECT_EQ(reason(grant.at("refused"), "native"), "It was masked.");
  EXPECT_NE(
      first_lines({"--without", "native"}).find("not native: It was masked."),
      std::string::npos);
}

TEST_F(LadderTest, IoUringCanBeMasked) {
  const Json grant = grant_of_run({"--without", "io_uring"});
  EXPECT_EQ(grant.at("wait"), "ppoll");
  EXPECT_NE(reason(grant.at("wait_refused"), "io_uring").find("It was masked."),
            std::string::npos);
  const std::string lines = first_lines({"--without", "io_uring"});
  EXPECT_NE(lines.find("wait ppoll"), std::string::npos) << lines;
  EXPECT_NE(lines.find("not io_uring: "), std::string::npos) << lines;
}

TEST_F(LadderTest, HundredThousandFramesGoThroughThirtyTwoPerCall) {
  const Json grant = grant_of_run({"--without", "tx-budget", "--batch", "256"},
                                  100'000, {"--flows", "64"});
  EXPECT_EQ(grant.at("tx_budget"), 32u);
  EXPECT_NE(first_lines({"--without", "tx-budget"}).find("tx budget 32\n"),
            std::string::npos);
}

TEST_F(LadderTest, HugePagesCanBeMasked) {
  EXPECT_EQ(grant_of_run({"--without", "huge-pages"}).at("huge_pages"), false);
}

TEST_F(LadderTest, SpinningAnswersToo) { grant_of_run({"--spin"}); }

TEST_F(LadderTest, EveryLowestRungAtOnce) {
  const Json grant = grant_of_run(
      {"--without",
       "zero-copy,native,multi-buffer,tx-budget,huge-pages,io_uring"});
  EXPECT_EQ(grant.at("mode"), "generic");
  EXPECT_EQ(grant.at("wait"), "ppoll");
  EXPECT_EQ(grant.at("tx_budget"), 32u);
}

TEST_F(LadderTest, NamedModesAreWhatIsGranted) {
  EXPECT_EQ(grant_of_run({"--mode", "copy"}).at("mode"), "copy");
  EXPECT_EQ(grant_of_run({"--mode", "generic"}).at("mode"), "generic");
}

TEST_F(LadderTest, ZeroCopyRequiredIsRefusedWithTheReason) {
  Process process =
      sluice_run({"--mode", "zero-copy", "--steer", "udp and dst port 7"});
  EXPECT_EQ(process.wait(20s), 1);
  EXPECT_NE(process.err().find("bind(AF_XDP) " + mine().interface),
            std::string::npos)
      << process.err();
  EXPECT_NE(process.err().find("no zero-copy"), std::string::npos)
      << process.err();
  expect_nothing_left();
}

TEST_F(LadderTest, SmallPacketsNeedNoMultiBuffer) {
  EXPECT_EQ(grant_of_run({}).at("multi_buffer"), false);
}

TEST_F(LargeLadderTest, LargePacketsAreAnsweredByteByByte) {
  Running run = this->run({"--handler", "macswap", "--steer", "udp"});
  ASSERT_TRUE(run.up());
  EXPECT_EQ(run.started().at("queues").at(0).at("multi_buffer"), true);
  Wire b = wire(Side::b);
  for (const std::size_t size :
       {100u, 1750u, 1751u, 1792u, 3000u, 3584u, 8000u, 8972u}) {
    const auto packet = [&](const Mac& from, const Mac& to) -> Bytes {
      return Frame()
          .eth(from, to)
          .ipv4("10.5.0.1", "10.5.0.2")
          .udp(5000, 5001)
          .payload(size);
    };
    ASSERT_TRUE(b.send(packet(kMacB, kMacA))) << size;
    const auto got = b.receive(5s, [](std::span<const std::byte> each) {
      return each.size() > 30 && each[27] == std::byte{5};
    });
    ASSERT_TRUE(got) << size;
    EXPECT_EQ(*got, packet(kMacA, kMacB)) << size;
  }
  const Json ended = run.stop();
  EXPECT_EQ(sum(ended, "tx_packets"), 8u);
  EXPECT_EQ(sum(ended, "lost"), 0u) << ended;
}

TEST_F(LargeLadderTest, WithoutMultiBufferTheMtuMustFit) {
  Process process = sluice_run(
      {"--without", "multi-buffer", "--steer", "udp and dst port 7"});
  EXPECT_EQ(process.wait(20s), 1);
  EXPECT_NE(process.err().find("9000 of " + mine().interface),
            std::string::npos)
      << process.err();
  EXPECT_NE(process.err().find("ip link set " + mine().interface + " mtu "),
            std::string::npos)
      << process.err();
  // It would not fit into the larger frames either.
  EXPECT_EQ(process.err().find("--frame-size 4096"), std::string::npos)
      << process.err();
  expect_nothing_left();
}

}  // namespace
}  // namespace sluice::testing
