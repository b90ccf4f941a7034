// SPDX-License-Identifier: Apache-2.0
// The traits of the kernel, shown by the kernel: a socket in copy mode on a
// veth pair of its own.
#include <sys/socket.h>

#include <atomic>
#include <sluice/linux_kernel.hpp>
#include <sluice/netdev.hpp>
#include <sluice/program.hpp>
#include <sluice/socket.hpp>
#include <sluice/umem.hpp>
#include <sstream>
#include <thread>

#include "kernel_traits.hpp"
#include "kernel_traits_offload.hpp"
#include "kernel_traits_rx.hpp"
#include "kernel_traits_tx.hpp"

namespace sluice::testing {
namespace {

// Behind all that was sent before it, so that nothing is waited for in vain.
constexpr std::uint16_t kFenceType = 0x88b6;

bool is_of(std::span<const std::byte> packet, std::uint16_t type) {
  return packet.size() >= 14 && packet[12] == std::byte(type >> 8) &&
         packet[13] == std::byte(type & 0xff);
}

class VethSide : public KernelSide {
 public:
  static Result<std::unique_ptr<KernelSide>> make(const SideOptions& options) {
    auto side = std::unique_ptr<VethSide>(new VethSide);
    // Larger than a frame; veth's limit without multi-buffer is about 3500.
    auto lab = VethLab::open({.queues = 1,
                              .mtu = options.multi_buffer ? 40000U : 3000U,
                              .pairs = 2});
    if (!lab) return lab.error();
    side->lab_.emplace(std::move(*lab));
    if (auto opened = side->open(options); !opened) return opened.error();
    return std::unique_ptr<KernelSide>(std::move(side));
  }
  ~VethSide() override {
    if (later_.joinable()) later_.join();
  }

  Kernel& kernel() override { return *kernel_; }
  PortRings rings() override { return socket_->rings(); }
  std::span<std::byte> memory() override { return umem_->bytes(); }
  std::uint32_t tx_budget() override { return socket_->tx_budget(); }
  bool tx_metadata() override { return socket_->tx_metadata(); }
  SocketStatistics statistics() override {
    SocketStatistics since = raw();
    since.rx_dropped -= before_.rx_dropped;
    since.fill_empty -= before_.fill_empty;
    return since;
  }

  bool arrive(std::span<const std::byte> packet) override {
    const std::uint32_t produced = received();
    const std::uint64_t lost_before = lost();
    if (!there_->send(packet)) return false;
    for (int i = 0; i < 5000; ++i) {
      if (received() != produced) return true;
      if (lost() != lost_before) return false;
      pass();
    }
    ADD_FAILURE() << "a packet got lost on its way";
    return false;
  }
  void arrive_later(std::span<const std::byte> packet) override {
    later_ = std::thread([this, bytes = Bytes(packet.begin(), packet.end())] {
      for (int i = 0; i < 5; ++i) pass();
      EXPECT_TRUE(there_->send(bytes));
    });
  }
  std::vector<Bytes> departed() override {
    const Bytes fence = Frame()
                            .eth(kMacA, kMacB)
                            .ethertype(kFenceType)
                            .payload(std::size_t{46})
                            .bytes();
    // A link that was down takes packets of the stack's a little later.
    for (int i = 0; i < 5000 && !here_->send(fence); ++i) pass();
    std::vector<Bytes> all;
    while (true) {
      auto packet = there_->receive(5s, [](auto bytes) {
        return is_of(bytes, kSideType) || is_of(bytes, kFenceType);
      });
      EXPECT_TRUE(packet) << "the fence got lost";
      if (!packet || is_of(*packet, kFenceType)) return all;
      all.push_back(std::move(*packet));
    }
  }
  void pass() override { std::this_thread::sleep_for(1ms); }

  void set_link(bool up) override { EXPECT_TRUE(lab_->set_link(Side::a, up)); }
  void set_carrier(bool there) override {
    EXPECT_TRUE(lab_->set_link(Side::b, there));
    // That its interface was down, a socket says once.
    (void)there_->receive(0ms, [](auto) { return false; });
  }
  bool told_of_link(bool up) override {
    for (int i = 0; i < 10000; ++i) {
      const auto changes = links_->changes();
      EXPECT_TRUE(changes);
      if (!changes) return false;
      for (const LinkWatch::Change& each : *changes) {
        if (each.index == index_ && each.running == up) return true;
      }
      pass();
    }
    return false;
  }
  // Into the queue of another interface, which sends a byte a second. Without
  // GRO: with it, packets are completed as they come in.
  bool hold(bool all) override {
    const std::string& first = lab_->end(Side::b, 0).interface;
    const std::string& other = lab_->end(Side::b, 1).interface;
    if (!all) return tc("qdisc del dev " + first + " ingress");
    if (!run("ethtool -K " + first + " gro off") ||
        !tc("qdisc add dev " + other +
            " root tbf rate 8bit burst 100b limit 100000b") ||
        !tc("qdisc add dev " + first + " ingress") ||
        !tc("filter add dev " + first +
            " parent ffff: protocol 0x88b5 u32 match u32 0 0 action mirred "
            "egress redirect dev " +
            other)) {
      return false;
    }
    auto wire = lab_->wire(Side::b, 1);  // What it may send at once.
    return wire && wire->send(Bytes(99, std::byte{1}));
  }
  void let_go() override {
    EXPECT_TRUE(
        tc("qdisc del dev " + lab_->end(Side::b, 1).interface + " root"));
  }
  // Packets that are not completed are memory that the socket has no more of.
  bool crowd(bool on) override {
    const int size = on ? 1 : 1 << 18;
    EXPECT_EQ(::setsockopt(socket_->fd(), SOL_SOCKET, SO_SNDBUFFORCE, &size,
                           sizeof size),
              0);
    if (!hold(on)) return false;
    if (!on) let_go();
    return true;
  }
  void unbind() override { EXPECT_TRUE(lab_->remove(0)); }

