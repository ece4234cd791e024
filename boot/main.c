/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The UEFI loader, BOOTX64.EFI: from the firmware's call to the jump into the hypervisor, one step
 * after the other. Up to the last step a failure is explained and leads back to the firmware.
 */
#include <efi.h>
#include <efilib.h>

#include "boot/boot_insn.h"
#include "boot/console.h"
#include "boot/cpu_facts.h"
#include "boot/elf.h"
#include "boot/files.h"
#include "boot/firmware.h"
#include "boot/handoff.h"
#include "boot/leave.h"
#include "boot/pages.h"
#include "boot/preflight.h"

/* Application processors start in real mode: below 640 KiB, where no firmware keeps devices. */
#define TRAMPOLINE_LIMIT 0xa0000
#define REFUSAL_SECONDS 10

/* boot/hv_blob.S */
extern const char hv_blob_start[];
extern const char hv_blob_end[];

/* boot/enter.S */
_Noreturn void boot_enter(uint64_t cr3, uint64_t entry, uint64_t handoff);

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system_table);

/* Shows why not, gives a person time to read it, and names the firmware's way to go on. */
static EFI_STATUS refuse(const char *reason, const char *remedy)
{
	console_print(L"bulkhead: cannot run here: %a\n", reason);
	if (remedy != NULL) {
		console_print(L"bulkhead: remedy: %a\n", remedy);
	}
	if (console_has_screen()) {
		console_countdown(REFUSAL_SECONDS);
	}
	console_print(L"bulkhead: going back to the firmware\n");
	return EFI_UNSUPPORTED;
}

static struct handoff *new_handoff(uint64_t tsc, uint16_t serial_port)
{
	struct handoff *handoff = pages_take(sizeof(*handoff), HANDOFF_MEM_LOADER);

	if (handoff != NULL) {
		*handoff = (struct handoff){
			.magic = HANDOFF_MAGIC,
			.version = HANDOFF_VERSION,
			.size = sizeof(*handoff),
			.efi_system_table = (uint64_t)ST,
			.tsc_at_entry = tsc,
			.serial_port = serial_port,
		};
	}
	return handoff;
}

static void read_files(EFI_HANDLE image, struct handoff *handoff)
{
	struct files files = {0};

	files_read(image, &files);
	handoff->modules = (uint64_t)files.list;
	handoff->module_count = files.count;
	handoff->tsc_images_read = boot_rdtsc();
	console_print(L"bulkhead: %ld entries below \\bulkhead, %ld KiB read\n",
		      (UINT64)files.count, (files.bytes + 1023) >> 10);
}

static void gather_facts(struct handoff *handoff)
{
	firmware_find_tables(handoff);
	firmware_find_framebuffer(handoff);
	firmware_list_cpus(handoff);
	handoff->trampoline = (uint64_t)pages_take_below(TRAMPOLINE_LIMIT, HANDOFF_MEM_LOADER);
}

/* Lays the embedded image out in memory. NULL, or what is wrong. */
static const char *load_image(struct elf_plan *plan, struct handoff *handoff)
{
	const char *wrong = elf_plan(hv_blob_start, (size_t)(hv_blob_end - hv_blob_start), plan);
	void *memory;

	if (wrong != NULL) {
		return wrong;
	}
	memory = pages_take(plan->span, HANDOFF_MEM_IMAGE);
	if (memory == NULL) {
		return "no memory for the hypervisor image";
	}
	elf_load(plan, hv_blob_start, memory);
	handoff->image_base = (uint64_t)memory;
	handoff->image_size = plan->span;
	return NULL;
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system_table)
{
	uint64_t tsc = boot_rdtsc();
	uint16_t serial_port;
	struct cpu_facts facts;
	struct preflight_verdict verdict;
	struct handoff *handoff;
	struct elf_plan plan;
	const char *wrong;
	EFI_STATUS status;

	InitializeLib(image, system_table);
	uefi_call_wrapper(BS->SetWatchdogTimer, 4, 0, 0, 0, NULL);

	serial_port = console_init();
	console_print(L"bulkhead: Bulkhead, a hypervisor for x86-64, loading\n");

	cpu_facts_read(&facts);
	verdict = preflight_check(&facts);
	if (verdict.result == PREFLIGHT_REFUSED) {
		return refuse(verdict.reason, verdict.remedy);
	}
	console_print(L"bulkhead: %a CPU, %a\n", facts.vendor, verdict.reason);

	handoff = new_handoff(tsc, serial_port);
	if (handoff == NULL) {
		return refuse("no memory", NULL);
	}
	read_files(image, handoff);
	gather_facts(handoff);
	wrong = load_image(&plan, handoff);
	if (wrong != NULL) {
		return refuse(wrong, NULL);
	}
	status = leave_boot_services(image, &plan, handoff);
	if (EFI_ERROR(status)) {
		return status;
	}
	boot_enter(handoff->boot_cr3, plan.entry, HANDOFF_DIRECT_BASE + (uint64_t)handoff);
}
