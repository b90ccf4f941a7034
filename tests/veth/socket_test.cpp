// SPDX-License-Identifier: Apache-2.0
// Sockets and rings over the real kernel, with nothing above them: what it
// does to descriptors that are no good, to one socket of two, to the fiftieth.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <sluice/port.hpp>
#include <sluice/socket.hpp>
#include <sluice/umem.hpp>

#include "veth_test.hpp"

namespace sluice::testing {
namespace {

constexpr std::uint32_t kRing = 256;
constexpr std::uint32_t kFrameSize = 2048;

// One memory and a socket, a program and a port for each of the interfaces.
class Hand {
 public:
  static constexpr std::uint32_t kFrames = 4096;

  Hand(const VethLab& lab, std::size_t pairs, bool hand_over = false) {
    auto made = Umem::create({.frames = kFrames, .frame_size = kFrameSize});
    EXPECT_TRUE(made) << made.error().message();
    umem = std::move(*made);
    const std::uint32_t lent = kRing * static_cast<std::uint32_t>(pairs);
    lab.in(Side::a, [&] {
      for (std::size_t i = 0; i < pairs; ++i) open(lab, i);
    });
    if (hand_over) adopt();
    pool.emplace(umem->bytes(), kFrameSize, lent);
    for (std::size_t i = 0; i < sockets.size(); ++i) {
      ports.emplace_back(static_cast<std::uint8_t>(i), std::uint16_t{0},
                         sockets[i]->rings(), *pool, kRing, sockets[i]->lent());
    }
    core.emplace(0, 0, ports, std::vector<PortFacts>(pairs), *pool,
                 monotonic_now());
  }

  // The next packet on a port, if one comes in time.
  std::optional<Packet> receive(std::size_t i) {
    Port& port = ports.at(i);
    pollfd fd{sockets.at(i)->fd(), POLLIN, 0};
    while (port.receivable(1) == 0) {
      if (::poll(&fd, 1, 5000) <= 0) return std::nullopt;
    }
    const Arrivals arrivals = port.arrivals();
    const xdp_desc desc = port.received(1)[0].front();
    EXPECT_TRUE(arrivals.whole(desc, port.plain_options()));
    pool->hold(1);
    auto packet = arrivals.packet(desc);
    port.release(1, 1, desc.len);
    port.refill();
    return packet;
  }
  // Kicks until the kernel has taken all, and all has come back.
  bool transmit(std::size_t i) {
    Port& port = ports.at(i);
    port.submit();
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    while (port.untaken() > 0 || port.transmitting() > 0) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      if (port.untaken() > 0) kick(i);
      port.reclaim();
    }
    return true;
  }
  void kick(std::size_t i) {
    ::sendto(sockets.at(i)->fd(), nullptr, 0, MSG_DONTWAIT, nullptr, 0);
  }
  void close(std::size_t i) {
    programs.at(i).reset();
    sockets.at(i).reset();
  }
  // A packet of ours with these bytes.
  Packet packet(const Bytes& bytes) {
    auto packet = core->make_packet(static_cast<std::uint32_t>(bytes.size()));
    std::ranges::copy(bytes, packet.value().bytes().begin());
    return std::move(*packet);
  }

  std::optional<Umem> umem;
  std::vector<std::optional<Program>> programs;
  std::vector<std::optional<Socket>> sockets;
  std::optional<FramePool> pool;
  std::vector<Port> ports;
  std::optional<Core> core;

 private:
  // As if the descriptors had come from the process that made all this: what
  // it had mapped and opened is gone.
  void adopt() {
    auto memory = Umem::adopt(Fd(::dup(umem->fd())),
                              {.frames = kFrames, .frame_size = kFrameSize});
    ASSERT_TRUE(memory) << memory.error().message();
    umem = std::move(*memory);
    for (auto& each : sockets) {
      auto socket = Socket::adopt(Fd(::dup(each->fd())), {.ring_size = kRing},
                                  each->lent());
      ASSERT_TRUE(socket) << socket.error().message();
      each = std::move(*socket);
    }
  }
  void open(const VethLab& lab, std::size_t i) {
    const std::string& interface = lab.end(Side::a, i).interface;
    const Words expressions = {"udp"};
    auto program = Program::load({.rules = *Rules::steer(expressions)});
    ASSERT_TRUE(program) << program.error().message();
    const auto device = Netdev::read(interface);
    ASSERT_TRUE(device);
    ASSERT_TRUE(program->attach(device->index, AttachMode::native));
    auto socket = Socket::open({.interface = interface,
                                .ring_size = kRing,
                                .first_frame = i * kRing * kFrameSize},
                               *umem);
    ASSERT_TRUE(socket) << socket.error().message();
    ASSERT_TRUE(program->set_socket(0, socket->fd()));
    programs.emplace_back(std::move(*program));
    sockets.emplace_back(std::move(*socket));
  }
};

class SocketTest : public VethTest {
 protected:
  VethOptions wanted() const override { return {.queues = 1, .pairs = 2}; }

