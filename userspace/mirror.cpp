// SPDX-License-Identifier: Apache-2.0
#include <sluice/mirror.hpp>

#include <cerrno>
#include <utility>

#include <bpf/libbpf.h>

#include <sluice/sys.hpp>

#include "program_state.hpp"

namespace sluice {

struct Mirror::State {
  struct Close {
    void operator()(ring_buffer* buffer) const { ring_buffer__free(buffer); }
  };
  std::unique_ptr<ring_buffer, Close> ring;
  const std::function<void(const Mirrored&)>* take = nullptr;
  std::size_t taken = 0;
  std::size_t most = 0;

  // Of libbpf, for each record. A negative number ends its loop, behind this
  // record.
  static int one(void* self, void* data, std::size_t size) {
    State& state = *static_cast<State*>(self);
    const auto& record = *static_cast<const sluice_mirrored*>(data);
    if (size < sizeof record) return 0;
    (*state.take)({{record.time},
                   record.rule,
                   record.queue,
                   record.size,
                   std::as_bytes(std::span(record.bytes, record.captured))});
    return ++state.taken == state.most ? -ECANCELED : 0;
  }
};

Mirror::Mirror(std::unique_ptr<State> state) noexcept
    : state_(std::move(state)) {}
Mirror::Mirror(Mirror&&) noexcept = default;
Mirror& Mirror::operator=(Mirror&&) noexcept = default;
Mirror::~Mirror() = default;

Result<Mirror> Mirror::open(const Program& program) {
  auto state = std::make_unique<State>();
  state->ring.reset(
      ring_buffer__new(program.mirror_map(), State::one, state.get(), nullptr));
  if (!state->ring) return bpf_failed(errno, "ring_buffer__new", "mirror");
  return Mirror(std::move(state));
}

std::size_t Mirror::read(const std::function<void(const Mirrored&)>& take,
                         std::size_t most) {
  if (most == 0) return 0;
  state_->take = &take;
  state_->taken = 0;
  state_->most = most;
  (void)ring_buffer__consume(state_->ring.get());
  state_->take = nullptr;
  return state_->taken;
}

int Mirror::fd() const noexcept {
  return ring_buffer__epoll_fd(state_->ring.get());
}

}  // namespace sluice
