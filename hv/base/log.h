/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: every line goes to a ring that the monitor's `log` prints and, if its level passes the
 * threshold, to the sink (serial and screen). Event lines are the stable interface for people's
 * scripts: one line each, `bulkhead: ...`, never filtered.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "hv/base/fmt.h"
#include "hv/base/ring.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_LEVEL_COUNT };

/* Receives whole lines, each ending in '\n'. */
typedef void log_sink_fn(const char *line, size_t n);

/* Lines above `threshold` stay in the ring only. `sink` may be NULL. */
void log_set_sink(log_sink_fn *sink);
void log_set_threshold(enum log_level threshold);
/* Whether lines of that level go to the sink. */
bool log_shows(enum log_level level);
/* Lower-case name (error warn info debug); NULL out of range. */
const char *log_level_name(enum log_level level);

/* One line; no '\n' in `fmt`. Longer than 240 characters is cut and ends in "...". */
void log_line(enum log_level level, const char *fmt, ...) FMT_PRINTF(2, 3);
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

/* One event line, prefixed with "bulkhead: ". */
void log_event(const char *fmt, ...) FMT_PRINTF(1, 2);

/* The last 32 KiB of log, all levels. */
const struct ring *log_ring(void);
