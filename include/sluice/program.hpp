// SPDX-License-Identifier: Apache-2.0
// Program: the XDP program that steers, its rules, its sockets, its counters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <sluice/abi.h>
#include <sluice/bypass.hpp>
#include <sluice/clock.hpp>
#include <sluice/metadata.hpp>
#include <sluice/result.hpp>
#include <sluice/rules.hpp>

namespace sluice {

/// Where the program runs: in the driver, or behind it on finished SKBs.
enum class AttachMode { native, generic };

/// "native" or "generic".
[[nodiscard]] const char* to_string(AttachMode mode) noexcept;

/// Whether the other mode may work where Program::attach() failed in one, with
/// that errno.
[[nodiscard]] bool other_mode_may_work(int code) noexcept;

struct ProgramOptions {
  Rules rules;
  /// Accept packets in several buffers (multi-buffer, XDP_USE_SG sockets).
  /// Interfaces without that feature refuse such a program.
  bool frags = false;
  /// Flows that there is room for in the table of Program::bypass(), which
  /// takes 128 bytes of the kernel's memory for each; 0: no table.
  std::uint32_t bypass_flows = 0;
  /// Most memory for counters of rules, which every CPU has its own of. Where a
  /// list would take more, rules that name a whole flow (both addresses, both
  /// ports) count in one place for all CPUs, which is somewhat slower.
  std::size_t counters_max = std::size_t{256} << 20;
  /// Process named as the owner; 0: this one.
  std::uint32_t owner_pid = 0;
  /// What the driver of `bound_to` can be asked of a packet; what is wanted of
  /// it then, set_rx_hints() says. Nothing: the program is for any interface.
  /// Else takes Linux 6.3 (the VLAN tag: 6.8) and its BTF
  /// (/sys/kernel/btf/vmlinux).
  RxHints rx_hints = {};
  /// Index of the only interface that it can then be attached to, in native
  /// mode.
  int bound_to = 0;
  /// Attach through libxdp's dispatcher, beside other programs that do: each is
  /// called as long as those before it pass. Not with `rx_hints`. Such a
  /// program outlives a process that is killed; whoever attaches or detaches
  /// there next takes it out. Needs CAP_SYS_ADMIN and bpffs.
  bool dispatcher = false;
  std::uint32_t priority = 50;  ///< Of dispatched programs, the lowest first.
};

/// Packets and bytes (on the wire, without FCS), summed over CPUs.
struct Count {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
};

/// What became of all packets since load. They add up: every packet seen is in
/// exactly one. `steered` were handed to a socket; what the socket did not take
/// is in the socket's own statistics.
struct VerdictCounts {
  Count passed, dropped, steered, reflected;
  Count passed_no_socket;   ///< To be steered, but the queue had no socket.
  Count dropped_no_socket;  ///< The same, by a rule with `else drop`.
};

/// What a rule has matched first.
struct RuleCount : Count {
  std::uint64_t last_hit = 0;  ///< CLOCK_MONOTONIC in ns, some ms coarse; or 0.
};

/// Of a BypassTable that has been used. `total` is also among the verdicts, by
/// action, and in no rule's count.
struct BypassCounts {
  Count total;
  std::uint64_t inserted = 0, evicted = 0;
};

struct Counts {
  VerdictCounts verdicts;
  std::vector<RuleCount> rules;  ///< In the order of Program::rules().
  RuleCount unmatched;           ///< Packets no rule matched, since load.
  RuleCount fragments;           ///< That passed before any rule was asked.
  std::optional<BypassCounts> bypass;  ///< None: no flow was ever bypassed.
  std::uint64_t mirrors_lost = 0;      ///< Found the ring buffer full.
};

/// The XDP program some interface runs.
struct AttachedProgram {
  std::uint32_t id = 0;
  std::string name;  ///< As the kernel keeps it, at most 15 characters.
  AttachMode mode = AttachMode::native;
  /// Set when it is one of Sluice's and this process may read its maps.
  std::optional<sluice_identity> identity;
  bool owner_alive = false;  ///< REQUIRES identity; same /proc needed.
  /// What it calls, in order, if it is a dispatcher of libxdp's.
  std::vector<AttachedProgram> dispatched;

