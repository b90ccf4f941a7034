// SPDX-License-Identifier: Apache-2.0
// Query: an ioctl on one interface by name. Private to the library.
#pragma once

#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>
#include <sluice/sys.hpp>
#include <string>

namespace sluice {

class Query {
 public:
  explicit Query(const std::string& name)
      : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    std::strncpy(request_.ifr_name, name.c_str(), IFNAMSIZ - 1);
  }
  /// False: see errno.
  bool ask(unsigned long code) {
    return ::ioctl(fd_.get(), code, &request_) == 0;
  }
  bool ethtool(void* command) {
    request_.ifr_data = static_cast<char*>(command);
    return ask(SIOCETHTOOL);
  }
  [[nodiscard]] const ifreq& answer() const { return request_; }
  [[nodiscard]] ifreq& request() { return request_; }

 private:
  Fd fd_;
  ifreq request_{};
};

}  // namespace sluice
