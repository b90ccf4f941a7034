// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <sluice/sluice.hpp>
int main() {
  auto engine = sluice::Engine::open({});
  return !engine && engine.error().code == EINVAL ? 0 : 1;
}