  /// It is the program with that id, or calls it.
  [[nodiscard]] bool runs(std::uint32_t program) const noexcept;
  /// "sluice_steer (id 12) of sluice 0.1.0, owned by process 345".
  [[nodiscard]] std::string text() const;
};

/// The program an interface runs now, or none. Reads the owner if it may
/// (CAP_SYS_ADMIN). System calls: netlink, bpf, /proc.
[[nodiscard]] Result<std::optional<AttachedProgram>> attached_program(
    int ifindex);

/// The identity in a loaded program, or none if it is not one of Sluice's.
/// Needs CAP_SYS_ADMIN. System calls: bpf(BPF_*_GET_FD_BY_ID, ...).
[[nodiscard]] Result<std::optional<sluice_identity>> identity_of(
    std::uint32_t program_id);

/// Whether the program can hold the list. E2BIG names the rule that is one too
/// many, or too complicated. Needs no privileges.
[[nodiscard]] Result<void> check_fits(const Rules& rules);

/// Where pins are: nowhere else.
inline constexpr const char* kBpffs = "/sys/fs/bpf";

/// ENOENT, with the remedy, where no bpffs is to be seen at kBpffs: it is not
/// mounted, or hidden, as in containers and by `ip netns exec`.
/// System call: statfs(2).
[[nodiscard]] Result<void> check_bpffs();

/// The indices of the interfaces of this network namespace on which a pinned
/// program of Sluice's runs; none without bpffs. Pins of interfaces and
/// namespaces that are gone are removed on the way. Needs CAP_SYS_ADMIN.
[[nodiscard]] std::vector<int> pinned_interfaces();

/// A loaded program and at most one interface it is attached to. Vanishes with
/// this object, and with the process however that ends, since program, link and
/// maps have no other owner; unless it was pinned. One thread at a time.
class Program {
 public:
  /// Loads program and rules; nothing is attached yet. Needs CAP_BPF,
  /// CAP_PERFMON and CAP_NET_ADMIN. System calls: bpf.
  [[nodiscard]] static Result<Program> load(const ProgramOptions& options);

  Program(Program&&) noexcept;
  Program& operator=(Program&&) noexcept;
  /// Detaches, if attached and not pinned, and unloads.
  ~Program();

  /// For what works on pins for a moment, as all do but a run.
  static constexpr Duration kPatience = std::chrono::seconds(10);
  /// The pinned program of an interface, or none. As long as the object lives
  /// it is this process's alone. Errors: EBUSY, another process has it, and has
  /// not let go within `patience`; EPROTO, it is of another version of Sluice,
  /// which the advice names. Needs CAP_SYS_ADMIN. System calls:
  /// bpf(BPF_OBJ_GET), flock(2).
  [[nodiscard]] static Result<std::optional<Program>> open_pinned(
      int ifindex, Duration patience = {});
  /// Takes the pinned program off an interface, and its pins away, of whatever
  /// version it is; and out of a dispatcher what killed processes left there.
  /// False: there is none. Errors: EBUSY, as above.
  [[nodiscard]] static Result<bool> detach_pinned(int ifindex,
                                                  Duration patience = {});

