// SPDX-License-Identifier: Apache-2.0
#include "host_ethtool.hpp"

#include <linux/ethtool_netlink.h>

#include <cerrno>

namespace sluice {
namespace {

using netlink::Attribute;
using netlink::Request;

// The names of the bits of a bitset in a message; no mask: all are set.
std::set<std::string> names_of(const Attribute& bitset) {
  std::set<std::string> names;
  const auto bits = netlink::find(bitset.value, ETHTOOL_A_BITSET_BITS);
  if (!bits) return names;
  const bool listed =
      netlink::find(bitset.value, ETHTOOL_A_BITSET_NOMASK).has_value();
  for (const Attribute& bit : netlink::attributes(bits->value)) {
    const auto name = netlink::find(bit.value, ETHTOOL_A_BITSET_BIT_NAME);
    const bool set =
        listed || netlink::find(bit.value, ETHTOOL_A_BITSET_BIT_VALUE);
    if (name && set) names.insert(name->text());
  }
  return names;
}

std::uint32_t number_in(std::span<const char> answer, unsigned type) {
  const auto found = netlink::find(answer, static_cast<std::uint16_t>(type));
  return found ? static_cast<std::uint32_t>(found->number()) : 0;
}

}  // namespace

Result<Ethtool> Ethtool::open(const std::string& interface) {
  auto family = netlink::Family::open(ETHTOOL_GENL_NAME);
  if (!family) return family.error();
  Ethtool ethtool;
  ethtool.interface_ = interface;
  ethtool.family_ = std::move(*family);
  return ethtool;
}

Result<void> Ethtool::ask(std::uint8_t command, const char* call,
                          unsigned header, const Fill& fill,
                          const Answer& answer) {
  return family_.ask(
      command, call, interface_,
      [&](Request& request) {
        request.nest(header, [&](Request& inner) {
          inner.add(ETHTOOL_A_HEADER_DEV_NAME, interface_);
        });
        if (fill) fill(request);
      },
      answer);
}

Result<Ethtool::Features> Ethtool::features() {
  Features features;
  auto asked =
      ask(ETHTOOL_MSG_FEATURES_GET, "ethtool(FEATURES_GET)",
          ETHTOOL_A_FEATURES_HEADER, {}, [&](std::span<const char> answer) {
            for (const Attribute& each : netlink::attributes(answer)) {
              if (each.type == ETHTOOL_A_FEATURES_ACTIVE) {
                features.active = names_of(each);
              } else if (each.type == ETHTOOL_A_FEATURES_HW) {
                features.changeable = names_of(each);
              }
            }
          });
  if (!asked) return asked.error();
  return features;
}

Result<void> Ethtool::set_feature(const std::string& name, bool on) {
  const auto wanted = [&](Request& request) {
    request.nest(ETHTOOL_A_FEATURES_WANTED, [&](Request& bitset) {
      bitset.nest(ETHTOOL_A_BITSET_BITS, [&](Request& bits) {
        bits.nest(ETHTOOL_A_BITSET_BITS_BIT, [&](Request& bit) {
          bit.add(ETHTOOL_A_BITSET_BIT_NAME, name);
          if (on) bit.add(ETHTOOL_A_BITSET_BIT_VALUE, std::span<const char>{});
        });
      });
    });
  };
  return ask(ETHTOOL_MSG_FEATURES_SET, "ethtool(FEATURES_SET)",
             ETHTOOL_A_FEATURES_HEADER, wanted, {});
}

Result<Channels> Ethtool::channels() {
  Channels channels;
  auto asked =
      ask(ETHTOOL_MSG_CHANNELS_GET, "ethtool(CHANNELS_GET)",
          ETHTOOL_A_CHANNELS_HEADER, {}, [&](std::span<const char> answer) {
            const auto number = [&](unsigned type) {
              return number_in(answer, type);
            };
            channels = {number(ETHTOOL_A_CHANNELS_COMBINED_COUNT),
                        number(ETHTOOL_A_CHANNELS_RX_COUNT),
                        number(ETHTOOL_A_CHANNELS_TX_COUNT),
                        number(ETHTOOL_A_CHANNELS_COMBINED_MAX),
                        number(ETHTOOL_A_CHANNELS_RX_MAX),
                        number(ETHTOOL_A_CHANNELS_TX_MAX)};
          });
  if (!asked) return asked.error();
  return channels;
}

Result<void> Ethtool::set_channels(const std::string& key,
                                   std::uint32_t count) {
  const unsigned type = key == "rx"   ? ETHTOOL_A_CHANNELS_RX_COUNT
                        : key == "tx" ? ETHTOOL_A_CHANNELS_TX_COUNT
                                      : ETHTOOL_A_CHANNELS_COMBINED_COUNT;
  return ask(ETHTOOL_MSG_CHANNELS_SET, "ethtool(CHANNELS_SET)",
             ETHTOOL_A_CHANNELS_HEADER,
             [&](Request& request) { request.add(type, count); }, {});
}

Result<Coalescing> Ethtool::coalescing() {
  Coalescing coalescing;
  auto asked = ask(
      ETHTOOL_MSG_COALESCE_GET, "ethtool(COALESCE_GET)",
      ETHTOOL_A_COALESCE_HEADER, {}, [&](std::span<const char> answer) {
        coalescing.rx_usecs = number_in(answer, ETHTOOL_A_COALESCE_RX_USECS);
        coalescing.adaptive_rx =
            number_in(answer, ETHTOOL_A_COALESCE_USE_ADAPTIVE_RX) != 0;
      });
  if (!asked) return asked.error();
  return coalescing;
}

Result<void> Ethtool::set_rx_usecs(std::uint32_t usecs) {
  return ask(ETHTOOL_MSG_COALESCE_SET, "ethtool(COALESCE_SET)",
             ETHTOOL_A_COALESCE_HEADER,
             [&](Request& request) {
               request.add(ETHTOOL_A_COALESCE_RX_USECS, usecs);
             },
             {});
}

Result<void> Ethtool::set_adaptive_rx(bool on) {
  return ask(ETHTOOL_MSG_COALESCE_SET, "ethtool(COALESCE_SET)",
             ETHTOOL_A_COALESCE_HEADER,
             [&](Request& request) {
               request.add_byte(ETHTOOL_A_COALESCE_USE_ADAPTIVE_RX, on ? 1 : 0);
             },
             {});
}

Result<RxRing> Ethtool::rx_ring() {
  RxRing ring;
  auto asked =
      ask(ETHTOOL_MSG_RINGS_GET, "ethtool(RINGS_GET)", ETHTOOL_A_RINGS_HEADER,
          {}, [&](std::span<const char> answer) {
            ring = {number_in(answer, ETHTOOL_A_RINGS_RX),
                    number_in(answer, ETHTOOL_A_RINGS_RX_MAX)};
          });
  if (!asked) return asked.error();
  return ring;
}

Result<void> Ethtool::set_rx_ring(std::uint32_t size) {
  return ask(
      ETHTOOL_MSG_RINGS_SET, "ethtool(RINGS_SET)", ETHTOOL_A_RINGS_HEADER,
      [&](Request& request) { request.add(ETHTOOL_A_RINGS_RX, size); }, {});
}

}  // namespace sluice
