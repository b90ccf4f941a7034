// SPDX-License-Identifier: Apache-2.0
// Busy polling on a veth pair: the kernel takes the sockets' options, veth has
// no NAPI to poll, and the interface's settings are put back.
#include <sys/socket.h>

#include <sluice/socket.hpp>
#include <sluice/umem.hpp>

#include "veth_test.hpp"

namespace sluice::testing {
namespace {

class BusyPollTest : public VethTest {
 protected:
  // A command at side a, with the /sys of its network namespace.
  Process in_its_sys(const std::string& command) {
    return spawn(Side::a, {"unshare", "--mount", "sh", "-c",
                           "mount -t sysfs sysfs /sys && " + command});
  }
  Process prepared_run(const std::string& flags) {
    return in_its_sys("exec " + std::string(SLUICE_PROGRAM) + " run -i " +
                      mine().interface + " --handler reflect --steer " +
                      "'udp and dst port 7' " + flags);
  }
  // "2 200000": what defers the interrupts of side a.
  std::string deferral() {
    Process cat = in_its_sys("cd /sys/class/net/" + mine().interface +
                             " && echo $(cat napi_defer_hard_irqs "
                             "gro_flush_timeout)");
    EXPECT_EQ(cat.wait(20s), 0) << cat.err();
    return cat.out();
  }
  Process started(const std::string& flags) {
    Process process = prepared_run(flags);
    EXPECT_TRUE(process.wait_for("event: ", 20s)) << process.err();
    return process;
  }
  static int option(const Socket& socket, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    EXPECT_EQ(::getsockopt(socket.fd(), SOL_SOCKET, name, &value, &length), 0);
    return value;
  }
};

// The kernel has no way to ask for the budget.
TEST_F(BusyPollTest, TheSocketHasItsOptions) {
  auto umem = Umem::create({.frames = 1024});
  ASSERT_TRUE(umem) << umem.error().message();
  for (const std::uint32_t budget : {0U, 64U, 65535U}) {
    auto socket = lab().in(Side::a, [&] {
      return Socket::open({.interface = mine().interface,
                           .ring_size = 256,
                           .busy_poll = budget},
                          *umem);
    });
    ASSERT_TRUE(socket) << socket.error().message();
    EXPECT_EQ(option(*socket, SO_PREFER_BUSY_POLL), budget > 0 ? 1 : 0);
    EXPECT_EQ(option(*socket, SO_BUSY_POLL) > 0, budget > 0);
    EXPECT_EQ(socket->napi_id(), 0U);
  }
}

TEST_F(BusyPollTest, WithoutANapiItIsSaidAndPacketsFlow) {
  for (const char* wait : {"--spin", "--without=io_uring", "--batch=64"}) {
    Running own = run({"--handler", "reflect", "--steer", "udp and dst port 7",
                       "--busy-poll", wait});
    ASSERT_TRUE(own.up());
    for (const Json& queue : own.started().at("queues")) {
      EXPECT_EQ(queue.at("busy_poll"), 64);
      EXPECT_EQ(queue.at("napi_id"), 0);
      ASSERT_EQ(queue.at("refused").size(), 2U) << queue;
      EXPECT_EQ(queue.at("refused").at(1).at("rung"), "busy polling");
    }
    expect_answered(mine().ipv4, 7, 2000);
    own.stop();
    expect_nothing_left();
  }
}

TEST_F(BusyPollTest, TheFirstLinesAndStatusSayIt) {
  Process process = sluice_run({"--busy-poll=32", "--steer", "udp"});
  ASSERT_TRUE(process.wait_for("rule: ", 20s)) << process.err();
  for (const char* said :
       {", busy poll without a NAPI\n",
        "  not busy polling: The queue has no NAPI id, so its interrupts go on "
        "as before"}) {
    EXPECT_NE(process.out().find(said), std::string::npos) << process.out();
  }
  Process status = sluice({"status"});
  EXPECT_EQ(status.wait(20s), 0) << status.err();
  EXPECT_NE(status.out().find(", busy poll without a NAPI\n"),
            std::string::npos)
      << status.out();
  process.signal(SIGINT);
  EXPECT_EQ(process.wait(10s), 0) << process.err();
}

TEST_F(BusyPollTest, WithoutTheFlagNothingIsSaidOrSet) {
  Running own = run({"--steer", "udp"});
  ASSERT_TRUE(own.up());
  EXPECT_EQ(own.started().at("queues").at(0).at("busy_poll"), 0);
  EXPECT_EQ(deferral(), "0 0\n");
  own.stop();
}

// /sys is that of whoever runs the tests.
TEST_F(BusyPollTest, ASysOfAnotherNamespaceIsNotWrittenTo) {
  Process process = sluice_run({"--busy-poll", "--steer", "udp"});
  ASSERT_TRUE(process.wait_for("event: ", 20s)) << process.err();
  EXPECT_NE(process.out().find("shows another network namespace"),
            std::string::npos)
      << process.out();
  EXPECT_EQ(deferral(), "0 0\n");
  process.signal(SIGINT);
  EXPECT_EQ(process.wait(10s), 0) << process.err();
}

TEST_F(BusyPollTest, TheInterfaceIsPutBackAtTheEnd) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    Process process = started("--busy-poll");
    EXPECT_EQ(deferral(), "2 200000\n");
    process.signal(number);
    EXPECT_EQ(process.wait(10s), 0) << process.err();
    EXPECT_EQ(deferral(), "0 0\n");
  }
}

