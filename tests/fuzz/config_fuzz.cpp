// SPDX-License-Identifier: Apache-2.0
// --config: a file of any bytes is read, or refused in a sentence; a key that
// is no flag is refused; and what was read makes options, or an error that
// names the flag.
#include <sys/mman.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdlib>
#include <sluice/sys.hpp>
#include <string>
#include <string_view>

#include "flags.hpp"

namespace {

using sluice::app::RunFlags;

// What --config reads; written anew for each text.
const std::string& file_of(std::string_view text) {
  static const sluice::Fd file(::memfd_create("config", MFD_CLOEXEC));
  static const std::string path = "/proc/self/fd/" + std::to_string(file.get());
  if (::ftruncate(file.get(), 0) != 0 ||
      ::pwrite(file.get(), text.data(), text.size(), 0) !=
          static_cast<ssize_t>(text.size())) {
    std::abort();
  }
  return path;
}

// As run_one() does: whatever else is thrown ends the process.
bool read(std::string_view text, RunFlags& flags) {
  CLI::App app;
  sluice::app::add_run_flags(app, flags);
  sluice::app::add_config_flag(app, nullptr);
  const std::string& path = file_of(text);
  const char* words[] = {"fuzz", "--config", path.c_str()};
  try {
    app.parse(3, words);
    return true;
  } catch (const CLI::ParseError& error) {
    if (std::string_view(error.what()).empty()) std::abort();
    return false;
  }
}

template <class T>
void look(const sluice::Result<T>& result) {
  if (result) return;
  const std::string message = result.error().message();
  if (!message.starts_with("--") && !message.starts_with("-i") &&
      !message.starts_with("r")) {  // "rule", "run": no flag is to blame.
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string text(data, data + size);
  RunFlags flags;
  if (!read(text, flags)) return 0;
  RunFlags refused;
  if (read("no-such-flag = 1\n" + text, refused)) std::abort();

  const sluice::app::Choice handler;
  look(sluice::app::engine_options(flags, handler));
  const auto ports = sluice::app::pcap_ports(flags);
  look(ports);
  if (ports) look(sluice::app::pcap_options(flags, handler, *ports));
  return 0;
}
