/* SPDX-License-Identifier: Apache-2.0 */
/* The log: a ring for the monitor and a sink for people. */
#include "hv/base/log.h"

#include <stdarg.h>
#include <stdbool.h>

#include "hv/base/lock.h"
#include "hv/base/str.h"

#define LINE_MAX_CHARS 240
#define RING_BYTES 32768

static struct {
	struct spinlock lock; /* covers all below */
	log_sink_fn *sink;
	enum log_level threshold;
	char buf[RING_BYTES];
	struct ring ring;
} the_log = {
	.threshold = LOG_INFO,
	.ring = {.buf = the_log.buf, .cap = RING_BYTES},
};

static const char *const level_names[LOG_LEVEL_COUNT] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

void log_set_sink(log_sink_fn *sink)
{
	the_log.sink = sink;
}

void log_set_threshold(enum log_level threshold)
{
	the_log.threshold = threshold;
}

bool log_shows(enum log_level level)
{
	return level <= the_log.threshold;
}

const char *log_level_name(enum log_level level)
{
	return (unsigned)level < LOG_LEVEL_COUNT ? level_names[level] : NULL;
}

const struct ring *log_ring(void)
{
	return &the_log.ring;
}

static void emit(const char *prefix, bool show, const char *fmt, va_list args)
{
	char line[LINE_MAX_CHARS + 8];
	size_t n = fmt_snprintf(line, LINE_MAX_CHARS + 1, "%s: ", prefix);

	n += fmt_vsnprintf(line + n, LINE_MAX_CHARS + 1 - n, fmt, args);
	if (n > LINE_MAX_CHARS) {
		n = LINE_MAX_CHARS;
		line[n - 3] = line[n - 2] = line[n - 1] = '.';
	}
	line[n++] = '\n';
	lock_acquire(&the_log.lock);
	ring_write(&the_log.ring, line, n);
	if (show && the_log.sink != NULL) {
		the_log.sink(line, n);
	}
	lock_release(&the_log.lock);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	emit(level_names[level], log_shows(level), fmt, args);
	va_end(args);
}

void log_event(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	emit("bulkhead", true, fmt, args);
	va_end(args);
}
