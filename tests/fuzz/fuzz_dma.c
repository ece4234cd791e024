/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any accesses to the DMA controllers and any transfers of devices, against a second computation of
 * where each byte goes. Memory is touched only where the channel's registers say.
 */
#include <stdlib.h>
#include <string.h>

#include "guests/devices/dma8237.h"
#include "tests/fakes/device_rig.h"
#include "tests/fakes/virtio_rig.h"
#include "tests/fuzz/saved_input.h"

#define DATA_BYTES 0x900u

static struct dma8237 d;
static uint8_t data[DATA_BYTES];

/* Byte `i` of the next transfer of a channel, one at a time. */
static uint64_t place_of(unsigned channel, const struct dma_channel *c, uint32_t i)
{
	static const uint8_t pages[DMA_CHANNELS] = {0x7, 0x3, 0x1, 0x2, 0xf, 0xb, 0x9, 0xa};
	uint32_t size = channel < 4 ? 1 : 2;
	uint32_t unit = i / size;
	uint16_t at =
		(uint16_t)((c->mode & DMA_MODE_DOWN) != 0 ? c->address - unit : c->address + unit);
	uint64_t page = d.pages[pages[channel]];

	return size == 1 ? page << 16 | at : (page & 0xfe) << 16 | (uint64_t)at << 1 | i % 2;
}

static uint8_t byte_at(uint64_t addr)
{
	return rig_is_ram(addr, 1) ? *(uint8_t *)rig_at(addr) : 0xff;
}

/* A transfer that goes over what it wrote is not looked at. */
static void check_to_memory(unsigned channel, const struct dma_channel *was, uint32_t moved)
{
	for (uint32_t i = 0; i < moved && moved < DATA_BYTES / 2; i++) {
		uint64_t at = place_of(channel, was, i);

		assert(!rig_is_ram(at, 1) || byte_at(at) == data[i]);
	}
}

static void check_from_memory(unsigned channel, const struct dma_channel *was, uint32_t moved)
{
	for (uint32_t i = 0; i < moved; i++) {
		assert(data[i] == byte_at(place_of(channel, was, i)));
	}
}

static void transfer(struct input *in)
{
	unsigned channel = (unsigned)take(in, 1) % DMA_CHANNELS;
	uint32_t bytes = (uint32_t)take(in, 2) % (DATA_BYTES + 1);
	bool to_memory = take(in, 1) & 1;
	const struct dma_channel was = d.controllers[channel / 4].channels[channel % 4];
	uint32_t size = channel < 4 ? 1 : 2;
	bool terminal;
	uint32_t moved;

	memset(data, (int)bytes, sizeof(data));
	data[0] = (uint8_t)~bytes;
	moved = dma8237_transfer(&d, channel, to_memory, data, bytes, &terminal);
	assert(moved <= bytes && moved % size == 0 && moved / size <= was.count + 1u);
	assert(terminal == (moved / size == was.count + 1u));
	assert(moved == 0 || channel != DMA_CASCADE);
	if ((was.mode & DMA_MODE_TYPE) == DMA_MODE_VERIFY) {
		return;
	}
	if (to_memory) {
		check_to_memory(channel, &was, moved);
	} else {
		check_from_memory(channel, &was, moved);
	}
}

static uint16_t take_port(struct input *in)
{
	uint8_t which = (uint8_t)take(in, 1);

	if (which < 0x40) {
		return which & 0x1f;
	}
	if (which < 0x80) {
		return (uint16_t)(DMA_MASTER_PORT + (which & 0x1f));
	}
	return (uint16_t)(which < 0xc0 ? DMA_PAGE_PORT + which % DMA_PAGE_PORTS
				       : DMA_PAGE_ALIAS_PORT + which % DMA_PAGE_ALIAS_PORTS);
}

static void step(struct input *in)
{
	uint8_t op = (uint8_t)take(in, 1);
	uint16_t port;

	switch (op & 7) {
	case 0:
		transfer(in);
		break;
	case 1:
		port = take_port(in);
		(void)rig_read(&d.dev, BUS_PIO, port, 1u << (op >> 3) % 3);
		break;
	case 2:
		if ((op & 8) != 0) {
			(void)fuzz_reload(in, &d.saved, 0);
		} else if (op == 0xf2) {
			d.dev.ops->reset(&d.dev);
		}
		break;
	default:
		port = take_port(in);
		rig_write(&d.dev, BUS_PIO, port, 1, take(in, 1));
		break;
	}
}

static void invariants(void)
{
	for (unsigned i = 0; i < DMA_CONTROLLERS; i++) {
		const struct dma_controller *c = &d.controllers[i];

		assert(((c->mask | c->terminal | c->requests) & 0xf0) == 0);
		for (unsigned k = 0; k < DMA_CONTROLLER_CHANNELS; k++) {
			assert((c->channels[k].mode & 3) == 0);
		}
	}
}

static void fill_memory(void)
{
	static uint8_t pattern[RIG_RAM_SIZE];
	static bool made;

	for (size_t i = 0; !made && i < sizeof(pattern); i++) {
		pattern[i] = (uint8_t)(i ^ i >> 8);
	}
	made = true;
	memcpy(rig_ram, pattern, sizeof(rig_ram));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input in = {bytes, size};
	const struct dma8237_config cfg = {.cascade_open = true};

	fill_memory();
	dma8237_init(&d, &cfg);
	/* Most of what is tried is to be in memory. */
	memset(d.pages, RIG_RAM_BASE >> 16, sizeof(d.pages));
	while (in.n != 0) {
		step(&in);
		invariants();
	}
	return 0;
}