TEST_F(BusyPollTest, WhatIsMadeAnewIsPreparedAgainAndPutBack) {
  Process process = started("--busy-poll");
  const auto ip = [&](const std::string& arguments) {
    auto done = lab().ip(Side::a, arguments);
    ASSERT_TRUE(done) << done.error().message();
  };
  const std::string name = mine().interface;
  ip("link del dev " + name);
  ASSERT_TRUE(process.wait_for("the interface is gone", 20s));
  ip("link add name " + name +
     " numrxqueues 2 numtxqueues 2 type veth peer name far0");
  ip("link set dev " + name + " up");
  ASSERT_TRUE(process.wait_for("the interface is back, and bound", 20s))
      << process.out();
  EXPECT_EQ(deferral(), "2 200000\n");
  process.signal(SIGINT);
  EXPECT_EQ(process.wait(10s), 0) << process.err();
  EXPECT_EQ(deferral(), "0 0\n");
  expect_nothing_left();
}

TEST_F(BusyPollTest, WhatAKilledRunLeftIsPutBackByTheNext) {
  Process killed = started("--busy-poll");
  killed.signal(SIGKILL);
  (void)killed.wait(10s);
  EXPECT_EQ(deferral(), "2 200000\n");
  Process next = prepared_run("--busy-poll --duration 0.1");
  EXPECT_EQ(next.wait(20s), 0) << next.err();
  EXPECT_EQ(deferral(), "0 0\n");

  Process again = started("--busy-poll");
  again.signal(SIGKILL);
  (void)again.wait(10s);
  Process restore = in_its_sys("exec " + std::string(SLUICE_PROGRAM) +
                               " doctor --restore -i " + mine().interface);
  EXPECT_EQ(restore.wait(20s), 0) << restore.err();
  EXPECT_EQ(deferral(), "0 0\n");
  expect_nothing_left();
}

TEST_F(BusyPollTest, WhatWasSetBeforeIsLeftAsItIs) {
  Process set = in_its_sys("cd /sys/class/net/" + mine().interface +
                           " && echo 7 > napi_defer_hard_irqs");
  ASSERT_EQ(set.wait(20s), 0) << set.err();
  Process process = started("--busy-poll");
  EXPECT_EQ(deferral(), "7 200000\n");
  process.signal(SIGINT);
  EXPECT_EQ(process.wait(10s), 0) << process.err();
  EXPECT_EQ(deferral(), "7 0\n");
}

TEST_F(BusyPollTest, TheDoctorFindsInterruptsThatAreNotHeldBack) {
  const auto doctor = [&](const std::string& flags) {
    Process process =
        in_its_sys("exec " + std::string(SLUICE_PROGRAM) + " doctor -i " +
                   mine().interface + " " + flags);
    (void)process.wait(20s);
    return process.out();
  };
  EXPECT_EQ(doctor("").find("busy-poll"), std::string::npos);
  EXPECT_NE(doctor("--busy-poll").find("warning busy-poll: "),
            std::string::npos);
  EXPECT_EQ(deferral(), "0 0\n");
  EXPECT_EQ(doctor("--busy-poll --fix=busy-poll").find("warning busy-poll"),
            std::string::npos);
  EXPECT_EQ(deferral(), "2 200000\n");
  (void)doctor("--restore");
  EXPECT_EQ(deferral(), "0 0\n");
}

TEST_F(BusyPollTest, AFileSaysWhatTheFlagSays) {
  for (const auto& [line, budget] : {std::pair{"busy-poll = true", 64},
                                     {"busy-poll = 16", 16},
                                     {"busy-poll = false", 0}}) {
    Process process = spawn(
        Side::a,
        {"sh", "-c",
         "echo '" + std::string(line) + "' | exec " + SLUICE_PROGRAM +
             " run --json --duration 0.1 --steer udp --config /dev/stdin -i " +
             mine().interface});
    EXPECT_EQ(process.wait(20s), 0) << process.err();
    const Json started = line_of(process.out(), "started");
    ASSERT_FALSE(started.is_null()) << process.out();
    EXPECT_EQ(started.at("queues").at(0).at("busy_poll"), budget) << line;
  }
}

TEST_F(BusyPollTest, ABudgetThatCannotBeIsRefused) {
  for (const char* flag : {"--busy-poll=65536", "--busy-poll=many"}) {
    Process process = sluice_run({flag});
    EXPECT_EQ(process.wait(20s), 2) << process.err();
  }
  EXPECT_EQ(deferral(), "0 0\n");
}

}  // namespace
}  // namespace sluice::testing