  /// Attaches to an interface by a link of this process, or through the
  /// dispatcher there. Never replaces what is there: EBUSY then names it, half
  /// a second later where its owner is gone. ENOSYS: the kernel has no
  /// dispatchers; EOPNOTSUPP: the one there is in the other mode. Nothing is
  /// left then.
  /// REQUIRES: not attached. System calls: bpf, netlink.
  /// Source: bpf_link_create, man bpf(2); protocol.org of libxdp.
  Result<void> attach(int ifindex, AttachMode mode);
  /// Has a program that was loaded for one device (ProgramOptions::rx_hints)
  /// loaded for another, since it went with its own: with the same rules,
  /// sockets and counters. Errors: as load(); the one before is kept.
  /// REQUIRES: not attached. System calls: bpf.
  Result<void> bind_to(int ifindex);
  /// Makes program, link and maps outlive this process, in a folder below
  /// kBpffs that is named after network namespace and interface. This process
  /// has them alone, as after open_pinned(). REQUIRES: attached, not pinned.
  /// System calls: mkdir(2), bpf(BPF_OBJ_PIN), flock(2).
  Result<void> pin();
  [[nodiscard]] bool pinned() const noexcept;
  /// See ProgramOptions::dispatcher.
  [[nodiscard]] bool dispatched() const noexcept;
  /// Packets are steered with their rule, and with the time. Not behind a
  /// dispatcher that lets no program move the borders of a packet: most
  /// releases of libxdp, from Linux 6.13 on. REQUIRES: attached.
  [[nodiscard]] bool gives_metadata() const noexcept;
  /// Takes the program off its interface, now, and its pins away. No-op if not
  /// attached.
  void detach() noexcept;
  /// The mode the kernel reports for the interface attached to; none: not
  /// attached, or the interface went away.
  [[nodiscard]] std::optional<AttachMode> attached() const;

  /// Puts another list into force at once: no packet sees a mixture, and on
  /// return none sees the old list. Rules of the same label, or else of the
  /// same text, keep counting, new ones start at zero. On error the old list
  /// stays. Takes about a second for a million rules. System calls: bpf, mmap.
  Result<void> set_rules(const Rules& rules);
  /// The list in force.
  [[nodiscard]] const Rules& rules() const noexcept;
  /// Memory of the kernel's that the list takes.
  [[nodiscard]] std::size_t rules_bytes() const noexcept;
  /// Of the list in force: 1 for the first, and one more for each that follows.
  [[nodiscard]] std::uint64_t version() const noexcept;
  /// With what is steered from now on, by this list and those that follow,
  /// comes of what ProgramOptions::rx_hints has. The time comes in any case:
  /// that of the hardware, if that was asked and has one, or else the kernel's,
  /// which costs about 20 ns a packet.
  void set_rx_hints(RxHints wanted) noexcept;

  /// Flows the program deals with before the rules; null: see bypass_flows.
  [[nodiscard]] BypassTable* bypass() noexcept;
  /// The map of mirrored packets, for Mirror. Stays the program's.
  [[nodiscard]] int mirror_map() const noexcept;

  /// Steers queue `queue` to AF_XDP socket `fd`, which stays the caller's.
  /// Errors: E2BIG for queue >= SLUICE_QUEUES_MAX.
  Result<void> set_socket(std::uint32_t queue, int fd);
  /// Lets the queue's packets pass again. No error if it has no socket.
  Result<void> clear_socket(std::uint32_t queue);

  /// Counters since load, or since the rule came in.
  [[nodiscard]] Result<Counts> counts() const;

  /// Runs the program on one packet as if it came in on queue 0, and says what
  /// it decided; nothing is sent anywhere, counters count. Errors: EINVAL for
  /// less than 14 bytes. System calls: bpf(BPF_PROG_TEST_RUN).
  [[nodiscard]] Result<Action> run_on(std::span<const std::byte> packet) const;

  /// Kernel's id of the program, as `bpftool prog` shows it.
  [[nodiscard]] std::uint32_t id() const noexcept;
  /// Who loaded it, and how.
  [[nodiscard]] sluice_identity identity() const;

  struct State;

 private:
  explicit Program(std::unique_ptr<State> state) noexcept;
  static Result<std::optional<Program>> open_pinned_once(int ifindex);
  static Result<bool> detach_pinned_once(int ifindex);
  void unpin() noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace sluice
