// SPDX-License-Identifier: Apache-2.0
// Settings: each kind is read and written in one place.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <functional>
#include <sstream>

#include "host_ethtool.hpp"
#include "host_files.hpp"
#include "netdev_query.hpp"

namespace sluice {
namespace {

Error bad_value(const Setting& setting) {
  return {EINVAL, "setting", setting.name() + " " + setting.value,
          "It has no such value."};
}

Result<std::uint32_t> number_of(const Setting& setting,
                                const std::string& text) {
  std::uint32_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || at != end) return bad_value(setting);
  return number;
}

const char* on_off(bool on) { return on ? "on" : "off"; }

Result<std::string> read_feature(const Setting& setting) {
  auto ethtool = Ethtool::open(setting.interface);
  if (!ethtool) return ethtool.error();
  auto features = ethtool->features();
  if (!features) return features.error();
  return std::string(on_off(features->active.contains(setting.key)));
}

Result<void> write_feature(const Setting& setting) {
  auto ethtool = Ethtool::open(setting.interface);
  if (!ethtool) return ethtool.error();
  return ethtool->set_feature(setting.key, setting.value == "on");
}

Result<std::string> read_channels(const Setting& setting) {
  auto ethtool = Ethtool::open(setting.interface);
  if (!ethtool) return ethtool.error();
  auto channels = ethtool->channels();
  if (!channels) return channels.error();
  return std::to_string(setting.key == "rx"   ? channels->rx
                        : setting.key == "tx" ? channels->tx
                                              : channels->combined);
}

Result<void> write_channels(const Setting& setting) {
  auto count = number_of(setting, setting.value);
  if (!count) return count.error();
  auto ethtool = Ethtool::open(setting.interface);
  if (!ethtool) return ethtool.error();
  return ethtool->set_channels(setting.key, *count);
}

Result<std::string> read_rss(const Setting& setting) {
  std::string text;
  for (const std::uint32_t queue : rss_table(setting.interface)) {
    text += (text.empty() ? "" : " ") + std::to_string(queue);
  }
  if (!text.empty()) return text;
  return Error{EOPNOTSUPP, "rss", setting.interface,
               "The driver has no RSS table."};
}

Result<void> write_rss(const Setting& setting) {
  std::istringstream words(setting.value);
  std::vector<std::uint32_t> table;
  for (std::uint32_t queue = 0; words >> queue;) table.push_back(queue);
  if (table.empty()) return bad_value(setting);
  return set_rss_table(setting.interface, table);
}

Result<std::string> read_hash(const Setting& setting) {
  return hash_fields(setting.interface, setting.key);
}

Result<void> write_hash(const Setting& setting) {
  return set_hash_fields(setting.interface, setting.key, setting.value);
}

Result<std::string> read_coalesce(const Setting& setting) {
  auto ethtool = Ethtool::open(setting.interface);
  if (!ethtool) return ethtool.error();
  auto now = ethtool->coalescing();
  if (!now) return now.error();
  if (setting.key == "rx-usecs") return std::to_string(now->rx_usecs);
  return std::string(on_off(now->adaptive_rx));
}

Result<void> write_coalesce(const Setting& setting) {
  auto ethtool = Ethtool::open(setting.interface);
  if (!ethtool) return ethtool.error();
  if (setting.key == "adaptive-rx") {
    return ethtool->set_adaptive_rx(setting.value == "on");
  }
  auto usecs = number_of(setting, setting.value);
  if (!usecs) return usecs.error();
  return ethtool->set_rx_usecs(*usecs);
}

Result<std::string> read_ring(const Setting& setting) {
  auto ethtool = Ethtool::open(setting.interface);
  if (!ethtool) return ethtool.error();
  auto ring = ethtool->rx_ring();
  if (!ring) return ring.error();
  return std::to_string(ring->size);
}

Result<void> write_ring(const Setting& setting) {
  auto size = number_of(setting, setting.value);
  if (!size) return size.error();
  auto ethtool = Ethtool::open(setting.interface);
  if (!ethtool) return ethtool.error();
  return ethtool->set_rx_ring(*size);
}

Result<std::string> read_mtu(const Setting& setting) {
  auto device = Netdev::read(setting.interface);
  if (!device) return device.error();
  return std::to_string(device->mtu);
}

Result<void> write_mtu(const Setting& setting) {
  auto mtu = number_of(setting, setting.value);
  if (!mtu) return mtu.error();
  Query query(setting.interface);
  query.request().ifr_mtu = static_cast<int>(*mtu);
  if (query.ask(SIOCSIFMTU)) return {};
  return Error::last("ioctl(SIOCSIFMTU)", setting.interface);
}

// A file of the interface in sysfs.
Result<std::string> napi_file(const Setting& setting) {
  auto device = Netdev::read(setting.interface);
  if (!device) return device.error();
  const std::string folder = sysfs_folder(*device);
  if (folder.empty()) {
    return Error{EOPNOTSUPP, "napi", setting.interface,
                 "It is not in /sys, which shows another network namespace: "
                 "start by `ip netns exec`, or mount a sysfs of this one."};
  }
  return folder + (setting.key == "defer-hard-irqs" ? "/napi_defer_hard_irqs"
                                                    : "/gro_flush_timeout");
}

Result<std::string> read_napi(const Setting& setting) {
  auto file = napi_file(setting);
  if (!file) return file;
  const std::string line = read_line(*file);
  if (!line.empty()) return line;
  return Error{ENOENT, "napi", *file, "Linux has it from 5.8 on."};
}

Result<void> write_napi(const Setting& setting) {
  auto file = napi_file(setting);
  if (!file) return file.error();
  return write_file(*file, setting.value);
}

std::string affinity_of(const Setting& setting) {
  return "/proc/irq/" + setting.key + "/smp_affinity_list";
}

Result<std::string> read_irq(const Setting& setting) {
  const std::string line = read_line(affinity_of(setting));
  if (!line.empty()) return line;
  return Error{ENOENT, "irq", setting.key, "There is no such interrupt."};
}

Result<void> write_irq(const Setting& setting) {
  return write_file(affinity_of(setting), setting.value);
}

Result<std::string> read_flow(const Setting& setting) {
  auto location = number_of(setting, setting.key);
  if (!location) return location.error();
  return flow_rule(setting.interface, *location);
}

Result<void> write_flow(const Setting& setting) {
  auto location = number_of(setting, setting.key);
  if (!location) return location.error();
  return set_flow_rule(setting.interface, *location, setting.value);
}

struct SettingKind {
  const char* what;
  std::vector<std::string> keys;  // Empty: many.
  Result<std::string> (*read)(const Setting&);
  Result<void> (*write)(const Setting&);
};

const SettingKind* kind_of(const Setting& setting) {
  static const SettingKind kinds[] = {
      {"feature", {}, read_feature, write_feature},
      {"channels", {"combined", "rx", "tx"}, read_channels, write_channels},
      {"rss", {"table"}, read_rss, write_rss},
      {"hash", {"udp4", "udp6"}, read_hash, write_hash},
      {"ring", {"rx"}, read_ring, write_ring},
      {"coalesce", {"rx-usecs", "adaptive-rx"}, read_coalesce, write_coalesce},
      {"mtu", {"bytes"}, read_mtu, write_mtu},
      {"napi", {"defer-hard-irqs", "gro-flush-timeout"}, read_napi, write_napi},
      {"irq", {}, read_irq, write_irq},
      {"flow", {}, read_flow, write_flow},
  };
  for (const SettingKind& each : kinds) {
    if (setting.what != each.what) continue;
    const bool known =
        each.keys.empty() ||
        std::ranges::find(each.keys, setting.key) != each.keys.end();
    return known ? &each : nullptr;
  }
  return nullptr;
}

Error no_such(const Setting& setting) {
  return {EINVAL, "setting", "'" + setting.name() + "'",
          "There is none of that name."};
}

}  // namespace

Result<std::string> read_setting(const Setting& setting) {
  const SettingKind* const kind = kind_of(setting);
  if (kind == nullptr) return no_such(setting);
  return kind->read(setting);
}

Result<void> write_setting(const Setting& setting) {
  const SettingKind* const kind = kind_of(setting);
  if (kind == nullptr) return no_such(setting);
  if (auto written = kind->write(setting); !written) return written;
  auto now = kind->read(setting);
  if (!now) return now.error();
  if (*now == setting.value) return {};
  return Error{EOPNOTSUPP, "setting", setting.name() + " " + setting.value,
               "The driver left it at " + *now + "."};
}

}  // namespace sluice
