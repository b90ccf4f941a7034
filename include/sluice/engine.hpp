// SPDX-License-Identifier: Apache-2.0
// Engine: ports, cores and threads, from options to the last frame.
//
//   auto engine = sluice::Engine::open({.ports = {{"eth0", "eth0"}}});
//   if (!engine) return fail(engine.error());
//   auto started = (*engine)->start<MyHandler>();
//   while ((*engine)->serve(deadline, fds) == sluice::Engine::Served::deadline)
//     print((*engine)->stats());
//   (*engine)->stop();
//
// A core owns queue q of every port, on one pinned thread. The engine itself is
// used from one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <sluice/control.hpp>
#include <sluice/handler.hpp>
#include <sluice/linux_kernel.hpp>
#include <sluice/metadata.hpp>
#include <sluice/netdev.hpp>
#include <sluice/poller.hpp>
#include <sluice/program.hpp>
#include <sluice/rules.hpp>
#include <sluice/socket.hpp>
#include <sluice/stats.hpp>
#include <sluice/umem.hpp>
#include <span>
#include <string>
#include <vector>

namespace sluice {

/// How packets get from the driver into frames. `automatic` takes the first
/// that works, in this order; a mode that is named is required.
enum class Mode : std::uint8_t { automatic, zero_copy, copy, generic };
[[nodiscard]] const char* to_string(Mode mode) noexcept;

struct PortOptions {
  std::string name;       ///< What handlers call it.
  std::string interface;  ///< "eth0".
};

/// Rungs that are not to be tried: for tests, and for drivers that lie.
struct Masked {
  bool zero_copy = false;
  bool native = false;
  bool multi_buffer = false;
  bool tx_budget = false;
  bool huge_pages = false;
  bool io_uring = false;
  bool hardware_time = false;
  bool tx_metadata = false;
};

struct EngineOptions {
  std::vector<PortOptions> ports;
  std::vector<int> queues;  ///< Empty: all.
  std::vector<int> cpus;    ///< One per queue; empty: from the affinity mask.
  Rules rules;              ///< The same on every port, except:
  bool keep_attached = false;  ///< an attached program keeps its list.
  Mode mode = Mode::automatic;
  PollerOptions poller;
  std::uint32_t ring_size = 2048;
  std::uint32_t frames_per_queue = 0;  ///< Per core; 0: what is needed.
  std::uint32_t frame_size = 2048;
  std::uint32_t holds = 0;  ///< Packets that the handler keeps: handler::holds.
  bool force = false;       ///< Even if the rules cut this host off.
  /// Flows that Core::bypass() has room for: 128 bytes each, for every port;
  /// 0: it does nothing.
  std::uint32_t bypass_flows = 0;
  /// Packet::timestamp(): by the NIC's clock where its driver tells XDP
  /// programs and the mode is native, else by the kernel's, for some 20 ns a
  /// packet.
  bool timestamps = false;
  /// Packet::rx_hash() and vlan_tag(), where the NIC's driver tells them to XDP
  /// programs and the mode is native.
  bool rx_hints = false;
  /// Sockets prefer busy polling (SO_PREFER_BUSY_POLL): the cores' own system
  /// calls move packets in the driver, at most so many each, 1 to 65535; 0: its
  /// interrupts do. They are held back only where the interface's settings
  /// `napi defer-hard-irqs` and `gro-flush-timeout` say so, which are not set
  /// here: host.hpp, Prepared in doctor.hpp. Takes CAP_NET_ADMIN.
  std::uint32_t busy_poll = 0;
  /// What handlers ask for with a TxRequest is left to NIC and kernel where
  /// they offer it; takes the first 24 bytes of each frame.
  bool tx_offload = false;
  /// Attach beside other XDP programs: ProgramOptions::dispatcher.
  bool dispatcher = false;
  std::uint32_t priority = 50;  ///< ProgramOptions::priority.
  /// How long an interface that went, deleted or moved to another namespace,
  /// may be away before serve() gives up; 0: no time at all.
  Duration heal_timeout = std::chrono::seconds(30);
  /// Called by serve() for the port of that number when its interface was made
  /// anew, with none of the settings that the old one had: before it is
  /// attached to, and once more when it is up, if it was not by then. What it
  /// returns is told as news.
  std::function<std::vector<std::string>(std::size_t port,
                                         const std::string& interface)>
      made_anew;
  Masked masked;
};

/// Fails with EINVAL where a loop can't be made of these, whatever its ports
/// are: `ring_size` and `frame_size` as in EngineOptions, `batch` as in
/// PollerOptions.
[[nodiscard]] Result<void> check_sizes(std::uint32_t ring_size,
                                       std::uint32_t frame_size,
                                       std::uint32_t batch);

/// `frames` of a core, if they are as many as needed. ENOBUFS: too few.
[[nodiscard]] Result<std::uint32_t> check_frames(std::uint32_t frames,
                                                 std::uint32_t needed);

/// The frames of a core: `frames_per_queue`, or where that is 0, as many as are
/// needed and as many again. ENOBUFS: those are too few.
[[nodiscard]] Result<std::uint32_t> frames_of(const EngineOptions& options);

/// A rung of a ladder that was not taken, and why.
struct Refused {
  std::string rung;    ///< "zero-copy".
  std::string reason;  ///< Error::message() of the attempt.
};

/// What one port of one core was granted.
struct QueueGrant {
  std::string port;
  std::string interface;
  std::uint32_t queue = 0;
  std::size_t core = 0;
  Mode mode = Mode::copy;  ///< Never automatic.
  bool multi_buffer = false;
  /// By which clock packets come with their time; none: they come without. Of
  /// hardware: where it took none of a packet, that one has the kernel's.
  std::optional<Timestamp::Clock> clock;
  RxHints rx_hints;  ///< That the NIC is asked for.
  TxOffload tx_offload;
  std::uint32_t tx_budget = 0;
  std::uint32_t busy_poll = 0;  ///< As EngineOptions has it.
  /// Of the NAPI that is polled then; 0: none, and interrupts go on as before.
  std::uint32_t napi_id = 0;
  std::vector<Refused> refused;
};

/// What a queue bound in that mode is granted of what its driver offers in
/// zero-copy; what it is not, and why, is added to `refused`. In the other
/// modes packets take Linux' own way to the driver, which completes checksums
/// and tells the time when it is done with a packet.
[[nodiscard]] TxOffload grant_tx_offload(const TxOffload& driver, Mode mode,
                                         std::vector<Refused>& refused);

/// What one core was granted.
struct CoreGrant {
  int cpu = 0;
  /// The CPU went offline, or is no longer allowed: the thread runs elsewhere
  /// until it is back. As of serve().
  bool displaced = false;
  std::uint32_t frames = 0;
  std::uint32_t frame_size = 0;
  std::uint32_t ring_size = 0;
  std::uint64_t locked_bytes = 0;  ///< Each registration counts.
  bool huge_pages = false;
  std::string wait;              ///< "io_uring" or "ppoll"; after start().
  std::vector<Refused> refused;  ///< Of the wait ladder; after start().
};

/// How much of an interface's traffic can reach the queues that are served.
struct Coverage {
  std::string interface;
  std::uint32_t queues = 0;  ///< That the interface has.
  std::uint32_t served = 0;
  double share = 1;    ///< Of the RSS table, or of the queues without one.
  std::string remedy;  ///< A command, where the share is below 1.
};

class Engine {
 public:
  /// Claims and attaches each port, counts its queues, binds. Nothing is
  /// steered before start(). A program that is pinned there is adopted instead,
  /// and stays there after stop(). Capabilities: CAP_NET_ADMIN, CAP_NET_RAW,
  /// CAP_BPF, CAP_PERFMON; CAP_IPC_LOCK or RLIMIT_MEMLOCK.
  [[nodiscard]] static Result<std::unique_ptr<Engine>> open(
      EngineOptions options);
  /// As stop().
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Starts the pinned threads and makes a handler on each; once all stand,
  /// traffic is let in. Fails with the first handler's or thread's error, and
  /// then no thread is left.
  template <Handler H>
  Result<void> start(const handler::Config<H>& config = {}) {
    return start_cores(handler::holds<H>(), [config](CoreRun& run) {
      H handler = handler::make<H>(config, run.core());
      if (!run.ready()) return;
      Poller<H> poller(handler, run.core(), run.kernel(), run.options());
      poller.run();
      if constexpr (requires(Report& report) { handler.report(report); }) {
        run.report([&](Report& report) { handler.report(report); });
      }
    });
  }

