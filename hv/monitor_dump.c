/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as lines of base64. */
#include "hv/monitor_dump.h"

#include "hv/base/base64.h"
#include "hv/monitor.h"

void monitor_dump(const char *kind, const char *name, const uint8_t *bytes, size_t n)
{
	char line[BASE64_CHARS(MONITOR_DUMP_LINE) + 1];

	while (n > 0) {
		size_t piece = n < MONITOR_DUMP_LINE ? n : MONITOR_DUMP_LINE;

		base64_encode(bytes, piece, line);
		monitor_print("%s %s %s\n", kind, name, line);
		bytes += piece;
		n -= piece;
	}
}
