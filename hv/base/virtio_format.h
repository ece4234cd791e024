/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio as bytes: device types, features, registers, rings, requests. Shared by the drivers of the
 * machine's virtio devices (drivers/virtio.h) and the models that guests see
 * (guests/devices/virtio_pci.h). Source: Virtual I/O Device (VIRTIO) 1.2, section titles below.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* "PCI Device Discovery" */
#define VIRTIO_VENDOR 0x1af4u
#define VIRTIO_DEVICE_BASE 0x1040u

/* Device types ("Device Types"). */
#define VIRTIO_TYPE_NET 1u
#define VIRTIO_TYPE_BLOCK 2u
#define VIRTIO_TYPE_CONSOLE 3u
#define VIRTIO_TYPE_ENTROPY 4u
#define VIRTIO_TYPE_BALLOON 5u

/* Device status ("Device Status Field"). */
#define VIRTIO_STATUS_ACKNOWLEDGE 0x01u
#define VIRTIO_STATUS_DRIVER 0x02u
#define VIRTIO_STATUS_DRIVER_OK 0x04u
#define VIRTIO_STATUS_FEATURES_OK 0x08u
#define VIRTIO_STATUS_NEEDS_RESET 0x40u
#define VIRTIO_STATUS_FAILED 0x80u

/* Bits of features that belong to no device type ("Reserved Feature Bits"). */
#define VIRTIO_F_INDIRECT_DESC 28u
#define VIRTIO_F_EVENT_IDX 29u
#define VIRTIO_F_VERSION_1 32u
#define VIRTIO_F_ACCESS_PLATFORM 33u
#define VIRTIO_F_RING_RESET 40u

#define VIRTIO_ISR_QUEUE 0x1u
#define VIRTIO_ISR_CONFIG 0x2u

/* "Virtio Structure PCI Capabilities": types, and offsets in the capability. */
#define VIRTIO_PCI_CAP_COMMON_CFG 1u
#define VIRTIO_PCI_CAP_NOTIFY_CFG 2u
#define VIRTIO_PCI_CAP_ISR_CFG 3u
#define VIRTIO_PCI_CAP_DEVICE_CFG 4u
#define VIRTIO_PCI_CAP_PCI_CFG 5u
#define VIRTIO_PCI_CAP_LEN 2u
#define VIRTIO_PCI_CAP_TYPE 3u
#define VIRTIO_PCI_CAP_BAR 4u
#define VIRTIO_PCI_CAP_OFFSET 8u
#define VIRTIO_PCI_CAP_LENGTH 12u
#define VIRTIO_PCI_CAP_MULTIPLIER 16u /* of a notify capability */
#define VIRTIO_PCI_CAP_DATA 16u	      /* pci_cfg_data, of a configuration access capability */
#define VIRTIO_PCI_CAP_BYTES 16u
#define VIRTIO_PCI_NOTIFY_CAP_BYTES 20u
#define VIRTIO_PCI_CFG_CAP_BYTES 20u

#define VIRTIO_NO_VECTOR 0xffffu

/* "Common configuration structure layout" */
struct virtio_pci_common {
	uint32_t device_feature_select;
	uint32_t device_feature;
	uint32_t driver_feature_select;
	uint32_t driver_feature;
	uint16_t config_msix_vector;
	uint16_t num_queues;
	uint8_t device_status;
	uint8_t config_generation;
	uint16_t queue_select;
	uint16_t queue_size;
	uint16_t queue_msix_vector;
	uint16_t queue_enable;
	uint16_t queue_notify_off;
	uint64_t queue_desc;
	uint64_t queue_driver;
	uint64_t queue_device;
	uint16_t queue_notify_data;
	uint16_t queue_reset;
	uint32_t unused; /* of this structure's alignment; reads 0 */
};
static_assert(sizeof(struct virtio_pci_common) == 64, "common configuration");
static_assert(offsetof(struct virtio_pci_common, device_status) == 20, "common configuration");
static_assert(offsetof(struct virtio_pci_common, queue_desc) == 32, "common configuration");
static_assert(offsetof(struct virtio_pci_common, queue_reset) == 58, "common configuration");

/* "Split Virtqueues" */
#define VIRTQ_DESC_F_NEXT 1u
#define VIRTQ_DESC_F_WRITE 2u
#define VIRTQ_DESC_F_INDIRECT 4u
#define VIRTQ_AVAIL_F_NO_INTERRUPT 1u
#define VIRTQ_USED_F_NO_NOTIFY 1u