 private:
  VethSide() = default;

  Result<void> open(const SideOptions& options) {
    auto umem = Umem::create({.frames = kSideFrames, .frame_size = kSideFrame});
    if (!umem) return umem.error();
    umem_.emplace(std::move(*umem));
    if (auto r = lab_->in(Side::a, [&] { return bind(options); }); !r) return r;
    for (auto [side, wire] : {std::pair(Side::a, &here_), {Side::b, &there_}}) {
      auto opened = lab_->wire(side);
      if (!opened) return opened.error();
      wire->emplace(std::move(*opened));
    }
    drain(options.ring_size);
    auto kernel = LinuxKernel::open({socket_->fd()}, *mailbox_, true);
    if (!kernel) return kernel.error();
    kernel_ = std::move(*kernel);
    return {};
  }
  // At side a.
  Result<void> bind(const SideOptions& options) {
    const std::string& interface = lab_->end(Side::a).interface;
    const std::vector<std::string> expressions = {"udp"};
    auto rules = Rules::steer(expressions);
    if (!rules) return rules.error();
    auto program =
        Program::load({.rules = *rules, .frags = options.multi_buffer});
    if (!program) return program.error();
    program_.emplace(std::move(*program));
    const auto device = Netdev::read(interface);
    if (!device) return device.error();
    index_ = device->index;
    if (auto r = program_->attach(index_, AttachMode::native); !r) return r;
    auto socket = Socket::open({.interface = interface,
                                .ring_size = options.ring_size,
                                .multi_buffer = options.multi_buffer,
                                .tx_budget = options.tx_budget,
                                .tx_metadata = options.tx_metadata},
                               *umem_);
    if (!socket) return socket.error();
    socket_.emplace(std::move(*socket));
    auto mailbox = Mailbox::open();
    if (!mailbox) return mailbox.error();
    mailbox_ = std::move(*mailbox);
    auto links = LinkWatch::open();
    if (!links) return links.error();
    links_.emplace(std::move(*links));
    return program_->set_socket(0, socket_->fd());
  }
  bool tc(const std::string& arguments) { return run("tc " + arguments); }
  // At side b.
  bool run(const std::string& command) {
    std::vector<std::string> argv;
    std::istringstream words(command);
    for (std::string word; words >> word;) argv.push_back(word);
    auto process = lab_->spawn(Side::b, argv);
    return process && process->wait(10s) == 0;
  }
  // Takes the frames out of FILL that the socket was opened with.
  void drain(std::uint32_t count) {
    ConsumerRing<xdp_desc> rx(rings().rx);
    for (std::uint32_t i = 0; i < count; ++i) {
      EXPECT_TRUE(arrive(Frame()
                             .eth(kMacB, kMacA)
                             .ipv4("10.203.0.2", "10.203.0.1")
                             .udp(7, 7)
                             .payload(std::size_t{18})
                             .bytes()));
    }
    EXPECT_EQ(rx.readable(count), count);
    rx.release(count);
    before_ = raw();
  }

  std::uint32_t received() {
    return std::atomic_ref(*rings().rx.producer)
        .load(std::memory_order_acquire);
  }
  std::uint64_t lost() {
    const SocketStatistics now = raw();
    return now.rx_dropped + now.rx_ring_full;
  }
  SocketStatistics raw() {
    const auto now = socket_->statistics();
    EXPECT_TRUE(now) << now.error().message();
    return now ? *now : SocketStatistics{};
  }

  std::optional<VethLab> lab_;
  std::optional<Umem> umem_;
  std::optional<Program> program_;
  std::optional<Socket> socket_;
  std::optional<LinkWatch> links_;
  std::unique_ptr<Mailbox> mailbox_;
  std::unique_ptr<LinuxKernel> kernel_;
  std::optional<Wire> here_;
  std::optional<Wire> there_;
  std::thread later_;
  SocketStatistics before_;
  int index_ = 0;
};

}  // namespace

SLUICE_INSTANTIATE_KERNEL_TRAITS(Veth, VethSide::make);

}  // namespace sluice::testing
