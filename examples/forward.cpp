// SPDX-License-Identifier: Apache-2.0
// forward: a wire between two interfaces. Both ports of a core share its
// frames, so a packet goes over by its descriptor and no byte is copied.
//
//   forward --port left=eth0 --port right=eth1
#include <cerrno>
#include <sluice/app.hpp>
#include <utility>

class Forward {
 public:
  explicit Forward(sluice::Core& core)
      : left_(core.port("left")), right_(core.port("right")) {
    if (core.port_count() == 2) return;
    core.fail({EINVAL, "forward", "with a port that is neither left nor right",
               "A wire has two ends: --port left=IF --port right=IF."});
  }

  void operator()(sluice::Packet packet, sluice::Core&) noexcept {
    const bool from_left = packet.port() == left_.index();
    (from_left ? right_ : left_).send(std::move(packet));
  }

 private:
  sluice::Outlet left_;   // Looked up once; a name that is not there ends the
  sluice::Outlet right_;  // start with a sentence.
};

int main(int argc, char** argv) { return sluice::run<Forward>(argc, argv); }