  static Bytes datagram(std::uint16_t number) {
    return Frame()
        .eth(kMacB, kMacA)
        .ipv4("10.7.0.2", "10.7.0.1")
        .udp(number, 7)
        .payload(std::size_t{64} + number % 900);
  }
  static bool is_ours(std::span<const std::byte> packet) {
    return packet.size() > 36 && packet[27] == std::byte{7};
  }
  // From the wire into port `in`, out of port `out`, byte by byte.
  void expect_forwarded(Hand& hand, std::size_t in, std::size_t out,
                        int count) {
    Wire from = wire(Side::b, in);
    Wire to = wire(Side::b, out);
    for (int i = 0; i < count; ++i) {
      const Bytes sent = datagram(static_cast<std::uint16_t>(i));
      ASSERT_TRUE(from.send(sent));
      auto packet = hand.receive(in);
      ASSERT_TRUE(packet) << i;
      const auto addr = static_cast<std::uint64_t>(packet->bytes().data() -
                                                   hand.umem->bytes().data());
      ASSERT_TRUE(hand.ports[out].send(*packet));
      ASSERT_TRUE(hand.transmit(out)) << i;
      const auto got = to.receive(5s, is_ours);
      ASSERT_TRUE(got) << i;
      ASSERT_EQ(*got, sent) << i;
      // It left from where it came to lie: only the descriptor moved.
      const auto& tx = hand.sockets[out]->rings().tx;
      ASSERT_EQ(tx.slots[(*tx.producer - 1) % tx.slots.size()].addr, addr);
    }
  }
};

TEST_F(SocketTest, TwoSocketsOnOneMemoryForwardWithoutCopying) {
  Hand hand(lab(), 2);
  expect_forwarded(hand, 0, 1, 600);
  expect_forwarded(hand, 1, 0, 600);
  expect_balanced(hand.core->ledger());
}

TEST_F(SocketTest, AdoptedSocketsAndMemoryWorkAsTheirMakersDid) {
  Hand hand(lab(), 2, true);
  expect_forwarded(hand, 0, 1, 600);
  expect_forwarded(hand, 1, 0, 600);
  expect_balanced(hand.core->ledger());
}

TEST_F(SocketTest, OneSocketClosesAndTheOtherGoesOn) {
  Hand hand(lab(), 2);
  expect_forwarded(hand, 0, 1, 10);
  hand.close(0);
  expect_forwarded(hand, 1, 1, 1000);
  expect_balanced(hand.core->ledger());
}

TEST_F(SocketTest, OneInterfaceIsDeletedAndTheOtherGoesOn) {
  Hand hand(lab(), 2);
  expect_forwarded(hand, 1, 0, 10);
  ASSERT_TRUE(lab().remove(0));
  expect_forwarded(hand, 1, 1, 1000);
  expect_balanced(hand.core->ledger());
}

TEST_F(SocketTest, QueueIsBoundFiftyTimesInOneProcess) {
  for (int i = 0; i < 50; ++i) {
    Hand hand(lab(), 1);
    ASSERT_FALSE(HasFailure()) << i;
    expect_forwarded(hand, 0, 0, 3);
    expect_balanced(hand.core->ledger());
    ASSERT_FALSE(HasFailure()) << i;
  }
}

TEST_F(SocketTest, SecondSocketOnAQueueIsRefusedByName) {
  Hand hand(lab(), 1);
  const auto second = lab().in(Side::a, [&] {
    return Socket::open({.interface = mine().interface, .ring_size = kRing},
                        *hand.umem);
  });
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EBUSY);
  EXPECT_NE(second.error().message().find(mine().interface + " queue 0"),
            std::string::npos);
}

// The kernel consumes what is no good, stops behind it, and completes it with
// the address it had: even one outside of the memory.
TEST_F(SocketTest, InvalidDescriptorsAmongValidOnesHarmNobody) {
  Hand hand(lab(), 1);
  Wire b = wire(Side::b);
  for (std::uint16_t i = 0; i < 9; ++i) {
    Packet packet = hand.packet(datagram(i));
    ASSERT_TRUE(hand.ports[0].send(packet));
  }
  hand.ports[0].submit();
  const auto tx = hand.sockets[0]->rings().tx;
  for (const std::size_t i : {1u, 4u, 7u}) {
    tx.slots[i].addr = std::uint64_t{Hand::kFrames + i} * kFrameSize;
  }
  ASSERT_TRUE(hand.transmit(0));
  for (std::uint16_t i = 0; i < 9; ++i) {
    if (i % 3 == 1) continue;
    const auto got = b.receive(5s, is_ours);
    ASSERT_TRUE(got) << i;
    EXPECT_EQ(*got, datagram(i)) << i;
  }
  const auto statistics = hand.sockets[0]->statistics();
  ASSERT_TRUE(statistics);
  EXPECT_EQ(statistics->tx_invalid, 3u);
  EXPECT_EQ(hand.ports[0].counters().astray.value(), 3u);
  expect_forwarded(hand, 0, 0, 100);
  expect_balanced(hand.core->ledger());
}

// Whoever writes into COMPLETION, an address is checked before it is followed.
TEST_F(SocketTest, CompletionsOutOfRangeAreCountedAndNotFollowed) {
  Hand hand(lab(), 1);
  const auto before = hand.pool->available();
  Packet packet = hand.packet(datagram(1));
  ASSERT_TRUE(hand.ports[0].send(packet));
  hand.ports[0].submit();
  const auto completion = hand.sockets[0]->rings().completion;
  const std::atomic_ref<std::uint32_t> producer(*completion.producer);
  const auto deadline = std::chrono::steady_clock::now() + 5s;
  while (producer == 0 && std::chrono::steady_clock::now() < deadline) {
    hand.kick(0);
  }
  ASSERT_EQ(producer, 1u);
  completion.slots[0] = ~std::uint64_t{0};
  EXPECT_EQ(hand.ports[0].reclaim(), 1u);
  EXPECT_EQ(hand.ports[0].counters().astray.value(), 1u);
  EXPECT_EQ(hand.pool->available(), before - 1);
  expect_balanced(hand.core->ledger());
  expect_forwarded(hand, 0, 0, 100);
  expect_balanced(hand.core->ledger());
}

}  // namespace
}  // namespace sluice::testing
