// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sluice/netdev.hpp>
#include <sluice/testing/veth_lab.hpp>
#include <sstream>
#include <thread>

namespace sluice::testing {
namespace {

constexpr auto kPatience = std::chrono::seconds(10);
constexpr std::uint32_t kPairsMax = 8;

// A thread of its own goes there: the caller stays where it is.
Result<Fd> make_network() {
  Result<Fd> network = Error{EPERM, "unshare", "", ""};
  std::thread([&network] {
    if (::unshare(CLONE_NEWNET) != 0) {
      network =
          Error::last("unshare(CLONE_NEWNET)", {},
                      "Run as root, or with CAP_SYS_ADMIN and CAP_NET_ADMIN.");
      return;
    }
    Fd fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (fd) {
      network = std::move(fd);
    } else {
      network = Error::last("open", "/proc/thread-self/ns/net");
    }
  }).join();
  return network;
}

// Runs it to its end; what it complained about becomes the error.
Result<void> run(const std::vector<std::string>& argv, int network) {
  auto process = Process::start(argv, network);
  if (!process) return process.error();
  const auto code = process->wait(kPatience);
  if (code == 0) return {};
  std::string said = process->err();
  std::ranges::replace(said, '\n', ' ');
  return Error{code == 127 ? ENOENT : EINVAL, "running", argv.front(),
               code == 127 ? "Is it installed, and in the PATH?" : said};
}

// Interfaces made from here on send no router solicitations, no duplicate
// address detection, and have no link-local address. Without IPv6: quiet too.
Result<void> silence_ipv6() {
  const std::string directory = "/proc/sys/net/ipv6/conf/default/";
  if (::access(directory.c_str(), F_OK) != 0) return {};
  constexpr std::pair<const char*, const char*> kSettings[] = {
      {"accept_ra", "0"},
      {"accept_dad", "0"},
      {"dad_transmits", "0"},
      {"router_solicitations", "0"},
      {"ndisc_notify", "0"},
      {"mldv1_unsolicited_report_interval", "1"},
      {"mldv2_unsolicited_report_interval", "1"},
      {"addr_gen_mode", "1"}};
  for (const auto& [name, value] : kSettings) {
    std::ofstream file(directory + name);
    file << value << std::flush;
    if (!file) return Error::last("write", directory + name);
  }
  return {};
}

std::string address_in(std::size_t pair, int host, bool v6) {
  const auto net = std::to_string(pair);
  return v6 ? "fd00:203:" + net + "::" + std::to_string(host)
            : "10.203." + net + "." + std::to_string(host);
}

VethEnd make_end(unsigned lab, std::size_t pair, bool first) {
  const int host = first ? 1 : 2;
  VethEnd end;
  end.interface = "s" + std::to_string(::getpid()) + "-" +
                  std::to_string(lab % 1000) + (first ? "a" : "b") +
                  std::to_string(pair);
  end.ipv4 = address_in(pair, host, false);
  end.ipv6 = address_in(pair, host, true);
  end.mac = {{2, 0, 0, 0, static_cast<std::uint8_t>(pair),
              static_cast<std::uint8_t>(first ? 0x0a : 0x0b)}};
  return end;
}

// ETHTOOL_GSTRINGS and ETHTOOL_GSTATS of the caller's namespace.
class Ethtool {
 public:
  explicit Ethtool(const std::string& interface)
      : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    interface.copy(request_.ifr_name, IFNAMSIZ - 1);
  }

