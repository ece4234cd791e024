/* SPDX-License-Identifier: Apache-2.0 */
/* The list of cases, by the file they are in. Ends with a NULL name. */
#pragma once

struct rt_case {
	const char *name;
	void (*run)(void);
};

extern const struct rt_case rt_cases[];

/* cpu.c */
void case_triple_fault(void);
void case_cli_hlt(void);
void case_spin(void);
void case_broken_gate(void);
void case_broken_idt(void);
void case_bad_stack(void);
void case_idt_in_hole(void);
void case_cr3_hole(void);
void case_jump_hole(void);
void case_jump_apic(void);
void case_privileged(void);
void case_bad_control(void);
void case_single_step(void);
void case_unpaged(void);

/* ports.c */
void case_ports_read(void);
void case_ports_write(void);
void case_port_sleep_types(void);
void case_string_io(void);

/* mmio.c */
void case_mmio_scan(void);
void case_mmio_strings(void);
void case_mmio_edges(void);
void case_mmio_odd(void);

/* msr.c */
void case_msr_scan(void);
void case_apic_move(void);

/* reset.c */
void case_reset_cf9(void);
void case_reset_keyboard(void);
void case_reset_port92(void);
void case_power_off(void);

/* apic.c */
void case_timer_storm(void);
void case_apic_timer(void);
void case_apic_priority(void);
void case_apic_cr8(void);
void case_x2apic(void);

/* hypercall.c */
void case_hypercall(void);

/* hyperv.c */
void case_hyperv(void);

/* irq.c */
void case_pit_pic(void);
void case_pit_ioapic(void);
void case_uart_irq(void);
void case_rtc_irq(void);

/* pci.c */
void case_pci(void);

/* pci_hostile.c */
void case_pci_hostile(void);

/* virtio_blk.c */
void case_virtio_blk(void);

/* virtio_net.c */
void case_virtio_net_loop(void);
void case_net_flood(void);

/* virtio_wrong.c */
void case_virtio_wrong(void);

/* virtio_hostile.c */
void case_virtio_hostile(void);

/* e1000_hostile.c */
void case_e1000_hostile(void);

/* nvme_hostile.c, ahci_hostile.c, ide_hostile.c */
void case_nvme_hostile(void);
void case_ahci_hostile(void);
void case_ide_hostile(void);

/* virtio_reset.c */
void case_virtio_reset(void);

/* io_load.c */
void case_io_load(void);

/* vga.c */
void case_vga(void);

/* time.c */
void case_heartbeat(void);
void case_clocks(void);

/* cpuid.c */
void case_cpuid(void);
void case_clean_start(void);

/* registers.c */
void case_registers(void);

/* memory.c */
void case_memory_zero(void);
void case_memory_fill(void);
void case_memory_search(void);

/* smp.c */
void case_smp(void);
void case_smp_load(void);

/* share.c */
void case_count(void);
void case_wake(void);
