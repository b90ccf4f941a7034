// SPDX-License-Identifier: Apache-2.0
// What NIC and kernel do with packets as they are sent.
#include "engine_state.hpp"

namespace sluice {

TxOffload grant_tx_offload(const TxOffload& driver, Mode mode,
                           std::vector<Refused>& refused) {
  TxOffload granted = driver;
  if (mode != Mode::zero_copy) {
    granted.checksum = true;
    granted.timestamp = Timestamp::Clock::tai;
  }
  if (!granted.checksum) {
    refused.push_back({"TX checksum",
                       "The driver completes none in zero-copy: the CPU does, "
                       "as packets are sent."});
  }
  if (!granted.timestamp) {
    refused.push_back(
        {"TX timestamp", "The driver tells no time of sending in zero-copy."});
  }
  if (!granted.launch_time) {
    refused.push_back(
        {"TX launch time",
         "The driver holds no packet back: they leave as they are sent."});
  }
  return granted;
}

void Engine::grant_offload(const PortState& port, const Socket& socket,
                           QueueGrant& grant) const {
  if (!options_.tx_offload) return;
  if (!socket.tx_metadata()) {
    grant.refused.push_back(
        {"TX offload", options_.masked.tx_metadata
                           ? "It was masked."
                           : "This kernel takes no TX metadata (Linux 6.8 "
                             "does): the CPU completes checksums."});
    return;
  }
  grant.tx_offload = grant_tx_offload(driver_tx_offload(port.device.index),
                                      grant.mode, grant.refused);
}

}  // namespace sluice