  std::vector<VethLab::Count> statistics() {
    // An ethtool_sset_info and one number behind it.
    std::array<std::uint32_t, 5> sizes = {ETHTOOL_GSSET_INFO, 0,
                                          1U << ETH_SS_STATS};
    if (!ask(sizes.data())) return {};
    const std::uint32_t count = sizes[4];

    // An ethtool_gstrings, an ethtool_stats, with room for as many.
    constexpr std::size_t kHead = 3 * sizeof(std::uint32_t);
    std::vector<char> names(kHead + std::size_t{count} * ETH_GSTRING_LEN);
    const std::uint32_t of_names[] = {ETHTOOL_GSTRINGS, ETH_SS_STATS, count};
    std::memcpy(names.data(), of_names, sizeof of_names);
    std::vector<std::uint64_t> values(1 + std::size_t{count});
    const std::uint32_t of_values[] = {ETHTOOL_GSTATS, count};
    std::memcpy(values.data(), of_values, sizeof of_values);
    if (!ask(names.data()) || !ask(values.data())) return {};

    std::vector<VethLab::Count> all;
    for (std::size_t i = 0; i < count; ++i) {
      const char* name = names.data() + kHead + i * ETH_GSTRING_LEN;
      all.push_back(
          {std::string(name, ::strnlen(name, ETH_GSTRING_LEN)), values[i + 1]});
    }
    return all;
  }

 private:
  bool ask(void* data) {
    request_.ifr_data = static_cast<char*>(data);
    return ::ioctl(fd_.get(), SIOCETHTOOL, &request_) == 0;
  }

  Fd fd_;
  ifreq request_{};
};

// Errors and drops in both directions, from the table that ifconfig reads.
std::vector<VethLab::Count> device_counters(const std::string& interface) {
  std::ifstream table("/proc/thread-self/net/dev");
  for (std::string line; std::getline(table, line);) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) continue;
    const auto name = line.substr(line.find_first_not_of(' '));
    if (!name.starts_with(interface + ":")) continue;
    std::istringstream columns(line.substr(colon + 1));
    std::array<std::uint64_t, 16> value{};
    for (auto& each : value) columns >> each;
    return {{"rx_errors", value[2]},
            {"rx_dropped", value[3]},
            {"tx_errors", value[10]},
            {"tx_dropped", value[11]}};
  }
  return {};
}

bool is_loss(const std::string& name) {
  if (name.ends_with("_xdp_drops")) return false;  // By choice.
  return name.ends_with("_drops") || name.ends_with("_dropped") ||
         name.ends_with("_errors");
}

}  // namespace

VethLab::Visit::Visit(int network)
    : home_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
  if (!home_ || ::setns(network, CLONE_NEWNET) != 0) {
    std::perror("veth lab: can't go there");
    std::abort();
  }
}

VethLab::Visit::~Visit() {
  if (::setns(home_.get(), CLONE_NEWNET) != 0) {
    std::perror("veth lab: can't come back");
    std::abort();  // Whatever ran next would run in the wrong place.
  }
}

bool VethLab::required() {
  const char* value = std::getenv("SLUICE_REQUIRE_VETH");
  return value != nullptr && std::string_view(value) == "1";
}

Result<VethLab> VethLab::open(const VethOptions& options) {
  static std::atomic<unsigned> labs = 0;
  if (options.queues < 1 || options.pairs < 1 || options.pairs > kPairsMax) {
    return Error{EINVAL, "veth lab", "queues or pairs",
                 "At least one queue, and one to eight pairs."};
  }
  VethLab lab;
  for (Fd& network : lab.networks_) {
    auto made = make_network();
    if (!made) return made.error();
    network = std::move(*made);
  }
  for (const Side side : {Side::a, Side::b}) {
    if (auto quiet = lab.in(side, silence_ipv6); !quiet) return quiet.error();
    if (auto up = lab.batch(side, "link set dev lo up\n"); !up) {
      return up.error();
    }
  }
  const unsigned number = labs++;
  for (std::size_t pair = 0; pair < options.pairs; ++pair) {
    lab.ends_[0].push_back(make_end(number, pair, true));
    lab.ends_[1].push_back(make_end(number, pair, false));
    if (auto made = lab.make_pair(options, pair); !made) return made.error();
  }
  return lab;
}

