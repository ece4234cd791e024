/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's balloon in the monitor: how much memory it is asked to do with, and what it tells. */
#include "guests/devices/virtio_balloon.h"
#include "hv/api/clock.h"
#include "hv/guest.h"
#include "hv/monitor.h"

/* As `memory` in guest.conf. */
#define MEMORY_MIN MIB(16)

/* By tag, as struct virtio_balloon_info has them. */
static const char *const stat_names[VIRTIO_BALLOON_STATS_MAX] = {
	"swap_in_bytes",       "swap_out_bytes",   "major_faults",    "minor_faults",
	"free_bytes",	       "total_bytes",	   "available_bytes", "disk_caches_bytes",
	"hugetlb_allocations", "hugetlb_failures",
};

/* NULL, and it says why, when the guest cannot be asked for memory. */
static struct virtio_balloon *balloon_with_driver(const struct guest *g)
{
	struct virtio_balloon_info info;

	if (!g->config->balloon) {
		monitor_print("%s has no balloon; balloon = on in its guest.conf gives it one\n",
			      g->vm.name);
		return NULL;
	}
	if (g->balloon == NULL) {
		monitor_print("%s is not running\n", g->vm.name);
		return NULL;
	}
	virtio_balloon_info(g->balloon, &info);
	if (!info.live) {
		monitor_print("%s has loaded no driver for its balloon (virtio_balloon)\n",
			      g->vm.name);
		return NULL;
	}
	return g->balloon;
}

void monitor_set_memory(struct guest *g, struct span value)
{
	struct virtio_balloon *balloon;
	uint64_t bytes;

	if (span_to_size(value, &bytes) != HV_OK || bytes < MEMORY_MIN ||
	    bytes > g->config->memory) {
		monitor_print("memory is %luM to %luM, which is what the guest was started with\n",
			      MEMORY_MIN >> 20, g->config->memory >> 20);
		return;
	}
	balloon = balloon_with_driver(g);
	if (balloon != NULL) {
		virtio_balloon_set_target(balloon, g->config->memory - bytes);
		monitor_print("%s: asked to do with %lu MiB of %lu MiB\n", g->vm.name, bytes >> 20,
			      g->config->memory >> 20);
	}
}

void monitor_stats_balloon(const struct guest *g)
{
	struct virtio_balloon_info info;

	if (g->balloon == NULL) {
		return;
	}
	virtio_balloon_info(g->balloon, &info);
	monitor_print("balloon.driver %u\n", info.live);
	monitor_print("balloon.target_bytes %lu\n", info.target);
	monitor_print("balloon.actual_bytes %lu\n", info.actual);
	monitor_print("balloon.inflated_bytes %lu\n", info.inflated);
	monitor_print("balloon.reported_bytes %lu\n", info.reported);
	monitor_print("balloon.refused %lu\n", info.refused);
	for (unsigned tag = 0; tag < VIRTIO_BALLOON_STATS_MAX; tag++) {
		if ((info.valid & BIT32(tag)) != 0) {
			monitor_print("balloon.%s %lu\n", stat_names[tag], info.stats[tag]);
		}
	}
	if (info.valid != 0) {
		monitor_print("balloon.age_us %lu\n", clock_ticks_to_ns(info.age) / 1000);
	}
	virtio_balloon_ask_stats(g->balloon);
}
