/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses on the target are what they are; section bounds come from linker.ld. */
#include "mm/access.h"

#include "mm/ptw.h"

extern const char hv_text_start[], hv_text_end[];
extern const char hv_rodata_start[], hv_rodata_end[];
extern const char hv_data_start[], hv_data_end[];
extern const char hv_bss_start[], hv_bss_end[];

hva_t access_va(const void *p)
{
	return hva_of_ptr(p);
}

static struct access_section section(const char *start, const char *end, uint8_t rights)
{
	return (struct access_section){hva_of_ptr(start).v, hva_of_ptr(end).v, rights};
}

void access_image(struct access_section out[ACCESS_SECTIONS])
{
	out[0] = section(hv_text_start, hv_text_end, PT_R | PT_X);
	out[1] = section(hv_rodata_start, hv_rodata_end, PT_R);
	out[2] = section(hv_data_start, hv_data_end, PT_RW);
	out[3] = section(hv_bss_start, hv_bss_end, PT_RW);
}
