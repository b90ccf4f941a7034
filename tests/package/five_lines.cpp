// SPDX-License-Identifier: Apache-2.0
#include <sluice/sluice.hpp>
int main() {
  auto engine = sluice::Engine::open({.ports = {{"outside", "no-such-if"}}});
  return !engine && engine.error().code == ENODEV ? 0 : 1;
}
