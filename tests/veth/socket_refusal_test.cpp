// SPDX-License-Identifier: Apache-2.0
// Sockets that can't be had: each refusal of the kernel names the call, what it
// was called with and, where there is one, the remedy.
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sluice/socket.hpp>
#include <sluice/umem.hpp>
#include <thread>

#include "veth_test.hpp"

namespace sluice::testing {
namespace {

// This thread is without a capability for as long as it lives.
class Without {
 public:
  explicit Without(int capability) {
    EXPECT_EQ(::syscall(SYS_capget, &header_, before_), 0);
    __user_cap_data_struct less[2] = {before_[0], before_[1]};
    less[CAP_TO_INDEX(capability)].effective &= ~CAP_TO_MASK(capability);
    EXPECT_EQ(::syscall(SYS_capset, &header_, less), 0);
  }
  Without(const Without&) = delete;
  Without& operator=(const Without&) = delete;
  ~Without() { EXPECT_EQ(::syscall(SYS_capset, &header_, before_), 0); }

 private:
  __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct before_[2]{};
};

class SocketRefusalTest : public VethTest {
 protected:
  void SetUp() override {
    VethTest::SetUp();
    if (IsSkipped()) return;
    auto made = Umem::create({.frames = 1024});
    ASSERT_TRUE(made) << made.error().message();
    umem_.emplace(std::move(*made));
  }
  [[nodiscard]] SocketOptions options() {
    return {.interface = mine().interface, .ring_size = 256};
  }
  [[nodiscard]] const Umem& umem() const { return *umem_; }
  void expect_refused(const SocketOptions& options, int code,
                      const Words& said) {
    const auto socket =
        lab().in(Side::a, [&] { return Socket::open(options, umem()); });
    ASSERT_FALSE(socket);
    EXPECT_EQ(socket.error().code, code) << socket.error().message();
    for (const std::string& each : said) {
      EXPECT_NE(socket.error().message().find(each), std::string::npos)
          << "\"" << each << "\" is not in: " << socket.error().message();
    }
  }

 private:
  std::optional<Umem> umem_;
};

TEST_F(SocketRefusalTest, RingSizes) {
  SocketOptions wrong = options();
  wrong.ring_size = 1000;
  expect_refused(wrong, EINVAL, {"1000", "power of two"});
  wrong.ring_size = 1U << 31;  // FILL would have twice that.
  expect_refused(wrong, EINVAL, {mine().interface + " queue 0"});
}

TEST_F(SocketRefusalTest, WithoutTheCapabilityOfRawSockets) {
  const Without raw(CAP_NET_RAW);
  expect_refused(options(), EPERM, {"socket(AF_XDP)", "as root"});
}

TEST_F(SocketRefusalTest, BusyPollingWithoutTheCapabilityForIt) {
  const Without admin(CAP_NET_ADMIN);
  SocketOptions busy = options();
  busy.busy_poll = 64;
  expect_refused(
      busy, EPERM,
      {"SO_PREFER_BUSY_POLL", mine().interface + " queue 0", "CAP_NET_ADMIN"});
}

TEST_F(SocketRefusalTest, ABusyPollBudgetThatIsTooLarge) {
  SocketOptions busy = options();
  busy.busy_poll = 65536;
  expect_refused(busy, EINVAL, {"SO_BUSY_POLL_BUDGET", "65536", "1 to 65535"});
}

TEST_F(SocketRefusalTest, MemoryThatMayNotBeLocked) {
  const Without lock(CAP_IPC_LOCK);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_MEMLOCK, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_MEMLOCK, &none), 0);
  expect_refused(options(), ENOBUFS, {"2048 KiB", "CAP_IPC_LOCK", "ulimit -l"});
  ASSERT_EQ(::setrlimit(RLIMIT_MEMLOCK, &before), 0);
}

TEST_F(SocketRefusalTest, InterfaceThatIsNotThere) {
  SocketOptions wrong = options();
  wrong.interface = "nope0";
  expect_refused(wrong, ENODEV, {"nope0", "ip link"});
}

// Its queue is busy, so that bind(2) is tried again until it has gone.
TEST_F(SocketRefusalTest, InterfaceThatGoesAway) {
  const auto first =
      lab().in(Side::a, [&] { return Socket::open(options(), umem()); });
  ASSERT_TRUE(first) << first.error().message();
  std::thread remover([this] {
    std::this_thread::sleep_for(200ms);
    EXPECT_TRUE(lab().remove());
  });
  expect_refused(options(), ENODEV, {mine().interface, "ip link"});
  remover.join();
}

TEST_F(SocketRefusalTest, QueueThatIsNotThere) {
  SocketOptions wrong = options();
  wrong.queue = 99;
  expect_refused(wrong, EINVAL, {"queue 99", "no such queue"});
  wrong.zero_copy = true;
  expect_refused(wrong, EINVAL, {"queue 99", "no such queue"});
}

TEST_F(SocketRefusalTest, ZeroCopyOfADriverThatHasNone) {
  SocketOptions wrong = options();
  wrong.zero_copy = true;
  expect_refused(wrong, EOPNOTSUPP, {"queue 0", "no zero-copy"});
}

TEST_F(SocketRefusalTest, MoreFdsThanTheProcessMayHave) {
  lab().in(Side::a, [&] {
    const int next = ::dup(STDIN_FILENO);  // The lowest that is free.
    ::close(next);
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit none{static_cast<rlim_t>(next), before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    const auto socket = Socket::open(options(), umem());
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    ASSERT_FALSE(socket);
    EXPECT_EQ(socket.error().code, EMFILE);
  });
}

TEST_F(SocketRefusalTest, StatisticsOfWhatIsNoLongerASocket) {
  auto socket =
      lab().in(Side::a, [&] { return Socket::open(options(), umem()); });
  ASSERT_TRUE(socket) << socket.error().message();
  EXPECT_FALSE(socket->zero_copy());
  ASSERT_TRUE(socket->statistics());
  ASSERT_EQ(::dup2(STDIN_FILENO, socket->fd()), socket->fd());
  const auto statistics = socket->statistics();
  ASSERT_FALSE(statistics);
  EXPECT_NE(statistics.error().message().find("XDP_STATISTICS"),
            std::string::npos);
}

TEST_F(SocketRefusalTest, AnFdThatIsNoXdpSocketIsNotAdopted) {
  const auto socket = Socket::adopt(
      Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), options(), 256);
  ASSERT_FALSE(socket);
  EXPECT_NE(socket.error().message().find("XDP_MMAP_OFFSETS"),
            std::string::npos);
}

}  // namespace
}  // namespace sluice::testing
