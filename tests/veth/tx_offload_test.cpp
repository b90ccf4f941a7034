// SPDX-License-Identifier: Apache-2.0
// What handlers leave to Linux and the NIC as they send, on a veth pair in copy
// mode: right at the peer, told when it left, and refused in words.
#include <atomic>
#include <bit>
#include <ctime>
#include <mutex>
#include <set>
#include <sluice/parse.hpp>

#include "numbered.hpp"

namespace sluice::testing {
namespace {

class TxOffloadTest : public VethTest {
 protected:
  VethOptions wanted() const override { return {.queues = 1, .pairs = 2}; }
  void SetUp() override {
    VethTest::SetUp();
    log().clear();
  }

  EngineOptions options(bool tx_offload = true) {
    EngineOptions options;
    options.ports = {{"in", mine().interface}};
    const Words expressions = {"udp and dst port 7"};
    options.rules = *Rules::steer(expressions);
    options.tx_offload = tx_offload;
    return options;
  }
  // Whether this kernel takes metadata: on an older one that is refused.
  bool granted(EngineRun& run) {
    if (run->queues()[0].tx_offload.checksum) return true;
    EXPECT_EQ(run->queues()[0].refused.back().rung, "TX offload");
    return false;
  }
  // Sends so many, and expects each answer, in any order, with good sums.
  void expect_good_answers(std::uint32_t count, std::size_t pair = 0,
                           std::size_t size = 32) {
    Wire in = wire(Side::b);
    Wire out = wire(Side::b, pair);
    std::set<std::uint32_t> answered;
    for (std::uint32_t i = 0; i < count; ++i) {
      ASSERT_TRUE(in.send(datagram(i, size + i % 32)));
      if (i % 16 != 15 && i + 1 != count) continue;  // In bursts of 16.
      while (answered.size() <= i) {
        auto got = out.receive(10s, is_answer);
        ASSERT_TRUE(got) << answered.size() << " of " << i;
        EXPECT_TRUE(answered.insert(number_in(*got)).second) << "twice";
        const Layers layers = parse(*got);
        ASSERT_EQ(layers.checksum_state(), ChecksumState::good)
            << number_in(*got);
      }
    }
  }

