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

// Generic netlink family "netdev": the driver's XDP features (Linux 6.3), and
// which NAPI and interrupt a queue has (6.8).
// Source: include/uapi/linux/netdev.h.
namespace sluice::netdev_family {

inline constexpr int kDevGet = 1;
inline constexpr int kDevIfindex = 1;
inline constexpr int kDevXdpFeatures = 3;
inline constexpr int kDevRxMetadata = 5;
inline constexpr std::uint64_t kRxTimestamp = 1;  // A bit of kDevRxMetadata.
inline constexpr int kQueueGet = 10;
inline constexpr int kQueueId = 1;
inline constexpr int kQueueIfindex = 2;
inline constexpr int kQueueType = 3;
inline constexpr int kQueueNapi = 4;
inline constexpr int kQueueTypeRx = 0;
inline constexpr int kNapiGet = 11;
inline constexpr int kNapiIfindex = 1;
inline constexpr int kNapiId = 2;
inline constexpr int kNapiIrq = 3;

}  // namespace sluice::netdev_family
