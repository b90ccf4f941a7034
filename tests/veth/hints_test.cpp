// SPDX-License-Identifier: Apache-2.0
// What the NIC tells of a packet beside its bytes. A veth tells what Linux
// knows of the packet at the sender's end: its flow's hash, and a tag that was
// left to the hardware.
#include <sluice/services/reflect.hpp>

#include "foreign_program.hpp"
#include "veth_test.hpp"

namespace sluice::testing {
namespace {

constexpr std::size_t kPayload = 14 + 20 + 8;
constexpr std::uint16_t kControl = 5 << 13 | 7;  // Priority 5, VLAN 7.

// Answers with what is known of a packet.
struct Answer {
  std::uint32_t hash;
  std::uint16_t hash_type;
  std::uint16_t hashed;
  std::uint16_t protocol;
  std::uint16_t control;
};
struct Tell {
  explicit Tell(Core& core) : reflect(core) {}
  void operator()(Packet packet, Core& core) noexcept {
    const auto hash = packet.rx_hash();
    const auto tag = packet.vlan_tag().value_or(VlanTag{});
    const RxHash known = hash.value_or(RxHash{});
    const Answer answer{known.value, known.type,
                        static_cast<std::uint16_t>(hash ? 1 : 0), tag.protocol,
                        tag.control};
    if (packet.bytes().size() < kPayload + sizeof answer) return;
    std::memcpy(packet.bytes().data() + kPayload, &answer, sizeof answer);
    reflect(std::move(packet), core);
  }
  services::Reflect reflect;
};

class HintsTest : public VethTest {
 protected:
  VethOptions wanted() const override { return {.queues = 1}; }

  // The kernel has all of it, and says so (Linux 6.8).
  void SetUp() override {
    VethTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    const RxHints offered = lab().in(Side::a, [&] {
      return driver_rx_hints(Netdev::read(mine().interface)->index);
    });
    if (!offered.hash || !offered.vlan_tag) {
      GTEST_SKIP() << "veth of this kernel tells neither hash nor tag";
    }
  }
  EngineOptions options() {
    EngineOptions options;
    options.ports = {{"only", mine().interface}};
    options.rules = *Rules::parse("steer udp dst port 7\n");
    options.ring_size = 64;
    options.poller.batch = 16;
    options.rx_hints = true;
    return options;
  }
  static std::optional<Answer> ask(Wire& b, std::uint16_t flow = 4000) {
    const Bytes question = Frame()
                               .eth(kMacB, kMacA)
                               .ipv4("10.203.0.2", "10.203.0.1")
                               .udp(flow, 7)
                               .payload(64u);
    if (!b.send(question)) return {};
    const auto got = b.receive(5s, [&](std::span<const std::byte> packet) {
      return packet.size() == question.size() && packet[35] == std::byte{7};
    });
    if (!got) return {};
    Answer answer;
    std::memcpy(&answer, got->data() + kPayload, sizeof answer);
    return answer;
  }
  // What side b sends is tagged as long as this lives.
  Fd tag(std::uint16_t protocol) {
    Process ethtool =
        spawn(Side::b, {"ethtool", "-K", peer().interface, "txvlan", "on",
                        "tx-vlan-stag-hw-insert", "on"});
    EXPECT_EQ(ethtool.wait(10s), 0) << ethtool.err();
    Fd tagger = lab().in(Side::b, [&] {
      const auto device = Netdev::read(peer().interface);
      return attach_tagger(device ? device->index : 0, protocol, kControl);
    });
    EXPECT_TRUE(tagger) << std::strerror(errno);
    return tagger;
  }
  static std::string refused(const QueueGrant& grant, const std::string& rung) {
    for (const Refused& each : grant.refused) {
      if (each.rung == rung) return each.reason;
    }
    return "";
  }
  void expect_refused(EngineOptions engine, const std::string& reason) {
    EngineRun run(lab(), std::move(engine));
    ASSERT_TRUE(run.start<Tell>());
    const QueueGrant& grant = run->queues().front();
    EXPECT_FALSE(grant.rx_hints.hash || grant.rx_hints.vlan_tag);
    EXPECT_EQ(refused(grant, "RX hash"), reason);
    EXPECT_EQ(refused(grant, "RX VLAN tag"), reason);
    Wire b = wire(Side::b);
    const auto told = ask(b);
    ASSERT_TRUE(told);
    EXPECT_EQ(told->hashed, 0);
    EXPECT_EQ(told->protocol, 0);
    run.stop();
  }
};

TEST_F(HintsTest, TheHashIsTheFlows) {
  EngineRun run(lab(), options());
  ASSERT_TRUE(run.start<Tell>());
  const QueueGrant& grant = run->queues().front();
  EXPECT_EQ(grant.rx_hints, (RxHints{.hash = true, .vlan_tag = true}));
  EXPECT_EQ(refused(grant, "RX hash") + refused(grant, "RX VLAN tag"), "");
  EXPECT_EQ(grant.clock, std::nullopt) << "was not asked for";
  Wire b = wire(Side::b);
  std::vector<std::uint32_t> hashes;
  for (std::uint16_t flow = 4000; flow < 4008; ++flow) {
    const auto first = ask(b, flow);
    const auto second = ask(b, flow);
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->hashed, 1);
    EXPECT_EQ(first->hash_type, RxHash::kL4);
    EXPECT_EQ(first->hash, second->hash);
    EXPECT_EQ(first->protocol, 0) << "it had no tag";
    hashes.push_back(first->hash);
  }
  std::ranges::sort(hashes);
  const auto same = std::ranges::unique(hashes);
  EXPECT_GT(hashes.size() - same.size(), 4u) << "other flows, other hashes";
  run.stop();
}

TEST_F(HintsTest, ATagThatWasTakenOutIsTold) {
  EngineRun run(lab(), options());
  ASSERT_TRUE(run.start<Tell>());
  Wire b = wire(Side::b);
  Fd tagger = tag(0x8100);
  const auto told = ask(b);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->protocol, 0x8100);
  EXPECT_EQ(told->control, kControl);
  tagger.reset();
  const auto next = ask(b);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->protocol, 0) << "what the one before had";
  run.stop();
}

