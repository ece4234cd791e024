/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever a person types, with two guests that start, run, print and stop beside it. Bytes below
 * 0x80 and from 0xe0 on are keys; 0x80.. types a command's name, 0xa0.. a word that commands know,
 * and 0xc0.. lets the run loop go on. At the end everything can be stopped and nothing is left.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hv/base/log.h"
#include "hv/monitor.h"
#include "tests/fakes/vm_rig.h"
#include "tests/fuzz/device_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const words[] = {
	"web ",	 "db ",	    "nobody ", "machine ", "memory ", "isolation ", "policy ",
	"1 ",	 "0 ",	    "999 ",    "0xffff ",  "\r",      "\x1b[A",	    "\x1d",
	"\b",	 "\x03",    "log 5",   "help",	   "-1 ",     "send web ",  "console web\r",
	"cpus ", "weight ", "cap ",    "pin ",	   "all ",    "none ",	    "0-3,8 ",
};

static struct guest_config configs[2];
static struct guest *guests[2];

static void type(const char *keys)
{
	for (; *keys != '\0'; keys++) {
		console_key(*keys);
	}
}

/* The guests print a letter now and then, and sleep. */
static void guest(struct vcpu *vcpu, struct vm_exit *e)
{
	static unsigned count;

	*e = (struct vm_exit){.kind = VM_EXIT_PAUSE, .insn_len = 2};
	if (++count % 3 == 0) {
		vcpu->gpr[GPR_RAX] = count % 21 == 0 ? '\n' : 'a' + count % 26;
		*e = (struct vm_exit){
			.kind = VM_EXIT_IO, .insn_len = 1, .io = {.port = 0x3f8, .size = 1}};
	}
}

static void take_timer(void)
{
	fake_tsc += 1000000;
	vm_rig.host_timer[0] = TIMER_NEVER;
	run_timer_fired();
}

static void prepare(void)
{
	static const char *const names[] = {"web", "db"};

	if (guests[0] != NULL) {
		return;
	}
	vm_rig_machine(false);
	for (unsigned i = 0; i < 2; i++) {
		guests[i] = vm_rig_guest(names[i], &configs[i]);
		configs[i].memory = GUEST_MEMORY_MIN;
		configs[i].restart = (enum guest_restart)i;
	}
	fake_cpu.on_window = fake_cpu.on_idle = take_timer;
	fake_backend.guest = guest;
}

static void take_byte(uint8_t byte)
{
	const struct monitor_command *commands;
	char prompt[CONSOLE_LINE_MAX];
	size_t count;

	if (byte >= 0x80 && byte < 0xa0) {
		commands = monitor_commands(&count);
		type(commands[byte % count].name);
		type(" ");
	} else if (byte >= 0xa0 && byte < 0xc0) {
		type(words[byte % ARRAY_SIZE(words)]);
	} else if (byte >= 0xc0 && byte < 0xe0) {
		for (unsigned i = 0; i < byte - 0xbfu; i++) {
			run_once();
		}
	} else {
		console_key((char)byte);
	}
	if (monitor_prompt(prompt, sizeof(prompt)) >= sizeof(prompt)) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	prepare();
	vm_rig_clear();
	while (in.n > 0) {
		take_byte((uint8_t)take(&in, 1));
	}
	/* Out of any console, escape sequence or line. */
	type("\x1d");
	type("\x03\r");
	/* A start may still wait for the end of a stop. */
	vm_rig_work();
	for (unsigned i = 0; i < 2; i++) {
		vm_rig_end(guests[i]);
		guests[i]->quick_ends = 0;
	}
	if (vm_rig_leaks()) {
		abort();
	}
	return 0;
}
