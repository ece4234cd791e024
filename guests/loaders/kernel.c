/* SPDX-License-Identifier: Apache-2.0 */
/* One face for the loaders. */
#include "guests/loaders/kernel.h"

#include "guests/loaders/linux_header.h"

/* What the initrd is called among modules. */
#define INITRD_STRING "initrd"

static enum hv_status plan_linux(const struct kernel_source *src, struct linux_plan *out,
				 struct load_error *err)
{
	struct linux_source source = {
		.kernel = src->kernel,
		.kernel_size = src->kernel_size,
		.initrd = src->initrd,
		.initrd_size = src->initrd_size,
		.cmdline = src->cmdline,
		.rsdp = src->rsdp,
		.map = src->map,
		.vga = src->vga,
	};

	if (src->module_count != 0) {
		return load_fail(err, HV_E_INVALID,
				 "module = is for Multiboot kernels; a bzImage has an initrd");
	}
	return linux_plan(&source, out, err);
}

static void add_module(struct multiboot_source *source, const struct multiboot_module *module)
{
	if (source->module_count < MULTIBOOT_MODULES_MAX) {
		source->modules[source->module_count] = *module;
	}
	source->module_count++; /* the plan says when there are too many */
}

static enum hv_status plan_multiboot(const struct kernel_source *src, struct multiboot_plan *out,
				     struct load_error *err)
{
	struct multiboot_module initrd = {src->initrd, src->initrd_size, INITRD_STRING};
	struct multiboot_source source = {
		.kernel = src->kernel,
		.kernel_size = src->kernel_size,
		.cmdline = src->cmdline,
		.map = src->map,
	};

	if (src->initrd_size != 0) {
		add_module(&source, &initrd);
	}
	for (unsigned i = 0; i < src->module_count; i++) {
		add_module(&source, &src->modules[i]);
	}
	return multiboot_plan(&source, out, err);
}

enum hv_status kernel_plan(const struct kernel_source *src, struct kernel_plan *out,
			   struct load_error *err)
{
	bool multiboot = !linux_header_is(src->kernel, src->kernel_size) &&
			 multiboot_image_is(src->kernel, src->kernel_size);

	out->kind = multiboot ? KERNEL_MULTIBOOT : KERNEL_LINUX;
	return multiboot ? plan_multiboot(src, &out->multiboot, err)
			 : plan_linux(src, &out->bzimage, err);
}

enum hv_status kernel_load_step(const struct kernel_plan *plan, struct load_progress *progress,
				uint64_t budget, const struct guest_writer *writer, bool *done)
{
	if (plan->kind == KERNEL_MULTIBOOT) {
		return multiboot_load_step(&plan->multiboot, progress, budget, writer, done);
	}
	return linux_load_step(&plan->bzimage, progress, budget, writer, done);
}

void kernel_entry_state(const struct kernel_plan *plan, struct load_entry *out)
{
	if (plan->kind == KERNEL_MULTIBOOT) {
		multiboot_entry_state(&plan->multiboot, out);
	} else {
		linux_entry_state(&plan->bzimage, out);
	}
}

bool kernel_expects_bios(const struct kernel_plan *plan)
{
	return plan->kind == KERNEL_MULTIBOOT;
}

bool kernel_leaves_low_memory(const struct kernel_plan *plan)
{
	return plan->kind != KERNEL_MULTIBOOT || !plan->multiboot.low_taken;
}
