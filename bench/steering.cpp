// SPDX-License-Identifier: Apache-2.0
// What the look-up of rules costs in the XDP program, by BPF_PROG_TEST_RUN.
//
// "one packet": the same packet again and again, everything in the cache.
// "drawn": a program in front makes each packet one of those that the list is
// about; what that costs by itself is subtracted. Sluice's own one-rule list,
// on the same packets, is what lists are compared with.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <sluice/program.hpp>
#include <sluice/sys.hpp>
#include <string>
#include <vector>

#include "random_lists.hpp"
#include "steering.skel.h"

namespace {

// As in bench/steering.bpf.c.
struct hash_key {
  sluice_key key;
  __u32 mask;
  __u32 protocol;
};
struct hash_value {
  __u32 rule;
  __u32 reserved;
  __u64 packets;
  __u64 bytes;
};

using bench::Bytes;
using bench::Drawn;

constexpr unsigned kRepeat = 1'000'000;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "steering: %s\n", what.c_str());
  std::exit(1);
}

unsigned once(int program, const Bytes& packet, unsigned repeat) {
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = packet.data();
  options.data_size_in = static_cast<__u32>(packet.size());
  options.repeat = static_cast<int>(repeat);
  if (bpf_prog_test_run_opts(program, &options) != 0) fail("test run");
  return options.duration;
}

// Nanoseconds a packet of each program, which `run` measures: the least of
// several runs, since others only add. They take turns, so that what slows the
// machine down for a while does not do it to one of them.
template <class Run>
std::vector<unsigned> least(const std::vector<int>& programs, Run run) {
  std::vector<unsigned> best(programs.size(), ~0u);
  for (int round = 0; round < 15; ++round) {
    for (std::size_t i = 0; i < programs.size(); ++i) {
      best[i] = std::min(best[i], run(programs[i]));
    }
  }
  return best;
}

std::vector<unsigned> costs(const std::vector<int>& programs,
                            const Bytes& packet) {
  return least(programs,
               [&](int program) { return once(program, packet, kRepeat); });
}

class Wrapper {
 public:
  Wrapper(const std::vector<Bytes>& packets, std::size_t keys)
      : program_(steering_bpf__open()) {
    if (program_ == nullptr) fail("open");
    bpf_map__set_max_entries(program_->maps.packets,
                             static_cast<__u32>(packets.size()));
    bpf_map__set_max_entries(program_->maps.hashes,
                             static_cast<__u32>(keys + 1));
    if (steering_bpf__load(program_) != 0) fail("load");
    program_->data->count = packets.size();
    for (__u32 i = 0; i < packets.size(); ++i) {
      bpf_map_update_elem(bpf_map__fd(program_->maps.packets), &i,
                          packets[i].data() + 12, BPF_ANY);
    }
  }
  Wrapper(const Wrapper&) = delete;
  Wrapper& operator=(const Wrapper&) = delete;
  ~Wrapper() { steering_bpf__destroy(program_); }

  /// Puts the rules into hash maps of the kernel's, one key for each mask; the
  /// program that asks them.
  int hashed(const std::vector<bench::Tuple>& tuples) {
    std::map<std::string, __u32> masks;
    const int hashes = bpf_map__fd(program_->maps.hashes);
    for (__u32 rule = 0; rule < tuples.size(); ++rule) {
      const bench::Tuple& tuple = tuples[rule];
      const std::string bytes(reinterpret_cast<const char*>(&tuple.mask),
                              sizeof tuple.mask);
      const auto [mask, is_new] =
          masks.try_emplace(bytes, static_cast<__u32>(masks.size()));
      if (is_new) {
        bpf_map_update_elem(bpf_map__fd(program_->maps.masks), &mask->second,
                            &tuple.mask, BPF_ANY);
      }
      const hash_key key{tuple.key, mask->second, tuple.protocol};
      const hash_value value{rule, 0, 0, 0};
      bpf_map_update_elem(hashes, &key, &value, BPF_NOEXIST);
    }
    program_->data->mask_count = static_cast<__u32>(masks.size());
    return bpf_program__fd(program_->progs.tuples);
  }
  [[nodiscard]] std::size_t masks() const { return program_->data->mask_count; }

  /// Of each, without what drawing costs.
  std::vector<unsigned> costs(std::vector<int> subjects,
                              unsigned repeat = kRepeat) {
    subjects.push_back(bpf_program__fd(program_->progs.nothing));
    std::vector<unsigned> all =
        least(subjects, [&](int subject) { return drawn(subject, repeat); });
    const unsigned drawing = all.back();
    all.pop_back();
    for (unsigned& each : all) each = each > drawing ? each - drawing : 0;
    return all;
  }

 private:
  unsigned drawn(int subject, unsigned repeat) {
    const __u32 first = 0;
    if (bpf_map_update_elem(bpf_map__fd(program_->maps.subject), &first,
                            &subject, BPF_ANY) != 0) {
      fail("tail call");
    }
    return once(bpf_program__fd(program_->progs.draw), Bytes(96), repeat);
  }

  steering_bpf* program_;
};

class Subject {
 public:
  Subject() {
    auto loaded = sluice::Program::load({});
    if (!loaded) fail(loaded.error().message());
    program_.emplace(std::move(*loaded));
    fd_ = sluice::Fd(bpf_prog_get_fd_by_id(program_->id()));
  }
  [[nodiscard]] int fd() const { return fd_.get(); }