struct virtq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};
static_assert(sizeof(struct virtq_desc) == 16, "The Virtqueue Descriptor Table");

struct virtq_used_elem {
	uint32_t id;
	uint32_t len;
};
static_assert(sizeof(struct virtq_used_elem) == 8, "The Virtqueue Used Ring");

/* --- "Network Device" --- */
#define VIRTIO_NET_F_CSUM 0u
#define VIRTIO_NET_F_GUEST_CSUM 1u
#define VIRTIO_NET_F_MTU 3u
#define VIRTIO_NET_F_MAC 5u
#define VIRTIO_NET_F_GUEST_TSO4 7u
#define VIRTIO_NET_F_GUEST_TSO6 8u
#define VIRTIO_NET_F_HOST_TSO4 11u
#define VIRTIO_NET_F_HOST_TSO6 12u
#define VIRTIO_NET_F_HOST_ECN 13u
#define VIRTIO_NET_F_MRG_RXBUF 15u
#define VIRTIO_NET_F_STATUS 16u
#define VIRTIO_NET_F_CTRL_VQ 17u
#define VIRTIO_NET_F_CTRL_RX 18u
#define VIRTIO_NET_F_CTRL_RX_EXTRA 20u
#define VIRTIO_NET_F_CTRL_MAC_ADDR 23u

#define VIRTIO_NET_HDR_F_NEEDS_CSUM 1u
#define VIRTIO_NET_HDR_F_DATA_VALID 2u
#define VIRTIO_NET_HDR_GSO_ECN 0x80u
#define VIRTIO_NET_S_LINK_UP 1u

/* "Device configuration layout" */
struct virtio_net_config_space {
	uint8_t mac[6];
	uint16_t status;
	uint16_t max_virtqueue_pairs;
	uint16_t mtu;
};
static_assert(sizeof(struct virtio_net_config_space) == 12, "device configuration");

/* Before each frame, either way ("Device Operation"); `num_buffers` is meant for the driver. */
struct virtio_net_hdr {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
	uint16_t num_buffers;
};
static_assert(sizeof(struct virtio_net_hdr) == 12, "header of a frame");
static_assert(offsetof(struct virtio_net_hdr, num_buffers) == 10, "header of a frame");

/* --- "Block Device" --- */

#define VIRTIO_BLK_F_SIZE_MAX 1u
#define VIRTIO_BLK_F_SEG_MAX 2u
#define VIRTIO_BLK_F_RO 5u
#define VIRTIO_BLK_F_BLK_SIZE 6u
#define VIRTIO_BLK_F_FLUSH 9u
#define VIRTIO_BLK_F_TOPOLOGY 10u
#define VIRTIO_BLK_F_MQ 12u
#define VIRTIO_BLK_F_DISCARD 13u
#define VIRTIO_BLK_F_WRITE_ZEROES 14u

#define VIRTIO_BLK_T_IN 0u
#define VIRTIO_BLK_T_OUT 1u
#define VIRTIO_BLK_T_FLUSH 4u
#define VIRTIO_BLK_T_GET_ID 8u
#define VIRTIO_BLK_T_DISCARD 11u
#define VIRTIO_BLK_T_WRITE_ZEROES 13u

#define VIRTIO_BLK_S_OK 0u
#define VIRTIO_BLK_S_IOERR 1u
#define VIRTIO_BLK_S_UNSUPP 2u

#define VIRTIO_BLK_ID_BYTES 20u
/* "Device configuration layout" */
struct virtio_blk_space {
	uint64_t capacity; /* in sectors of 512 bytes, whatever blk_size is */
	uint32_t size_max;
	uint32_t seg_max;
	uint16_t cylinders;
	uint8_t heads;
	uint8_t sectors;
	uint32_t blk_size;
	uint8_t physical_block_exp;
	uint8_t alignment_offset;
	uint16_t min_io_size;
	uint32_t opt_io_size;
	uint8_t writeback;
	uint8_t unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors;
	uint32_t max_discard_seg;
	uint32_t discard_sector_alignment;
	uint32_t max_write_zeroes_sectors;
	uint32_t max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap;
	uint8_t unused1[7];
};
static_assert(sizeof(struct virtio_blk_space) == 64, "device configuration");
static_assert(offsetof(struct virtio_blk_space, num_queues) == 34, "device configuration");
static_assert(offsetof(struct virtio_blk_space, write_zeroes_may_unmap) == 56,
	      "device configuration");
