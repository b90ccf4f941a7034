// SPDX-License-Identifier: Apache-2.0
// What handlers ask of the NIC as they send, where there is none: captures.
#include <sluice/parse.hpp>
#include <sluice/testing/replay.hpp>

#include "run_pcap.hpp"

namespace sluice::testing {
namespace {

// Asks for everything, and notes what it was granted and told.
struct AsksForAll {
  explicit AsksForAll(Core& core)
      : offload(core.port(std::size_t{0}).offload()) {}
  void operator()(Packet packet, Core& core) noexcept {
    const Layers layers = parse(packet);
    layers.reverse();
    TxRequest request;
    request.checksum = layers.leave_checksum();
    request.timestamp = ++asked;
    request.launch_time = static_cast<std::uint64_t>(core.now().ns) + kLater;
    core.reply(std::move(packet), request);
  }
  void transmitted(const Transmitted& /*told*/) noexcept { ++told; }
  void report(Report& report) const {
    report.add("asked", asked);
    report.add("told", told);
    report.add("granted", offload == TxOffload{} ? 0 : 1);
  }
  static constexpr std::uint64_t kLater = 1'000'000'000;
  TxOffload offload;
  std::uint64_t asked = 0, told = 0;
};

TEST(PcapOffload, ChecksumsAreCompletedAndTheRestIsLeftOut) {
  for (const bool offload : {true, false}) {
    SCOPED_TRACE(offload);
    std::vector<Arrival> arrivals;
    for (std::uint16_t i = 0; i < 100; ++i) {
      arrivals.emplace_back(question(i, i), Duration(i * 1ms));
    }
    const auto run = replay<AsksForAll>(arrivals, {}, {.tx_offload = offload});
    ASSERT_TRUE(run) << run.error().message();
    EXPECT_TRUE(run->stats.ledger().balanced());
    EXPECT_EQ(run->reported("granted"), 0u);
    EXPECT_EQ(run->reported("asked"), 100u);
    EXPECT_EQ(run->reported("told"), 0u) << "nobody knows when it left";
    ASSERT_EQ(run->sent.size(), 100u);
    for (std::uint16_t i = 0; i < 100; ++i) {
      EXPECT_EQ(run->sent[i].bytes, answer(i, i)) << i;
      EXPECT_EQ(run->sent[i].time, Time{} + Duration(i * 1ms))
          << "a packet of a capture leaves at once";
    }
  }
}

// Puts as many bytes in front of each packet as there is room for.
struct Prepends {
  void operator()(Packet packet, Core&) noexcept {
    while (packet.prepend(8)) room += 8;
  }
  void report(Report& report) const { report.add("room", room); }
  std::uint64_t room = 0;
};

TEST(PcapOffload, TheRoomOfARequestIsTakenAsOnANic) {
  for (const bool offload : {true, false}) {
    const auto run =
        replay<Prepends>({Arrival(question(1))}, {}, {.tx_offload = offload});
    ASSERT_TRUE(run) << run.error().message();
    EXPECT_TRUE(run->stats.ledger().balanced());
    EXPECT_EQ(run->reported("room"), offload ? 232u : 256u);
  }
}

TEST_F(RunTest, ACaptureOffersNothingAndThatIsSaid) {
  const std::string in = questions("in.pcap", 3);
  const Words flags = {"--port", "p=pcap:" + in, "--handler", "reflect",
                       "--tx-offload"};
  const Ended text = run(flags, false);
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("not TX offload: A capture has no NIC: the "
                                  "CPU completes checksums."));
  EXPECT_THAT(text.out, Not(HasSubstr(", tx offload")));
  const Json queue = run(flags).line("started").at("queues").at(0);
  EXPECT_EQ(queue.at("tx_offload").at("checksum"), false) << queue;
  EXPECT_EQ(queue.at("refused").at(0).at("rung"), "TX offload") << queue;
}

}  // namespace
}  // namespace sluice::testing