Result<void> VethLab::make_pair(const VethOptions& options, std::size_t pair) {
  const auto device = [&](Side side) {
    const std::string queues = std::to_string(options.queues);
    return " name " + end(side, pair).interface + " mtu " +
           std::to_string(options.mtu) + " address " +
           end(side, pair).mac.text() + " numrxqueues " + queues +
           " numtxqueues " + queues;
  };
  const std::string there = "/proc/" + std::to_string(::getpid()) + "/fd/" +
                            std::to_string(networks_[1].get());
  auto made = batch(Side::a, "link add" + device(Side::a) + " type veth peer" +
                                 device(Side::b) + " netns " + there + "\n");
  if (!made) return made;
  for (const Side side : {Side::a, Side::b}) {
    const VethEnd& own = end(side, pair);
    const VethEnd& peer = end(side == Side::a ? Side::b : Side::a, pair);
    made = run({"ethtool", "-K", own.interface, "gro", "on", "tx", "off", "tso",
                "off", "gso", "off", "tx-udp-segmentation", "off", "txvlan",
                "off", "rxvlan", "off"},
               networks_[index(side)].get());
    if (!made) return made;
    const std::string dev = " dev " + own.interface;
    const std::string known =
        dev + " lladdr " + peer.mac.text() + " nud permanent\n";
    made =
        batch(side, "address add " + own.ipv4 + "/24" + dev + "\naddress add " +
                        own.ipv6 + "/64" + dev + " nodad\nlink set" + dev +
                        " up\nneigh replace " + peer.ipv4 + known +
                        "neigh replace " + peer.ipv6 + known);
    if (!made) return made;
  }
  // The first side came up without a carrier: until the kernel has noticed the
  // second, the first one's queueing discipline drops what it is given.
  if (!wait_for_link(Side::a, true, pair)) {
    return Error{ETIMEDOUT, "veth lab", end(Side::a, pair).interface,
                 "It got no carrier."};
  }
  return {};
}

// One `ip` for many lines, which it reads from our memory.
Result<void> VethLab::batch(Side side, const std::string& lines) const {
  Fd file(::memfd_create("veth-lab", MFD_CLOEXEC));
  if (!file || ::pwrite(file.get(), lines.data(), lines.size(), 0) !=
                   static_cast<ssize_t>(lines.size())) {
    return Error::last("memfd_create");
  }
  return run({"ip", "-batch",
              "/proc/" + std::to_string(::getpid()) + "/fd/" +
                  std::to_string(file.get())},
             networks_[index(side)].get());
}

Result<Wire> VethLab::wire(Side side, std::size_t pair) const {
  return in(side, [&] { return Wire::open(end(side, pair).interface); });
}

Result<void> VethLab::ip(Side side, const std::string& arguments) const {
  return batch(side, arguments + "\n");
}

Result<void> VethLab::set_link(Side side, bool up, std::size_t pair) const {
  return ip(side, "link set dev " + end(side, pair).interface +
                      (up ? " up" : " down"));
}

bool VethLab::wait_for_link(Side side, bool up, std::size_t pair) const {
  using std::chrono::steady_clock;
  const auto deadline = steady_clock::now() + kPatience;
  return in(side, [&] {
    while (steady_clock::now() < deadline) {
      const auto device = Netdev::read(end(side, pair).interface);
      if (device && device->running == up) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  });
}

Result<void> VethLab::remove(std::size_t pair) const {
  return ip(Side::a, "link delete dev " + end(Side::a, pair).interface);
}

std::vector<VethLab::Count> VethLab::counters(Side side,
                                              std::size_t pair) const {
  const std::string& interface = end(side, pair).interface;
  return in(side, [&] {
    auto all = Ethtool(interface).statistics();
    for (auto& each : device_counters(interface)) all.push_back(each);
    return all;
  });
}

std::uint64_t VethLab::lost(std::size_t pair) const {
  std::uint64_t sum = 0;
  for (const Side side : {Side::a, Side::b}) {
    for (const Count& each : counters(side, pair)) {
      if (is_loss(each.name)) sum += each.value;
    }
  }
  return sum;
}

}  // namespace sluice::testing
