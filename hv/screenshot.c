/* SPDX-License-Identifier: Apache-2.0 */
/* Making a PNG of a guest's screen. */
#include "hv/screenshot.h"

#include "hv/base/png.h"
#include "hv/base/str.h"
#include "hv/guest.h"
#include "hv/picture.h"
#include "mm/pool.h"

#define STEP_PIXELS 65536u /* some 5 ms */
#define PIECE_ORDER 4u
#define PIECE_BYTES (PAGE_SIZE << PIECE_ORDER)
#define PIECES_MAX 256u /* 16 MiB: what 4096 x 1365 pixels of noise take */

static struct {
	enum screenshot_state state;
	struct guest *guest;
	struct picture picture;
	struct png png;
	uint32_t row; /* the next one */
	struct work work;
	bool work_ready;
	size_t size; /* of the file so far */
	uint8_t *pieces[PIECES_MAX];
} shot;

static bool add_piece(size_t index)
{
	if (index < PIECES_MAX && shot.pieces[index] == NULL) {
		shot.pieces[index] = pool_pages(PIECE_ORDER);
	}
	return index < PIECES_MAX && shot.pieces[index] != NULL;
}

static void keep(void *ctx, const uint8_t *bytes, size_t n)
{
	(void)ctx;
	while (n != 0 && shot.state != SCREENSHOT_FAILED) {
		size_t index = shot.size / PIECE_BYTES;
		size_t offset = shot.size % PIECE_BYTES;
		size_t part = min_u64(n, PIECE_BYTES - offset);

		if (!add_piece(index)) {
			shot.state = SCREENSHOT_FAILED;
			return;
		}
		memcpy(shot.pieces[index] + offset, bytes, part);
		shot.size += part;
		bytes += part;
		n -= part;
	}
}

static void take_row(void *ctx, uint32_t y, const uint32_t *pixels)
{
	(void)ctx;
	(void)y;
	png_row(&shot.png, pixels);
}

static bool step(struct work *w)
{
	uint32_t rows = STEP_PIXELS / shot.picture.mode.width;

	(void)w;
	if (shot.state != SCREENSHOT_DRAWING) {
		return false;
	}
	if (shot.guest->vga == NULL) {
		shot.state = SCREENSHOT_FAILED;
		return false;
	}
	picture_rows(shot.guest, &shot.picture, shot.row, rows, take_row, NULL);
	shot.row += rows;
	if (shot.row < shot.picture.mode.height) {
		return true;
	}
	png_end(&shot.png);
	if (shot.state == SCREENSHOT_DRAWING) {
		shot.state = SCREENSHOT_READY;
	}
	return false;
}

bool screenshot_begin(struct guest *g)
{
	screenshot_end();
	if (!picture_begin(g, &shot.picture)) {
		return false;
	}
	if (!shot.work_ready) {
		work_init(&shot.work, step);
		shot.work_ready = true;
	}
	shot.guest = g;
	shot.row = 0;
	shot.state = SCREENSHOT_DRAWING;
	png_begin(&shot.png, shot.picture.mode.width, shot.picture.mode.height, keep, NULL);
	work_start(&shot.work);
	return true;
}

enum screenshot_state screenshot_state(void)
{
	return shot.state;
}

size_t screenshot_read(size_t at, uint8_t *out, size_t n)
{
	size_t done = 0;

	while (done < n && at + done < shot.size) {
		size_t offset = (at + done) % PIECE_BYTES;
		size_t part =
			min_u64(min_u64(n - done, PIECE_BYTES - offset), shot.size - at - done);

		memcpy(out + done, shot.pieces[(at + done) / PIECE_BYTES] + offset, part);
		done += part;
	}
	return done;
}

void screenshot_end(void)
{
	for (unsigned i = 0; i < PIECES_MAX && shot.pieces[i] != NULL; i++) {
		pool_pages_free(shot.pieces[i], PIECE_ORDER);
		shot.pieces[i] = NULL;
	}
	shot.size = 0;
	shot.state = SCREENSHOT_NONE;
}
