// SPDX-License-Identifier: Apache-2.0
// The lab itself: two hosts, one cable, nothing left.
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "veth_test.hpp"

namespace sluice::testing {
namespace {

using LabTest = VethTest;

TEST_F(LabTest, HostsReachEachOtherByBothProtocols) {
  EXPECT_TRUE(ping(Side::b, mine().ipv4));
  const auto lost = lab().lost();  // As the link came up: IPv6 reports.
  EXPECT_TRUE(ping(Side::a, peer().ipv6));
  EXPECT_EQ(lab().lost(), lost);
}

TEST_F(LabTest, NamesAreShortAndNeverTheSame) {
  auto other = VethLab::open({.queues = 1, .pairs = 2});
  ASSERT_TRUE(other) << other.error().message();
  std::set<std::string> names = {mine().interface, peer().interface};
  for (const Side side : {Side::a, Side::b}) {
    for (const std::size_t pair : {0u, 1u}) {
      names.insert(other->end(side, pair).interface);
    }
  }
  EXPECT_EQ(names.size(), 6u);
  for (const auto& name : names) EXPECT_LE(name.size(), 15u) << name;
}

TEST_F(LabTest, InterfacesHaveTheQueuesAskedForAndCallersStayAtHome) {
  auto there =
      lab().in(Side::a, [&] { return Netdev::read(mine().interface); });
  ASSERT_TRUE(there) << there.error().message();
  EXPECT_EQ(there->rx_queues, 2u);
  EXPECT_EQ(there->tx_queues, 2u);
  EXPECT_EQ(there->driver, "veth");
  EXPECT_FALSE(Netdev::read(mine().interface)) << "it is not at home";
}

TEST_F(LabTest, WiresCarryEveryByteBothWays) {
  Wire a = wire(Side::a);
  Wire b = wire(Side::b);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1472}}) {
    const Bytes sent =
        Frame().eth().ipv4("10.9.9.9", "10.8.8.8").udp(1, 2).payload(size);
    const auto same = [&](std::span<const std::byte> got) {
      return std::ranges::equal(got, sent);
    };
    ASSERT_TRUE(a.send(sent));
    EXPECT_TRUE(b.receive(2s, same));
    ASSERT_TRUE(b.send(sent));
    EXPECT_TRUE(a.receive(2s, same));
  }
}

TEST_F(LabTest, WiresShowTagsWhereTheyWere) {
  Wire a = wire(Side::a);
  Wire b = wire(Side::b);
  const Bytes tagged =
      Frame().eth().vlan(7).ipv4("10.9.9.9", "10.8.8.8").udp(1, 2).payload("x");
  ASSERT_TRUE(a.send(tagged));
  EXPECT_TRUE(b.receive(2s, [&](std::span<const std::byte> got) {
    return std::ranges::equal(got, tagged);
  }));
}

TEST_F(LabTest, LinksGoDownAndUpAndAway) {
  ASSERT_TRUE(lab().set_link(Side::b, false));
  EXPECT_TRUE(lab().wait_for_link(Side::a, false));
  ASSERT_TRUE(lab().set_link(Side::b, true));
  EXPECT_TRUE(lab().wait_for_link(Side::a, true));
  EXPECT_TRUE(ping(Side::b, mine().ipv4, 1));
  ASSERT_TRUE(lab().remove());
  EXPECT_FALSE(
      lab().in(Side::a, [&] { return Netdev::read(mine().interface); }));
}

TEST_F(LabTest, ProcessesTellHowTheyEnded) {
  Process good = spawn(Side::a, {"sh", "-c", "echo out; echo err >&2"});
  EXPECT_EQ(good.wait(5s), 0);
  EXPECT_EQ(good.out(), "out\n");
  EXPECT_EQ(good.err(), "err\n");
  EXPECT_EQ(spawn(Side::a, {"sh", "-c", "exit 3"}).wait(5s), 3);
  EXPECT_EQ(spawn(Side::a, {"/no/such/program"}).wait(5s), 127);
  Process sleeper = spawn(Side::a, {"sleep", "100"});
  EXPECT_EQ(sleeper.wait(1ms), std::nullopt);
  ASSERT_TRUE(sleeper.signal(SIGTERM));
  EXPECT_EQ(sleeper.wait(5s), 128 + SIGTERM);
}

// The owner of a lab is killed: its children end with it.
TEST_F(LabTest, ChildrenDieWithTheirTest) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t owner = ::fork();
  ASSERT_GE(owner, 0);
  if (owner == 0) {
    auto child = Process::start({"sleep", "1000"});
    const int pid = child ? child->pid() : -1;
    (void)!::write(ends[1], &pid, sizeof pid);
    ::pause();
    ::_exit(0);
  }
  int pid = -1;
  ASSERT_EQ(::read(ends[0], &pid, sizeof pid), ssize_t{sizeof pid});
  ASSERT_GT(pid, 0);
  EXPECT_EQ(::kill(pid, 0), 0);
  ::kill(owner, SIGKILL);
  ::waitpid(owner, nullptr, 0);
  const auto gone = [&] {
    // Whoever adopted it may not have reaped it yet: a zombie runs no more.
    Process ps =
        spawn(Side::a, {"ps", "-o", "stat=", "-p", std::to_string(pid)});
    ps.wait(5s);
    return ps.out().empty() || ps.out().front() == 'Z';
  };
  const auto deadline = std::chrono::steady_clock::now() + 5s;
  while (!gone() && std::chrono::steady_clock::now() < deadline) continue;
  EXPECT_TRUE(gone());
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace sluice::testing
