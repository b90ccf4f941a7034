// SPDX-License-Identifier: Apache-2.0
// CPUs that go offline under a core's thread, and come back.
#include <sluice/cpu.hpp>

#include "engine_state.hpp"

namespace sluice {

// The kernel moves a thread whose CPU goes, lets it run anywhere from then on,
// tells nobody, and does not put it back: so a thread that lost its CPU, by
// whatever hand, is put back as soon as the kernel takes it.
void Engine::look_at_cpus() {
  for (std::size_t i = 0; i < cores_.size(); ++i) {
    CoreState& core = *cores_[i];
    CoreGrant& grant = core_grants_[i];
    if (is_pinned(core.thread, core.cpu)) continue;
    const bool back = static_cast<bool>(pin(core.thread, core.cpu));
    if (!back && grant.displaced) continue;
    const std::string cpu = "cpu " + std::to_string(core.cpu);
    std::string what = " is on " + cpu + " again";
    if (!back) {
      what = " lost " + cpu +
             ", which is offline or no longer allowed: it runs elsewhere, "
             "and goes back when it can";
    } else if (!grant.displaced) {
      what = " had lost " + cpu + ", and is on it again";
    }
    grant.displaced = !back;
    news_.push_back("core " + std::to_string(i) + what);
  }
}

}  // namespace sluice
