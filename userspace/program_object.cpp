// SPDX-License-Identifier: Apache-2.0
#include "program_object.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <vector>

#include "bound.skel.h"
#include "plain.skel.h"
#include "program_advice.hpp"
#include "program_owner.hpp"
#include "steer.skel.h"

namespace sluice {
namespace {

thread_local std::string printed;

int keep_text(const char* format, va_list arguments) {
  va_list again;
  va_copy(again, arguments);
  const int size = std::vsnprintf(nullptr, 0, format, arguments);
  if (size > 0) {
    std::string line(static_cast<std::size_t>(size) + 1, '\0');
    std::vsnprintf(line.data(), line.size(), format, again);
    line.pop_back();
    printed += line;
  }
  va_end(again);
  return size;
}

int keep(libbpf_print_level level, const char* format, va_list arguments) {
  return level == LIBBPF_DEBUG ? 0 : keep_text(format, arguments);
}

int keep_xdp(libxdp_print_level level, const char* format, va_list arguments) {
  return level == LIBXDP_DEBUG ? 0 : keep_text(format, arguments);
}

// As bpf/maps.h calls them, in the order of Program::State::Map.
constexpr std::array<const char*, Program::State::kMaps> kNames = {
    "sockets",   "images",  "verdicts", "mirror",
    ".data.hot", ".rodata", "bypassed"};

}  // namespace

Captured::Captured()
    : previous_(libbpf_set_print(keep)),
      previous_xdp_(libxdp_set_print(keep_xdp)) {
  printed.clear();
}
Captured::~Captured() {
  libbpf_set_print(previous_);
  libxdp_set_print(previous_xdp_);
}

const std::string& Captured::text() { return printed; }

std::string Captured::last_line() {
  std::string last;
  std::string_view rest = printed;
  while (!rest.empty()) {
    const std::size_t size = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, size);
    rest.remove_prefix(std::min(size + 1, rest.size()));
    if (line.find("END PROG LOAD LOG") != std::string_view::npos) break;
    if (line.empty() || line.starts_with("processed ")) continue;
    last = line;
  }
  return last;
}

Error load_failed(int code, const char* call) {
  const int positive = code < 0 ? -code : code;
  // The verifier says EACCES, a missing capability EPERM; without CAP_PERFMON
  // the verifier refuses what it else would not.
  const bool is_denied =
      positive == EPERM || (positive == EACCES && lacks_capabilities());
  std::string advice = is_denied ? permission_advice() : Captured::last_line();
  return bpf_failed(code, call, "sluice_steer", std::move(advice));
}

Result<ObjectFile> ObjectFile::open(Kind kind) {
  std::size_t size = 0;
  const void* const bytes = kind == Kind::steer   ? steer_bpf::elf_bytes(&size)
                            : kind == Kind::bound ? bound_bpf::elf_bytes(&size)
                                                  : plain_bpf::elf_bytes(&size);
  bpf_object_open_opts options{};
  options.sz = sizeof options;
  options.object_name = "sluice";
  ObjectFile file;
  file.object_.reset(bpf_object__open_mem(bytes, size, &options));
  if (!file.object_) return load_failed(errno, "bpf_object__open");
  return file;
}

bpf_program* ObjectFile::program() const noexcept {
  return bpf_object__next_program(object_.get(), nullptr);
}

bpf_map* ObjectFile::map(Program::State::Map which) const noexcept {
  return bpf_object__find_map_by_name(object_.get(), kNames[which]);
}

// Among the program's other constants, by its magic word.
Result<void> ObjectFile::set_identity(const sluice_identity& identity) {
  bpf_map* const constants = map(Program::State::constants);
  std::size_t size = 0;
  const auto* before =
      static_cast<const std::byte*>(bpf_map__initial_value(constants, &size));
  std::vector<std::byte> value(before, before + size);
  const auto at = place_of_identity(value);
  if (!at) return bpf_failed(ENOENT, "bpf_map__initial_value", "identity");
  std::memcpy(value.data() + *at, &identity, sizeof identity);
  const int done = bpf_map__set_initial_value(constants, value.data(), size);
  if (done == 0) return {};
  return bpf_failed(done, "bpf_map__set_initial_value", "identity");
}

Result<void> ObjectFile::load() {
  const int done = bpf_object__load(object_.get());
  if (done == 0) return {};
  return load_failed(done, "bpf(PROG_LOAD)");
}

}  // namespace sluice
