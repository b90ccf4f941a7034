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
#ifndef XDP_UMEM_TX_METADATA_LEN  // Linux 6.8: how long that is, is told.
#define XDP_UMEM_TX_METADATA_LEN (1 << 2)
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

namespace sluice {

// struct xdp_umem_reg with the member that Linux 6.8 put where padding was.
struct UmemRegistration {
  std::uint64_t addr;
  std::uint64_t len;
  std::uint32_t chunk_size;
  std::uint32_t headroom;
  std::uint32_t flags;
  std::uint32_t tx_metadata_len;
};
static_assert(sizeof(UmemRegistration) == 32);

// struct xsk_tx_metadata: what stands before a packet that says
// XDP_TX_METADATA. Source: Documentation/networking/xsk-tx-metadata.rst.
struct TxMetadata {
  std::uint64_t flags;
  std::uint16_t checksum_start;   // The device's time, 64 bits, takes the place
  std::uint16_t checksum_offset;  // of these three when the frame comes back.
  std::uint32_t reserved;
  std::uint64_t launch_time;  // Linux 6.14.
};
static_assert(sizeof(TxMetadata) == 24);

inline constexpr std::uint64_t kTxTimestamp = 1;   // XDP_TXMD_FLAGS_TIMESTAMP
inline constexpr std::uint64_t kTxChecksum = 2;    // XDP_TXMD_FLAGS_CHECKSUM
inline constexpr std::uint64_t kTxLaunchTime = 4;  // XDP_TXMD_FLAGS_LAUNCH_TIME

}  // namespace sluice

// Generic netlink family "netdev": the driver's XDP features (Linux 6.3), and
// which NAPI and interrupt a queue has (6.8).
// Source: include/uapi/linux/netdev.h.
namespace sluice::netdev_family {

inline constexpr int kDevGet = 1;
inline constexpr int kDevIfindex = 1;
inline constexpr int kDevXdpFeatures = 3;
inline constexpr int kDevRxMetadata = 5;   // Its bits: SLUICE_HINT_.
inline constexpr int kDevXskFeatures = 6;  // Linux 6.8; its bits:
inline constexpr std::uint64_t kXskTxTimestamp = 1;
inline constexpr std::uint64_t kXskTxChecksum = 2;
inline constexpr std::uint64_t kXskTxLaunchTime = 4;  // Linux 6.14.
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
