/* SPDX-License-Identifier: Apache-2.0 */
/* Getting the 8259 pair out of the way. */
#include "drivers/pic.h"

#include "hv/base/check.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/trap.h"

#define MASTER_COMMAND 0x20
#define MASTER_DATA 0x21
#define SLAVE_COMMAND 0xa0
#define SLAVE_DATA 0xa1
#define POST_PORT 0x80

#define ICW1_INIT_ICW4 0x11u
#define ICW3_MASTER 0x04u /* the slave is at line 2 */
#define ICW3_SLAVE 0x02u
#define ICW4_8086 0x01u
#define OCW2_EOI 0x20u
#define OCW3_READ_ISR 0x0bu
#define MASK_ALL 0xffu

#define CASCADE_LINE 2u
#define SPURIOUS_LINE 7u

/* A write and the pause an old chip needs before the next one. */
static void write(uint16_t port, unsigned value)
{
	cpu_out8(port, (uint8_t)value);
	cpu_out8(POST_PORT, 0);
}

static void program(uint16_t command, uint16_t data, unsigned vector, unsigned icw3)
{
	write(command, ICW1_INIT_ICW4);
	write(data, vector);
	write(data, icw3);
	write(data, ICW4_8086);
	write(data, MASK_ALL);
}

static bool in_service(uint16_t command, unsigned line)
{
	cpu_out8(command, OCW3_READ_ISR);
	return (cpu_in8(command) >> line & 1) != 0;
}

/*
 * Line 7 without a bit in service is spurious and gets no EOI. When it is the slave's, the master
 * did see a real interrupt on the cascade line.
 */
static void master_line_7(void)
{
	if (in_service(MASTER_COMMAND, SPURIOUS_LINE)) {
		cpu_out8(MASTER_COMMAND, OCW2_EOI);
	}
}

static void slave_line_7(void)
{
	if (in_service(SLAVE_COMMAND, SPURIOUS_LINE)) {
		cpu_out8(SLAVE_COMMAND, OCW2_EOI);
	}
	if (in_service(MASTER_COMMAND, CASCADE_LINE)) {
		cpu_out8(MASTER_COMMAND, OCW2_EOI);
	}
}

void host_pic_disable(uint8_t first_vector)
{
	CHECK(first_vector >= TRAP_IRQ_FIRST && first_vector <= 0xf0 && first_vector % 8 == 0);
	write(MASTER_DATA, MASK_ALL);
	write(SLAVE_DATA, MASK_ALL);
	program(MASTER_COMMAND, MASTER_DATA, first_vector, ICW3_MASTER);
	program(SLAVE_COMMAND, SLAVE_DATA, first_vector + 8u, ICW3_SLAVE);
	trap_set_irq(first_vector + SPURIOUS_LINE, master_line_7);
	trap_set_irq(first_vector + 8u + SPURIOUS_LINE, slave_line_7);
}
