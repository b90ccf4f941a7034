// SPDX-License-Identifier: Apache-2.0
// libxdp's dispatcher: one XDP program that calls several, in the order of
// their priorities, as long as they pass. Private to userspace/program*.cpp.
//
// libxdp makes a new dispatcher for every change and puts it into the old one's
// place at once. It keeps what it runs in /sys/fs/bpf/xdp, so a process that is
// killed leaves its program there.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <sluice/program.hpp>

namespace sluice {

/// What a dispatcher on the interface runs; none where there is no dispatcher.
[[nodiscard]] std::optional<std::vector<std::uint32_t>> dispatched_on(
    int ifindex);

/// Takes a program out of the dispatcher, and the dispatcher away with the last
/// one. ENOENT: it is not in there.
[[nodiscard]] Result<void> leave_dispatcher(int ifindex, std::uint32_t program);

/// The program's id in the folder of pins on an interface.
[[nodiscard]] std::optional<std::uint32_t> pinned_program(int ifindex);

/// Takes out Sluice's programs whose process is gone and that are not pinned.
/// Says whether there were any.
bool remove_orphans(int ifindex);

}  // namespace sluice
