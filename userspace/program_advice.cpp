// SPDX-License-Identifier: Apache-2.0
#include "program_advice.hpp"

#include <array>
#include <cerrno>

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace sluice {

bool has_capability(unsigned capability) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  // Who can't be asked is not told to lack something.
  if (syscall(SYS_capget, &header, data.data()) != 0) return true;
  return (data[capability / 32].effective >> (capability % 32) & 1) != 0;
}

std::vector<std::string> missing_capabilities() {
  std::vector<std::string> missing;
  const bool admin = has_capability(CAP_SYS_ADMIN);
  if (!has_capability(CAP_BPF) && !admin) missing.emplace_back("CAP_BPF");
  if (!has_capability(CAP_PERFMON) && !admin) {
    missing.emplace_back("CAP_PERFMON");
  }
  if (!has_capability(CAP_NET_ADMIN)) missing.emplace_back("CAP_NET_ADMIN");
  return missing;
}

bool lacks_capabilities() { return !missing_capabilities().empty(); }

std::string permission_advice() {
  std::string missing;
  for (const std::string& each : missing_capabilities()) {
    missing += (missing.empty() ? "" : " and ") + each;
  }
  if (!missing.empty()) {
    return "This process lacks " + missing +
           "; run as root, or: setcap "
           "cap_bpf,cap_perfmon,cap_net_admin,cap_net_raw+ep";
  }
  return "The capabilities are there, so a container's seccomp profile, a "
         "user namespace or kernel lockdown forbids it";
}

std::string attach_advice(int code, int ifindex, AttachMode mode) {
  if (code == EBUSY || code == EEXIST) {
    const auto other = attached_program(ifindex);
    if (!other || !*other) return "Another program was attached; try again";
    const std::string there = "Attached there is " + (*other)->text();
    if ((*other)->identity && !(*other)->owner_alive) {
      const auto bpffs = check_bpffs();
      return there + "; `sluice detach` takes it off, where its pins are. " +
             (bpffs ? std::string() : bpffs.error().message());
    }
    if (!(*other)->dispatched.empty()) return there + "; --dispatcher joins it";
    return there +
           "; stop its owner, or detach it with the tool that attached it";
  }
  if (code == EPERM) return permission_advice();
  if (mode == AttachMode::native && code == EOPNOTSUPP) {
    return "The driver has no native XDP, or not with these options; "
           "generic mode works on every interface";
  }
  if (code == ERANGE || code == EINVAL) {
    return "The MTU, of a veth also its peer's, is perhaps too large for XDP "
           "without multi-buffer, or the driver needs fewer channels";
  }
  if (code == ENOSPC) {
    return "This end of the veth needs as many RX queues as its peer has TX "
           "queues";
  }
  return {};
}

}  // namespace sluice
