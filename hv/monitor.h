/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor: a line of keys in, a command out. It is driven by console keys and never blocks, so
 * it works while guests are busy or hung.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/fmt.h"
#include "hv/base/str.h"

#define MONITOR_LINE_MAX 200u

/* What only hv/main.c can do. */
struct monitor_ops {
	void (*power_off)(void);
	void (*reboot)(void);
	/* Prints the machine's facts with monitor_print. */
	void (*describe_machine)(void);
};

/* `show_prompt`: false while every guest's lines are printed (`console = all`). */
void monitor_init(const struct monitor_ops *ops, bool show_prompt);
/* One key for the monitor. */
void monitor_key(char c);
/* Goes on with a command that takes its time; now and then, after RUN_CHORE_INPUT. */
void monitor_poll(void);
/* The prompt and what was typed so far, to be drawn again after other text. */
size_t monitor_prompt(char *buf, size_t cap);
/* Text of a command's answer. */
void monitor_print(const char *fmt, ...) FMT_PRINTF(1, 2);

/* --- between the monitor's files --- */

struct guest;

struct monitor_command {
	const char *name;
	const char *arguments;
	const char *what;
	void (*run)(struct span args);
};

const struct monitor_command *monitor_commands(size_t *count);
const struct monitor_ops *monitor_actions(void);
/* The answers of `info` (hv/monitor_info.c). */
void monitor_info(struct span args);
/* `stats NAME`: stable `key value` lines. */
void monitor_stats(struct span args);
/* What concerns disks in `info disks`, `info memory` and `stats` (hv/monitor_disks.c). */
struct guest;
void monitor_info_disks(void);
void monitor_eject(struct span args);
void monitor_insert(struct span args);
void monitor_memory_of_disks(void);
void monitor_stats_disks(struct guest *g);
/* The guest an argument names; says so and returns NULL when there is none. */
struct guest *monitor_guest(struct span *args);
/* The number in `args`, or `fallback` when there is none; says so and returns false when it is not
 * a number. */
bool monitor_number(struct span args, uint64_t fallback, uint64_t *out);
/* `info windows NAME` (hv/monitor_windows.c). */
void monitor_windows(struct span args);
/* `set NAME KEY VALUE` (hv/monitor_set.c). */
void monitor_set(struct span args);
/* `top [N]` (hv/monitor_top.c): begins to count; the answer comes from monitor_top_refresh. */
void monitor_top(struct span args);
/* Whether its answer is still to come: there is no prompt until then. */
bool monitor_top_active(void);
/* Prints when it is time to; not active any more after the last time. */
void monitor_top_refresh(void);
/* Harmless when it is not active. */
void monitor_top_end(void);
/* `info networks`, a guest's NICs in `stats`, `capture` (hv/monitor_net.c). */
void monitor_networks(void);
void monitor_stats_nics(const struct guest *g);
/* `stats`: the lines of a guest's balloon; asks its driver for what the next call shows. */
void monitor_stats_balloon(const struct guest *g);
/* `set NAME memory`: what the guest is asked to do with. */
void monitor_set_memory(struct guest *g, struct span value);
void monitor_capture(struct span args);
/* `capture NAME dump` prints over some time, as `top` does. */
bool monitor_dump_active(void);
void monitor_dump_refresh(void);
void monitor_dump_end(void);
/* `screenshot NAME`, which prints over some time as well, `keys`, `type`, `mouse`
 * (hv/monitor_screen.c).
 */
void monitor_screenshot(struct span args);
bool monitor_screenshot_active(void);
void monitor_screenshot_refresh(void);
void monitor_screenshot_end(void);
void monitor_keys(struct span args);
void monitor_type(struct span args);
void monitor_mouse(struct span args);
