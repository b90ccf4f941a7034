// SPDX-License-Identifier: Apache-2.0
// The kernel's AF_XDP interface, with what is newer than the system's headers.
//
// The only place that defines a constant of the kernel's. Each is probed before
// it is relied on, so a header newer than the running kernel does no harm.
// Source: include/uapi/linux/{if_xdp,bpf,netdev}.h.
#pragma once

#include <linux/bpf.h>
#include <linux/if_xdp.h>

#include <cstdint>

#ifndef XDP_USE_SG  // Linux 6.6: packets of several frames.
#define XDP_USE_SG (1 << 4)
#endif
#ifndef XDP_PKT_CONTD  // Linux 6.6: the packet goes on in the next descriptor.
#define XDP_PKT_CONTD (1 << 0)
#endif
#ifndef XDP_TX_METADATA  // Linux 6.8: metadata stands before the packet.
#define XDP_TX_METADATA (1 << 1)
#endif
#ifndef XDP_MAX_TX_SKB_BUDGET  // Linux 6.17: descriptors a copy-mode send
                               // takes.
#define XDP_MAX_TX_SKB_BUDGET 9
#endif
#ifndef BPF_F_XDP_DEV_BOUND_ONLY  // Linux 6.3: a program for one device.
#define BPF_F_XDP_DEV_BOUND_ONLY (1U << 6)
#endif
#ifndef AF_XDP
#define AF_XDP 44
#endif
#ifndef SOL_XDP
#define SOL_XDP 283
#endif

/// Generic netlink, family "netdev", where enumerators can't be asked for:
/// Linux 6.3; what is offered of metadata: 6.8.
namespace sluice::uapi {
inline constexpr std::uint8_t kNetdevDevGet = 1;       // NETDEV_CMD_DEV_GET
inline constexpr std::uint16_t kNetdevIfindex = 1;     // NETDEV_A_DEV_IFINDEX
inline constexpr std::uint16_t kNetdevRxMetadata = 5;  // ...XDP_RX_METADATA...
inline constexpr std::uint64_t kNetdevRxTimestamp = 1;
}  // namespace sluice::uapi