  enum class Served : std::uint8_t {
    deadline,  ///< It has come.
    readable,  ///< One of `fds` is.
    news,      ///< Something happened to a link: take_news().
    gone,      ///< An interface went, and did not come back: failure().
  };
  /// What is answered to who asks at the control socket of an interface.
  using Answer = std::function<std::string(const std::string& interface,
                                           std::string_view request)>;
  /// Handles link changes and who asks at the control sockets, until `deadline`
  /// (CLOCK_MONOTONIC), or until one of `fds` is readable. An interface that
  /// went and is back, by its name, is attached to and bound again meanwhile;
  /// set-up that blocks, for a second at most, is its price.
  Served serve(Time deadline, std::span<const int> fds,
               const Answer& answer = {});

  /// Puts another list into force on all ports or on none, while packets flow.
  /// EPERM: it would cut this host off, and EngineOptions::force is not set.
  Result<void> set_rules(const Rules& rules);
  /// The same on one port, whatever it would cut off: see check_cut_off().
  /// ENODEV: no port has that interface.
  Result<void> set_rules(const std::string& interface, const Rules& rules);
  /// The program of an interface; null: no port has it.
  [[nodiscard]] const Program* program(const std::string& interface) const;

  /// Lets go of the traffic, lets the cores finish what they have, joins them.
  /// Takes less than a second. Statistics and report stay.
  void stop();

  [[nodiscard]] Stats stats();
  /// The handlers' totals; complete after stop().
  [[nodiscard]] Report report() const;