TEST_F(HintsTest, AServiceTagIsToldAsSuch) {
  EngineRun run(lab(), options());
  ASSERT_TRUE(run.start<Tell>());
  Wire b = wire(Side::b);
  const Fd tagger = tag(0x88a8);
  const auto told = ask(b);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->protocol, 0x88a8);
  EXPECT_EQ(told->control, kControl);
  run.stop();
}

TEST_F(HintsTest, NothingUnlessItIsAskedFor) {
  for (const bool timestamps : {false, true}) {
    EngineOptions engine = options();
    engine.rx_hints = false;
    engine.timestamps = timestamps;
    expect_refused(std::move(engine), "");
  }
}

TEST_F(HintsTest, GenericModeHasNone) {
  EngineOptions engine = options();
  engine.mode = Mode::generic;
  expect_refused(std::move(engine), "It takes the native mode.");
}

TEST_F(HintsTest, NewListsAreSteeredWithThem) {
  EngineRun run(lab(), options());
  ASSERT_TRUE(run.start<Tell>());
  const auto other = *Rules::parse("steer @other udp dst port 7\n");
  ASSERT_TRUE(lab().in(Side::a, [&] { return run->set_rules(other); }));
  Wire b = wire(Side::b);
  const auto told = ask(b);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->hashed, 1);
  run.stop();
}

TEST_F(HintsTest, ARunThatAdoptsGetsWhatWasAttachedFor) {
  const auto attach = [&](const char* flag, const char* value) {
    Process process =
        sluice({"attach", mine().interface, "--rx-hints", flag, value});
    EXPECT_TRUE(process.wait(10s));
    return process.out();
  };
  EXPECT_EQ(attach("--mode", "generic"), "");
  EXPECT_EQ(attach("--dispatcher", "--force"), "");
  ASSERT_FALSE(has_program());
  EXPECT_NE(attach("--mode", "native").find(", rx hints hash vlan-tag, "),
            std::string::npos);
  for (const bool asked : {false, true}) {
    Words flags = {"--handler", "reflect", "--steer", "udp and dst port 7"};
    if (asked) flags.push_back("--rx-hints");
    Running run = this->run(flags);
    ASSERT_TRUE(run.up());
    const Json& hints = run.started().at("queues").at(0).at("rx_hints");
    EXPECT_EQ(hints.at("hash"), asked);
    EXPECT_EQ(hints.at("vlan_tag"), asked);
    Process status = sluice({"status", "-i", mine().interface});
    EXPECT_EQ(status.wait(10s), 0) << status.err();
    EXPECT_EQ(status.out().find("rx hints") != std::string::npos, asked);
    expect_answered(mine().ipv4, 7, 10);
    run.stop();
  }
  EXPECT_EQ(sluice({"detach", mine().interface}).wait(10s), 0);
}

}  // namespace
}  // namespace sluice::testing
