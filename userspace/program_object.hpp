// SPDX-License-Identifier: Apache-2.0
// The object file of the XDP program, opened and not loaded yet; private to
// userspace/program*.cpp.
#pragma once

#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include <memory>
#include <string>

#include "program_state.hpp"

namespace sluice {

// While one lives, what libbpf and libxdp print is kept instead of printed.
// Their printers are one for the process, their calls come on the thread that
// called them.
class Captured {
 public:
  Captured();
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;
  ~Captured();
  // All of it.
  [[nodiscard]] static const std::string& text();
  // The verifier's verdict, or else the last line that was a warning.
  [[nodiscard]] static std::string last_line();

 private:
  libbpf_print_fn_t previous_;
  libxdp_print_fn_t previous_xdp_;
};

class ObjectFile {
 public:
  /// As bpf/ has them: for all, for one device, for a dispatcher.
  enum class Kind : std::uint8_t { steer, bound, plain };
  /// REQUIRES: a Captured.
  [[nodiscard]] static Result<ObjectFile> open(Kind kind);

  [[nodiscard]] bpf_object* get() const noexcept { return object_.get(); }
  [[nodiscard]] bpf_program* program() const noexcept;
  [[nodiscard]] bpf_map* map(Program::State::Map which) const noexcept;
  Result<void> set_identity(const sluice_identity& identity);
  /// REQUIRES: a Captured.
  Result<void> load();

 private:
  struct Close {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
  };
  std::unique_ptr<bpf_object, Close> object_;
};

/// For errno `code` of loading. REQUIRES: a Captured.
[[nodiscard]] Error load_failed(int code, const char* call);

}  // namespace sluice