  [[nodiscard]] std::span<const QueueGrant> queues() const noexcept {
    return queue_grants_;
  }
  [[nodiscard]] std::span<const CoreGrant> cores() const noexcept {
    return core_grants_;
  }
  [[nodiscard]] std::span<const Coverage> coverage() const noexcept {
    return coverage_;
  }
  /// Why serve() gave up.
  [[nodiscard]] const std::optional<Error>& failure() const noexcept {
    return failure_;
  }
  /// What happened to the links since the last call, for people.
  [[nodiscard]] std::vector<std::string> take_news();
  [[nodiscard]] const EngineOptions& options() const noexcept {
    return options_;
  }

  /// A core's thread, as the handler's part of it sees the engine.
  class CoreRun {
   public:
    [[nodiscard]] Core& core() noexcept;
    [[nodiscard]] Kernel& kernel() noexcept { return *kernel_; }
    [[nodiscard]] const PollerOptions& options() const noexcept;
    /// The handler stands. Waits for the others; false: some core can't start.
    [[nodiscard]] bool ready();
    void report(const std::function<void(Report&)>& fill);

   private:
    friend class Engine;
    CoreRun(Engine& engine, std::size_t index, Kernel& kernel)
        : engine_(engine), index_(index), kernel_(&kernel) {}
    Engine& engine_;
    std::size_t index_;
    Kernel* kernel_;
  };

 private:
  struct PortState;  // An interface: its program and its claim.
  struct CoreState;  // A core: memory, sockets, ports, thread.
  struct Gate;       // Where the cores wait for one another.
  using Body = std::function<void(CoreRun&)>;

  explicit Engine(EngineOptions options);
  Result<void> set_up();
  Result<void> set_up_port(const PortOptions& port);
  Result<void> check_cut_off(const std::string& interface,
                             const Rules& rules) const;
  Result<void> adopt(PortState& port, Program program);
  [[nodiscard]] ProgramOptions program_options(const PortState& port) const;
  [[nodiscard]] RxHints wanted_hints() const noexcept;
  bool attach_bound(PortState& port);
  void grant_hints(PortState& port) const;
  static void tell_of_metadata(PortState& port);
  Result<void> attach(PortState& port);
  Result<void> see_what_attaching_changed(PortState& port);
  Result<void> wait_for_links();
  Result<void> choose_queues();
  Result<void> choose_cpus();
  Result<void> choose_frames();
  void measure_coverage();
  Result<void> set_up_core(std::size_t index);
  Result<void> climb_attach(PortState& port);
  Result<Socket> open_socket(
      const PortState& port, const CoreState& core, QueueGrant& grant,
      std::optional<std::span<const std::uint64_t>> frames);
  Result<Socket> climb(const PortState& port, const Umem& umem,
                       SocketOptions options, QueueGrant& grant) const;
  void grant_offload(const PortState& port, const Socket& socket,
                     QueueGrant& grant) const;
  Result<void> start_cores(std::uint32_t holds, const Body& body);
  void run_core(std::size_t index, const Body& body);
  Result<void> arm();
  void post_all(Event::Kind kind);
  static void post(CoreState& core, const Event& event);

  // engine_links.cpp: what is told of interfaces.
  void read_links();
  void link_changed(const LinkWatch::Change& change);
  void link_moved(std::size_t port, bool running);
  void look_at(std::size_t port);
  void look_for_napis(std::size_t port);
  void readdressed(std::size_t port, const Netdev& was);
  [[nodiscard]] bool is_cut(std::size_t port) const;
  void renamed(PortState& port, const std::string& name);
  void queues_changed(const Netdev& was, const Netdev& is);
  [[nodiscard]] std::uint64_t received(std::size_t port) const;
  void look_for_traffic(std::size_t port);

  // engine_cpus.cpp
  void look_at_cpus();

  // engine_heal.cpp: what is done about it.
  Time heal();
  void lose(std::size_t port);
  void advance(std::size_t port);
  void close_sockets(std::size_t port);
  void find_again(std::size_t port);
  void tell_made_anew(std::size_t port);
  Result<void> reattach(PortState& port);
  Result<void> open_sockets(std::size_t port);
  void rejoined(std::size_t port);
  void retry(PortState& port, Error obstacle);
  void ask(std::size_t port, Event::Kind kind);
  [[nodiscard]] bool all_are(std::size_t port, Rebind::Step step) const;
  void refresh_ledgers();
  [[nodiscard]] QueueStats queue_stats(std::size_t core,
                                       std::size_t port) const;

  EngineOptions options_;
  LinkWatch links_;
  std::vector<std::unique_ptr<PortState>> ports_;
  std::vector<std::unique_ptr<CoreState>> cores_;
  std::unique_ptr<Gate> gate_;
  std::vector<QueueGrant> queue_grants_;
  std::vector<CoreGrant> core_grants_;
  std::vector<Coverage> coverage_;
  std::vector<std::string> news_;
  Report report_;
  Time next_look_{};
  std::optional<Error> failure_;
  bool running_ = false;
};

}  // namespace sluice