  // What a handler was told, from its thread.
  struct Log {
    std::mutex mutex;
    std::vector<Transmitted> told;
    void clear() {
      const std::lock_guard lock(mutex);
      told.clear();
    }
    std::vector<Transmitted> all() {
      const std::lock_guard lock(mutex);
      return told;
    }
  };
  static Log& log() {
    static Log log;
    return log;
  }
};

// Reflects; every second packet leaves its checksum to who sends it.
struct Mixed : TxOffloadTest {
  struct Handler {
    explicit Handler(Core& core) : out(core.port(core.port_count() - 1)) {}
    void operator()(Packet packet, Core&) noexcept {
      const Layers layers = parse(packet);
      layers.reverse();
      if (++count % 2 == 0) return out.send(std::move(packet));
      const auto left = layers.leave_checksum();
      out.send(std::move(packet), {.checksum = left});
    }
    Outlet out;
    std::uint64_t count = 0;
  };
};

TEST_F(Mixed, ChecksumsAreGoodAtThePeer) {
  EngineRun run(lab(), options());
  ASSERT_TRUE(run.start<Handler>());
  (void)granted(run);  // Good anyhow.
  expect_good_answers(320);
  EXPECT_EQ(sum(run.stop(), &QueueStats::tx_packets), 320U);
}

TEST_F(Mixed, AndOutOfAnotherPort) {
  EngineOptions two = options();
  two.ports.push_back({"out", mine(1).interface});
  EngineRun run(lab(), std::move(two));
  ASSERT_TRUE(run.start<Handler>());
  expect_good_answers(320, 1);
  run.stop();
}

TEST_F(Mixed, AndWhereNobodyOffersAnything) {
  EngineOptions masked = options();
  masked.masked.tx_metadata = true;
  for (EngineOptions each : {masked, options(false)}) {
    const bool asked = each.tx_offload;
    EngineRun run(lab(), std::move(each));
    ASSERT_TRUE(run.start<Handler>());
    EXPECT_EQ(run->queues()[0].tx_offload, TxOffload{});
    const auto& refused = run->queues()[0].refused;
    EXPECT_EQ(std::ranges::count(refused, "TX offload", &Refused::rung),
              asked ? 1 : 0);
    expect_good_answers(64);
    run.stop();
  }
}

// A datagram of several frames.
class LargeTxOffloadTest : public Mixed {
 protected:
  VethOptions wanted() const override {
    return {.queues = 1, .mtu = 9000, .pairs = 2};
  }
};

TEST_F(LargeTxOffloadTest, AChainIsSummedToItsEnd) {
  // The peer's checksums must be the sender's alone.
  struct Summing {
    void operator()(Packet packet, Core& core) noexcept {
      EXPECT_GT(packet.segments().size(), 1U);
      // parse() sees the first segment: the offsets are of this test's packets.
      auto* eth = packet.header<Ethernet>();
      auto* ip = packet.header<Ipv4>(14);
      auto* udp = packet.header<Udp>(34);
      eth->swap_addresses();
      ip->swap_addresses();
      udp->swap_ports();
      udp->checksum = pseudo_header_sum(ip->source, ip->destination,
                                        Protocol::udp, udp->length)
                          .folded();
      core.reply(std::move(packet), {.checksum = TxChecksum{34, 6}});
    }
  };
  for (const bool offload : {true, false}) {
    EngineRun run(lab(), options(offload));
    ASSERT_TRUE(run.start<Summing>());
    expect_good_answers(32, 0, 5000);
    run.stop();
  }
}

// Numbers each answer, and keeps what it is told.
struct Timed : TxOffloadTest {
  struct Handler {
    void operator()(Packet packet, Core& core) noexcept {
      const Layers layers = parse(packet);
      layers.reverse();
      TxRequest request;
      if (++count % 4 != 0) request.timestamp = number_in(packet.bytes());
      core.reply(std::move(packet), request);
    }
    void transmitted(const Transmitted& each) noexcept {
      const std::lock_guard lock(log().mutex);
      log().told.push_back(each);
    }
    std::uint64_t count = 0;
  };
  static std::uint64_t tai_now() {
    timespec now{};
    EXPECT_EQ(::clock_gettime(CLOCK_TAI, &now), 0);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(now.tv_nsec);
  }
};

TEST_F(Timed, EachPacketThatAsksIsToldWhenItLeftAndNoOther) {
  constexpr std::uint32_t kCount = 320;
  const std::uint64_t before = tai_now();
  EngineRun run(lab(), options());
  ASSERT_TRUE(run.start<Handler>());
  if (!granted(run)) GTEST_SKIP() << "This kernel takes no TX metadata.";
  EXPECT_EQ(run->queues()[0].tx_offload.timestamp, Timestamp::Clock::tai);
  expect_good_answers(kCount);
  ASSERT_TRUE(
      run.until(10s, [] { return log().all().size() >= kCount * 3 / 4; }));
  run.stop();
  const std::uint64_t after = tai_now();
  std::set<std::uint64_t> numbers;
  for (const Transmitted& each : log().all()) {
    EXPECT_TRUE(numbers.insert(each.number).second) << "told twice";
    EXPECT_LT(each.number, kCount);
    ASSERT_TRUE(each.time);
    EXPECT_EQ(each.time->clock, Timestamp::Clock::tai);
    EXPECT_GE(each.time->ns, before);
    EXPECT_LE(each.time->ns, after);
  }
  EXPECT_EQ(numbers.size(), kCount * 3 / 4);
}

TEST_F(Timed, ALoneOneIsToldWithoutAnotherPacket) {
  EngineRun run(lab(), options());
  ASSERT_TRUE(run.start<Handler>());
  if (!granted(run)) GTEST_SKIP() << "This kernel takes no TX metadata.";
  Wire b = wire(Side::b);
  ASSERT_TRUE(b.send(datagram(5)));
  ASSERT_TRUE(run.until(10s, [] { return log().all().size() == 1; }));
  EXPECT_EQ(log().all()[0].number, 5U);
  run.stop();
}

TEST_F(Timed, TheEndIsToldOfWhatLeavesLast) {
  EngineRun run(lab(), options());
  ASSERT_TRUE(run.start<Handler>());
  if (!granted(run)) GTEST_SKIP() << "This kernel takes no TX metadata.";
  Wire b = wire(Side::b);
  for (std::uint32_t i = 0; i < 3; ++i) ASSERT_TRUE(b.send(datagram(i)));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(b.receive(10s, is_answer));
  run.stop();
  EXPECT_EQ(log().all().size(), 3U);
}

// The program, its first lines and what it tells others.
TEST_F(TxOffloadTest, TheProgramSaysWhatWasGrantedAndWhatWasNot) {
  for (const bool masked : {false, true}) {
    Words flags = {"--handler", "reflect", "--steer", "udp and dst port 7",
                   "--tx-offload"};
    if (masked) flags.insert(flags.end(), {"--without", "tx-metadata"});
    Process process = sluice_run(flags);
    ASSERT_TRUE(process.wait_for("rule: ", 20s)) << process.err();
    const std::string lines = process.out();
    const bool old = lines.find("not TX offload: This kernel") != lines.npos;
    if (masked) {
      EXPECT_NE(lines.find("not TX offload: It was masked."), lines.npos);
    } else if (!old) {
      EXPECT_NE(lines.find(", tx offload checksum timestamp(tai)\n"),
                lines.npos)
          << lines;
      EXPECT_NE(lines.find("not TX launch time: The driver holds no packet"),
                lines.npos)
          << lines;
      Process status = sluice({"status"});
      EXPECT_EQ(status.wait(10s), 0);
      EXPECT_NE(status.out().find("tx offload checksum timestamp(tai)"),
                std::string::npos)
          << status.out();
    }
    expect_answered(mine().ipv4, 7, 200);
    process.signal(SIGINT);
    EXPECT_EQ(process.wait(10s), 0) << process.err();
  }
}

TEST_F(TxOffloadTest, ItIsInTheJsonAlsoWhereNobodyAsked) {
  for (const bool asked : {false, true}) {
    Words flags = {"--handler", "reflect", "--steer", "udp and dst port 7"};
    if (asked) flags.emplace_back("--tx-offload");
    Running run = this->run(flags);
    ASSERT_TRUE(run.up());
    const Json offload = run.started().at("queues").at(0).at("tx_offload");
    EXPECT_EQ(offload.at("launch_time"), false);
    if (!asked) {
      EXPECT_EQ(offload.at("checksum"), false);
      EXPECT_EQ(offload.at("timestamp"), "off");
    }
    run.stop();
  }
}

}  // namespace
}  // namespace sluice::testing