  /// Seconds that it took to read the list, and to put it into force.
  std::pair<double, double> use(const std::string& text) {
    const auto start = std::chrono::steady_clock::now();
    const auto rules = sluice::Rules::parse(text);
    if (!rules) fail(rules.error().message());
    const auto parsed = std::chrono::steady_clock::now();
    if (auto done = program_->set_rules(*rules); !done) {
      fail(done.error().message());
    }
    const std::chrono::duration<double> parse = parsed - start;
    const std::chrono::duration<double> set =
        std::chrono::steady_clock::now() - parsed;
    return {parse.count(), set.count()};
  }
  [[nodiscard]] std::size_t bytes() const { return program_->rules_bytes(); }

 private:
  std::optional<sluice::Program> program_;
  sluice::Fd fd_;
};

void print(const char* name, unsigned nanoseconds, unsigned compared) {
  std::printf("%-44s %5u ns", name, nanoseconds);
  if (compared != 0) {
    std::printf("  %5.2f", static_cast<double>(nanoseconds) / compared);
  }
  std::printf("\n");
  std::fflush(stdout);
}

void compare(const Subject& one, const std::string& name, const Drawn& drawn) {
  const std::size_t count =
      static_cast<std::size_t>(std::ranges::count(drawn.rules, '\n'));
  Wrapper wrapper(drawn.packets, drawn.tuples.size());
  Subject list;
  const auto [parse, set] = list.use(drawn.rules);
  const std::vector<int> both = {one.fd(), list.fd()};
  const auto warm = costs(both, drawn.packets[0]);
  print((name + ", one packet").c_str(), warm[1], warm[0]);
  const auto cold = wrapper.costs(both);
  print((name + ", drawn").c_str(), cold[1], cold[0]);
  std::printf("%-44s %5.0f bytes a rule; read in %.2f s, in force %.2f s\n", "",
              static_cast<double>(list.bytes()) / static_cast<double>(count),
              parse, set);
  const int hashed = wrapper.hashed(drawn.tuples);
  const std::string what = "  kernel's hash map, " +
                           std::to_string(wrapper.masks()) + " masks, drawn";
  // A search of many masks takes its time.
  const unsigned repeat = wrapper.masks() > 10 ? 20'000 : kRepeat;
  print(what.c_str(), wrapper.costs({hashed}, repeat)[0], cold[0]);
}

// xdp-filter of xdp-tools with one port, as `xdp-filter port 53` sets it.
void compare_xdp_filter(const Subject& one) {
  const Bytes packet = sluice::testing::Frame()
                           .eth()
                           .ipv4("10.0.0.1", "10.0.0.2")
                           .udp(4000, 53)
                           .payload(40);
  print("port rule, sluice", costs({one.fd()}, packet)[0], 0);
  for (const auto& [features, what] :
       {std::pair("all", "port rule, xdp-filter load"),
        std::pair("udp", "port rule, xdp-filter load -f udp")}) {
    const std::string path =
        std::string(XDP_FILTER_FOLDER "/xdpfilt_alw_") + features + ".o";
    bpf_object* object = bpf_object__open(path.c_str());
    if (object == nullptr) {
      std::printf("%-44s not installed (Debian's xdp-tools)\n", what);
      continue;
    }
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) bpf_map__set_pin_path(map, nullptr);
    bpf_program* program = bpf_object__next_program(object, nullptr);
    bpf_program__set_type(program, BPF_PROG_TYPE_XDP);
    if (bpf_object__load(object) != 0) fail(path);
    // Destination, UDP; for all CPUs. Source: common_kern_user.h of xdp-filter.
    constexpr std::uint64_t kUdpDestination = 1 << 1 | 1 << 3;
    const std::vector<std::uint64_t> flags(
        static_cast<std::size_t>(libbpf_num_possible_cpus()), kUdpDestination);
    const __u32 port = 53 << 8;
    bpf_map_update_elem(bpf_object__find_map_fd_by_name(object, "filter_ports"),
                        &port, flags.data(), BPF_ANY);
    const auto both = costs({one.fd(), bpf_program__fd(program)}, packet);
    print(what, both[1], 0);
    std::printf("%-44s %8s  %5.2f\n", "  sluice against that", "",
                static_cast<double>(both[0]) / both[1]);
    bpf_object__close(object);
  }
}

}  // namespace

int main(int argc, char** argv) {
  libbpf_set_print(nullptr);
  const bool is_quick = argc > 1 && std::strcmp(argv[1], "--quick") == 0;
  const std::size_t flows = is_quick ? 10'000 : 1'000'000;
  Subject one;
  one.use("drop udp and dst port 53\n");
  bench::Draw draw(7);
  std::printf("%-44s %8s  ratio to one rule\n", "", "a packet");
  const Drawn wildcards = draw.wildcards(4096);
  compare(one, "4096 wildcard rules", wildcards);
  const Drawn exact = draw.flows(flows);
  compare(one, std::to_string(flows) + " exact rules", exact);
  Drawn mixed = wildcards;
  mixed.rules += exact.rules;
  mixed.packets.insert(
      mixed.packets.end(), exact.packets.begin(),
      exact.packets.begin() + static_cast<std::ptrdiff_t>(flows / 20));
  mixed.tuples.insert(mixed.tuples.end(), exact.tuples.begin(),
                      exact.tuples.end());
  compare(one, "both", mixed);
  compare_xdp_filter(one);
}
