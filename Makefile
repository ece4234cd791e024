# SPDX-License-Identifier: Apache-2.0
# Bulkhead's one Makefile. `make help` lists the targets. Everything is built below build/;
# V=1 shows the commands; CC=clang builds with clang (the default is gcc).

CC := gcc
BUILD := build
O := $(BUILD)/$(notdir $(CC))
GEN := $(BUILD)/gen
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
say = @printf '  %-8s %s\n' $(1) $(2)

# ---------------------------------------------------------------- sources, one list per floor

HV_BASE_SRCS := hv/base/fmt.c hv/base/log.c hv/base/ring.c hv/base/status.c hv/base/str.c
HV_BASE_SRCS += hv/base/crc32.c
HV_BASE_SRCS += hv/base/base64.c hv/base/chacha20.c
HV_BASE_SRCS += hv/base/png.c
HV_BASE_SRCS += hv/base/net_sum.c
HV_CPU_SRCS := hv/cpu/ap_start.c hv/cpu/desc.c hv/cpu/features.c hv/cpu/mce.c hv/cpu/percpu.c \
	hv/cpu/rep_movs.c \
	hv/cpu/stack_guard.c hv/cpu/topology.c hv/cpu/trap.c hv/cpu/tsc_sync.c
MM_SRCS := mm/buddy.c mm/frame.c mm/gspace.c mm/init.c mm/isolation.c mm/plan.c mm/pool.c \
	mm/release.c \
	mm/rom.c mm/devmem.c \
	mm/pt_ept.c mm/pt_host.c mm/pt_npt.c mm/ptw.c mm/slab.c mm/space.c mm/window.c
HV_API_SRCS := hv/api/bus.c hv/api/clock.c hv/api/exit.c hv/api/gmem.c \
	hv/api/missed.c \
	hv/api/lacks.c \
	hv/api/reset.c hv/api/timer.c hv/api/vtime.c
HV_API_SRCS += hv/api/blk.c hv/api/vwork.c
HV_API_SRCS += hv/api/saved.c
HV_API_SRCS += hv/api/token_bucket.c
HV_BLK_SRCS := hv/blk/gpt.c hv/blk/image.c hv/blk/limit.c hv/blk/overlay.c hv/blk/partition.c \
	hv/blk/registry.c
HV_BLK_SRCS += hv/blk/varstore.c
HV_BLK_SRCS += hv/blk/boot_kind.c hv/blk/el_torito.c
HV_BLK_SRCS += hv/blk/overlay_tree.c
HV_NET_SRCS := hv/net/capture.c hv/net/frame.c hv/net/mac_table.c hv/net/offload.c hv/net/switch.c
SVM_SRCS := svm/asid.c svm/check.c svm/cpu.c svm/decode.c svm/dump.c svm/event.c svm/features.c \
	svm/nmi.c svm/permissions.c svm/run.c svm/svm.c svm/vcpu.c svm/vmcb.c
VMX_SRCS := vmx/apicv.c vmx/caps.c vmx/check.c vmx/cpu.c vmx/decode.c vmx/dump.c vmx/event.c vmx/mitigate.c \
	vmx/permissions.c vmx/run.c vmx/state.c vmx/vcpu.c vmx/vmcs.c vmx/vmx.c vmx/vpid.c
DRIVERS_SRCS := $(GEN)/font.c drivers/acpi.c drivers/acpi_s5.c drivers/apic.c drivers/fbcon.c \
	drivers/ioapic.c drivers/pic.c drivers/power.c drivers/ps2kbd.c drivers/rtc.c \
	drivers/tsc.c drivers/uart.c
DRIVERS_SRCS += drivers/irq.c drivers/pci.c drivers/pci_irq.c drivers/virtio.c
DRIVERS_SRCS += drivers/ahci.c drivers/ahci_port.c drivers/disk_queue.c drivers/disks.c drivers/e1000.c drivers/nic.c \
	drivers/nvme.c drivers/nvme_queue.c drivers/nvme_start.c drivers/virtio_blk.c drivers/virtio_net.c
GUESTS_SRCS := guests/devices/apic_bus.c guests/devices/cadence.c guests/devices/debug_exit.c guests/devices/ioapic.c \
	guests/devices/lapic.c guests/devices/lapic_page.c guests/devices/lapic_regs.c guests/devices/lapic_timer.c \
	guests/devices/pic8259.c guests/devices/pit8254.c guests/devices/pit_channel.c \
	guests/loaders/kernel.c guests/loaders/linux.c guests/loaders/linux_header.c \
	guests/loaders/load.c guests/loaders/multiboot.c guests/loaders/multiboot_image.c guests/tables/e820.c guests/tables/legacy.c \
	guests/devices/uart16550.c guests/tables/acpi.c $(GEN)/dsdt.c guests/devices/acpi_pm.c \
	guests/devices/misc_ports.c guests/devices/pci_config.c guests/devices/pci_host.c \
	guests/devices/calendar.c guests/devices/cmos_rtc.c guests/devices/i8042.c guests/devices/ps2_keyboard.c guests/devices/scancode.c \
	guests/devices/test_device.c guests/board.c
GUESTS_SRCS += guests/devices/pci_device.c guests/devices/pci_irq.c guests/devices/pci_setup.c \
	guests/devices/pci_window.c guests/devices/virtio_pci.c
GUESTS_SRCS += guests/devices/virtio_pci_saved.c
GUESTS_SRCS += guests/devices/cmos_memory.c
GUESTS_SRCS += guests/devices/bounce.c guests/devices/net_filter.c guests/devices/virtio_balloon.c \
	guests/devices/virtio_blk.c guests/devices/virtio_console.c guests/devices/virtio_net.c \
	guests/devices/virtio_net_ctrl.c guests/devices/virtio_net_tx.c guests/devices/virtio_rng.c \
	guests/devices/virtqueue.c
GUESTS_SRCS += guests/devices/vga_clear.c guests/devices/vga_views.c
GUESTS_SRCS += guests/devices/vga.c guests/devices/vga_dispi.c guests/devices/vga_planes.c guests/devices/vga_regs.c \
	guests/devices/vga_screen.c guests/devices/vga_text.c guests/devices/ps2_mouse.c
GUESTS_SRCS += guests/devices/ahci.c guests/devices/ahci_command.c guests/devices/ahci_data.c \
	guests/devices/ahci_fis.c guests/devices/ahci_piece.c guests/devices/ahci_unit.c
GUESTS_SRCS += guests/devices/ata.c guests/devices/ata_pages.c guests/devices/atapi.c \
	guests/devices/atapi_replies.c
GUESTS_SRCS += guests/board_lines.c
GUESTS_SRCS += guests/devices/blk_single.c
GUESTS_SRCS += guests/devices/blk_pieces.c guests/devices/blk_transfer.c
GUESTS_SRCS += guests/devices/nvme_ctl.c guests/devices/nvme_ctl_admin.c \
	guests/devices/nvme_ctl_features.c guests/devices/nvme_ctl_identify.c guests/devices/nvme_ctl_io.c \
	guests/devices/nvme_ctl_log.c guests/devices/nvme_ctl_prp.c guests/devices/nvme_ctl_ring.c
GUESTS_SRCS += guests/devices/ide_saved.c
GUESTS_SRCS += guests/devices/ahci_saved.c guests/devices/ata_saved.c guests/devices/nvme_ctl_saved.c
GUESTS_SRCS += guests/devices/ide.c guests/devices/ide_bus_master.c guests/devices/ide_channel.c \
	guests/devices/ide_transfer.c
GUESTS_SRCS += guests/devices/hpet.c guests/devices/pflash.c
GUESTS_SRCS += guests/devices/debug_port.c guests/devices/fw_cfg.c guests/firmware.c guests/tables/acpi_loader.c \
	guests/tables/smbios.c
GUESTS_SRCS += guests/devices/e1000.c guests/devices/e1000_filter.c guests/devices/e1000_irq.c guests/devices/e1000_offload.c \
	guests/devices/e1000_phy.c guests/devices/e1000_regs.c guests/devices/e1000_rom.c guests/devices/e1000_rx.c \
	guests/devices/e1000_stats.c guests/devices/e1000_tx.c
GUESTS_SRCS += guests/devices/net_queue.c
GUESTS_SRCS += guests/devices/pci_rom.c guests/devices/virtio_cfg_window.c
GUESTS_SRCS += guests/devices/virtio_net_saved.c guests/devices/e1000_saved.c
GUESTS_SRCS += guests/devices/e1000_clock.c
GUESTS_SRCS += guests/devices/lapic_saved.c guests/devices/vga_saved.c
GUESTS_SRCS += guests/devices/dma8237.c
GUESTS_SRCS += guests/devices/fdc.c guests/devices/fdc_command.c guests/devices/fdc_saved.c \
	guests/devices/fdc_transfer.c guests/devices/floppy_drive.c
HV_SRCS := hv/console.c hv/cpuid_policy.c hv/event.c hv/fpu.c hv/msr_policy.c hv/pv_eoi.c hv/pv_hypercall.c \
	hv/pv_msr.c hv/pv_time.c hv/pvclock.c \
	hv/recorder.c hv/sched.c hv/sched_balance.c hv/sched_budget.c hv/sched_queue.c hv/sched_smt.c \
	hv/wallclock.c hv/work.c hv/emul/alu.c hv/emul/decode.c \
	hv/emul/decode_tables.c hv/emul/emul_arith.c hv/emul/emul_mem.c hv/emul/emul_moves.c \
	hv/emul/emul_segment.c hv/emul/emul_sse.c hv/emul/emul_stack.c hv/emul/emul_string.c hv/emul/emul_system.c hv/emul/emulate.c hv/emul/gwalk.c \
	hv/config.c hv/config_text.c hv/config_tree.c hv/exit.c hv/exit_cr.c hv/exit_emul.c \
	hv/exit_msr.c hv/fetch.c hv/gaddr.c hv/guest.c hv/guest_vm.c hv/monitor.c hv/monitor_commands.c hv/monitor_info.c hv/monitor_set.c hv/monitor_top.c \
	hv/cpus.c hv/platform.c hv/probe.c hv/run.c hv/run_info.c hv/run_smp.c hv/setup.c hv/vcpu.c hv/watchdog.c
HV_SRCS += hv/guest_disk_nvme.c hv/guest_disk_queues.c hv/guest_disk_virtio.c
HV_SRCS += hv/guest_disk_ahci.c
HV_SRCS += hv/monitor_windows.c hv/monitor_dump.c
HV_SRCS += hv/config_disk.c hv/config_net.c hv/guest_disks.c hv/guest_memory.c hv/guest_net.c hv/guest_virtio.c \
	hv/guest_keys.c hv/guest_vga.c hv/keynames.c hv/monitor_screen.c hv/picture.c hv/screen.c hv/screenshot.c \
	hv/monitor_balloon.c hv/monitor_disks.c hv/monitor_net.c hv/random.c hv/setup_net.c hv/setup_uplink.c
HV_SRCS += hv/guest_disk_ide.c
HV_SRCS += hv/guest_devmem.c
HV_SRCS += hv/config_varstore.c hv/guest_varstore.c
HV_SRCS += hv/config_firmware.c hv/guest_firmware.c
HV_SRCS += hv/hyperv.c hv/hyperv_apic.c hv/hyperv_calls.c hv/hyperv_cpuid.c hv/hyperv_hypercall.c hv/hyperv_ports.c \
	hv/hyperv_time.c hv/stimer.c hv/synic.c
HV_SRCS += hv/guest_disk_floppy.c
HV_SRCS += hv/guest_reload.c hv/hyperv_saved.c hv/pv_saved.c
# The honest list of what no host program can link: instructions that only hardware has.
INSN_SRCS := hv/cpu/cpu_insn.c hv/main.c mm/access_insn.c hv/panic.c svm/svm_insn.c vmx/vmx_insn.c
ASM_SRCS := hv/cpu/ap_trampoline.S hv/cpu/entry.S hv/cpu/mem.S hv/cpu/trap.S svm/svm_entry.S vmx/vmx_entry.S
# Headers of structure offsets for assembly: build/gen/X.h from each X.c.
OFFSETS_SRCS := hv/cpu/ap_offsets.c hv/api/vcpu_offsets.c vmx/vmx_offsets.c
BOOT_SRCS := boot/boot_insn.c boot/console.c boot/files.c boot/firmware.c boot/leave.c boot/main.c \
	boot/pages.c
BOOT_ASM_SRCS := boot/enter.S hv/cpu/mem.S
# Parts of boot/ without <efi.h>, linked into unit tests too.
BOOT_PURE_SRCS := boot/cpu_facts.c boot/elf.c boot/memmap.c boot/paging.c boot/path.c boot/preflight.c \
	boot/serial.c

PORTABLE_SRCS := $(HV_BASE_SRCS) $(HV_CPU_SRCS) $(MM_SRCS) $(HV_API_SRCS) $(HV_BLK_SRCS) $(HV_NET_SRCS) \
	$(SVM_SRCS) $(VMX_SRCS) $(DRIVERS_SRCS) $(GUESTS_SRCS) $(HV_SRCS)
TARGET_SRCS := $(PORTABLE_SRCS) $(INSN_SRCS)

UNIT_TESTS := test_alu test_decode_tables test_emul_arith test_emul_decode test_emul_mem \
	test_emul_moves test_emul_sse test_emul_stack test_emul_string test_emul_segment test_emul_system test_emulate test_gwalk \
	test_acpi_pm test_acpi_s5 test_ap_start test_api_exit test_apic_bus test_boot_elf \
	test_boot_memmap test_boot_paging test_boot_path test_boot_preflight test_boot_serial \
	test_buddy test_bus test_cadence test_calendar test_clock test_cmos_rtc test_config \
	test_config_text test_config_tree test_cpu_facts test_desc test_drivers_acpi \
	test_drivers_apic test_drivers_fbcon test_drivers_ioapic test_drivers_pic \
	test_drivers_power test_drivers_ps2kbd test_drivers_rtc test_drivers_tsc test_drivers_uart \
	test_dsdt test_e820 test_event test_features test_font test_frame test_gmem test_gspace \
	test_ioapic test_isolation test_lapic test_lapic_page test_lapic_regs test_lapic_timer test_linux \
	test_misc_ports test_mce \
	test_cmos_memory \
	test_missed \
	test_lacks \
	test_mm_init test_pci_config test_pci_host test_percpu test_pic8259 \
	test_pit8254 test_pit_channel test_plan test_pool test_pt_ept test_pt_host test_pt_npt \
	test_ptw test_sched test_sched_balance test_sched_budget \
	test_sched_queue test_sched_sim test_sched_smt test_slab test_space test_stack_guard test_svm_asid test_svm_check \
	test_svm_cpu test_svm_decode test_svm_dump test_svm_event test_svm_features test_svm_nmi \
	test_svm_permissions test_svm_run test_svm_svm test_svm_vcpu test_svm_vmcb test_exit_parity \
	test_vmx_apicv test_vmx_caps test_vmx_check test_vmx_cpu test_vmx_decode test_vmx_dump test_vmx_event \
	test_vmx_mitigate test_vmx_permissions test_vmx_run test_vmx_state test_vmx_vcpu test_vmx_vmcs \
	test_vmx_vmx test_vmx_vpid \
	test_tables_acpi test_timer test_topology test_trap test_tsc_sync test_uart16550 test_vtime test_window test_linux_header \
	test_i8042 test_ps2_keyboard test_scancode test_load test_kernel test_multiboot test_multiboot_image \
	test_debug_exit test_test_device test_legacy \
	test_fmt test_log test_ring test_status test_str test_console test_pv_eoi test_pv_hypercall test_pv_msr test_pv_time test_pvclock test_recorder \
	test_wallclock test_work test_fpu test_cpuid_policy test_msr_policy test_board \
	test_reset test_guest test_guest_vm test_exit test_exit_cr test_exit_msr test_exit_emul test_gaddr test_vcpu test_fetch test_run test_run_smp test_signals test_monitor \
	test_monitor_commands test_monitor_info test_monitor_cpus test_monitor_set test_monitor_top test_setup test_cpus test_platform test_probe test_watchdog
UNIT_TESTS += test_drivers_ahci test_drivers_ahci_port test_drivers_disk_queue test_drivers_disks test_drivers_e1000 \
	test_drivers_irq test_drivers_nic test_drivers_nvme test_drivers_nvme_queue test_drivers_nvme_start test_drivers_pci \
	test_drivers_pci_irq test_drivers_virtio test_drivers_virtio_blk test_drivers_virtio_net
UNIT_TESTS += test_board_pci test_device_work test_pci_device test_pci_irq test_pci_setup test_pci_window \
	test_virtio_pci test_vwork
UNIT_TESTS += test_overlay_tree
UNIT_TESTS += test_virtio_pci_saved test_virtio_blk_saved test_nvme_ctl_saved
UNIT_TESTS += test_ahci_saved test_ata_saved test_ide_saved
UNIT_TESTS += test_bounce test_guest_virtio test_net_filter test_virtio_balloon test_virtio_blk test_virtio_console \
	test_virtio_net test_virtio_net_ctrl test_virtio_net_tx test_virtio_rng test_virtqueue
UNIT_TESTS += test_blk test_blk_image test_config_disk test_gpt test_guest_disks test_limit test_monitor_disks \
	test_overlay test_partition test_registry
UNIT_TESTS += test_base64 test_config_net test_guest_net test_monitor_net test_net_capture test_net_frame \
	test_net_mac_table test_net_offload test_net_switch test_setup_net test_token_bucket
UNIT_TESTS += test_hpet test_config_varstore test_crc32 test_guest_varstore test_pflash test_rom test_varstore
UNIT_TESTS += test_e1000 test_e1000_filter test_e1000_irq test_e1000_offload test_e1000_phy test_e1000_regs test_e1000_rom \
	test_e1000_rx test_e1000_stats test_e1000_tx
UNIT_TESTS += test_net_queue test_net_sum
UNIT_TESTS += test_chacha20 test_guest_memory test_monitor_balloon test_random test_release test_setup_uplink
UNIT_TESTS += test_vga test_vga_dispi test_vga_planes test_vga_regs test_vga_screen test_vga_text test_devmem
UNIT_TESTS += test_guest_keys test_guest_vga test_keynames test_monitor_screen test_picture test_png test_ps2_mouse \
	test_screen test_screenshot
UNIT_TESTS += test_ahci test_ahci_command test_ahci_data test_ahci_fis test_ahci_piece test_ahci_unit
UNIT_TESTS += test_guest_disk_ahci
UNIT_TESTS += test_run_info test_run_requests
UNIT_TESTS += test_guest_devmem
UNIT_TESTS += test_vga_clear test_vga_views
UNIT_TESTS += test_monitor_windows test_monitor_dump test_guest_disk_queues
UNIT_TESTS += test_ata test_ata_pages test_atapi test_atapi_replies
UNIT_TESTS += test_guest_disk_ide
UNIT_TESTS += test_board_lines
UNIT_TESTS += test_blk_single
UNIT_TESTS += test_bytes
UNIT_TESTS += test_blk_pieces test_blk_transfer
UNIT_TESTS += test_guest_disk_nvme test_guest_disk_virtio test_nvme_ctl test_nvme_ctl_admin \
	test_nvme_ctl_features test_nvme_ctl_identify test_nvme_ctl_io test_nvme_ctl_log test_nvme_ctl_prp \
	test_nvme_ctl_ring
UNIT_TESTS += test_ide test_ide_bus_master test_ide_channel test_ide_transfer
UNIT_TESTS += test_acpi_loader test_config_firmware test_boot_kind test_debug_port test_el_torito test_firmware test_fw_cfg test_guest_firmware \
	test_smbios
UNIT_TESTS += test_hyperv test_hyperv_apic test_hyperv_calls test_hyperv_cpuid test_hyperv_hypercall test_hyperv_ports \
	test_hyperv_time test_stimer test_synic test_windows_msrs
UNIT_TESTS += test_pci_rom test_virtio_cfg_window
UNIT_TESTS += test_virtio_net_saved test_e1000_saved
UNIT_TESTS += test_e1000_clock
UNIT_TESTS += test_board_saved test_rep_movs
UNIT_TESTS += test_saved test_lapic_saved test_vga_saved
UNIT_TESTS += test_guest_reload test_hyperv_saved test_pv_saved
UNIT_TESTS += test_dma8237
UNIT_TESTS += test_fdc test_fdc_command test_fdc_saved test_fdc_transfer test_floppy_drive test_guest_disk_floppy
# Portable files without a unit test of their own, each with its reason in tests/README.md.
UNTESTED_SRCS :=
# unittest files, and the host programs they run.
UNIT_SCRIPTS := tests/unit/test_pcap_from_log.py tests/unit/test_mkimage.py tests/unit/test_acpi_iasl.py
UNIT_SCRIPTS += tests/unit/test_bench.py tests/unit/test_tools_run.py tests/unit/test_volatile_disk.py
UNIT_HELPERS := dump_acpi
FUZZ_TARGETS := fuzz_exit fuzz_event fuzz_monitor fuzz_decode fuzz_emulate fuzz_mm_map fuzz_boot_elf fuzz_boot_memmap fuzz_lapic fuzz_lapic_page fuzz_ioapic fuzz_pic8259 fuzz_pit8254 fuzz_linux fuzz_uart16550 fuzz_acpi_pm \
	fuzz_pci fuzz_config fuzz_svm_check fuzz_svm_decode fuzz_vmx_check fuzz_vmx_decode fuzz_acpi_host fuzz_cmos_rtc fuzz_pv \
	fuzz_i8042 fuzz_multiboot fuzz_test_device
FUZZ_TARGETS += fuzz_ahci fuzz_e1000 fuzz_gpt fuzz_host_pci fuzz_net_offload fuzz_nvme fuzz_overlay fuzz_pci_device \
	fuzz_virtio_balloon fuzz_virtio_blk fuzz_virtio_console fuzz_virtio_net fuzz_virtio_rng fuzz_virtqueue
FUZZ_TARGETS += fuzz_vga
FUZZ_TARGETS += fuzz_nvme_ctl
FUZZ_TARGETS += fuzz_ahci_device
FUZZ_TARGETS += fuzz_ata fuzz_ide
FUZZ_TARGETS += fuzz_hpet fuzz_pflash fuzz_varstore
FUZZ_TARGETS += fuzz_fw_cfg
FUZZ_TARGETS += fuzz_hyperv
FUZZ_TARGETS += fuzz_guest_e1000
FUZZ_TARGETS += fuzz_pci_rom
FUZZ_TARGETS += fuzz_saved
FUZZ_TARGETS += fuzz_dma fuzz_fdc
FAKE_SRCS := tests/fakes/fake_backend.c tests/fakes/smp.c tests/fakes/vm_rig.c tests/fakes/emul_case.c tests/fakes/emul_guest.c tests/fakes/native_insn.c tests/fakes/boot_insn.c tests/fakes/access.c tests/fakes/scrambled_format.c tests/fakes/asm_symbols.c tests/fakes/check.c tests/fakes/cpu_insn.c \
	tests/fakes/svm_insn.c tests/fakes/vmx_insn.c
FAKE_SRCS += tests/fakes/fake_ahci.c tests/fakes/fake_nvme.c tests/fakes/fake_pci.c tests/fakes/fake_virtio.c \
	tests/fakes/net_oracle.c

# ---------------------------------------------------------------- flags

WARN := -std=c11 -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wundef -Wvla -Wcast-qual \
	-Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum -Wimplicit-fallthrough -Werror
INCLUDE := -I. -I$(BUILD)
TARGET_FLAGS := $(WARN) $(INCLUDE) -O2 -g -ffreestanding -mno-red-zone -mgeneral-regs-only \
	-fno-common -fstack-protector-strong -mstack-protector-guard=global -fstack-usage \
	-fno-pic -fno-pie -mcmodel=kernel -fno-asynchronous-unwind-tables -fno-omit-frame-pointer \
	-Wframe-larger-than=1536
# gcc looks at the product as a whole when it links (docs/budgets.md), but joins no functions whose frames are large;
# `make LTO=` after `make clean` does without, and links in a second.
LTO := $(if $(filter gcc,$(notdir $(CC))),-flto=2 -fconserve-stack -Wno-maybe-uninitialized)
# The fakes' headers come before those of the target with the same name.
HOST_FLAGS := $(WARN) -Itests/fakes/include $(INCLUDE) -g -O1 -fno-omit-frame-pointer
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
EFI_FLAGS := $(WARN) -Wno-sign-conversion -Wno-conversion $(INCLUDE) -isystem /usr/include/efi \
	-isystem /usr/include/efi/x86_64 -O2 -ffreestanding -fpic -fshort-wchar -mno-red-zone \
	-fno-stack-protector -maccumulate-outgoing-args -DGNU_EFI_USE_MS_ABI
ifeq ($(notdir $(CC)),clang)
EFI_FLAGS := $(filter-out -maccumulate-outgoing-args,$(EFI_FLAGS))
endif

# ---------------------------------------------------------------- the product

.DEFAULT_GOAL := all
.PHONY: all
all: $(O)/BOOTX64.EFI ## build BOOTX64.EFI

TARGET_OBJS := $(TARGET_SRCS:%.c=$(O)/target/%.o) $(ASM_SRCS:%.S=$(O)/target/%.S.o)
OFFSETS_HDRS := $(foreach s,$(OFFSETS_SRCS),$(GEN)/$(notdir $(s:.c=.h)))
# Keep what is made on the way: object files, generated headers.
.SECONDARY:

$(GEN)/%_offsets.h: $(OFFSETS_SRCS)
	$(call say,GEN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(TARGET_FLAGS) -MMD -MP -MF $@.d -MT $@ -S -o $@.s \
		$(filter %/$*_offsets.c,$^)
	$(Q)sed -n 's/^.*@define \([A-Z0-9_]*\) \$$*\([-0-9]*\).*/#define \1 \2/p' $@.s >$@.tmp
	$(Q)mv $@.tmp $@

# The screen's font: the build machine's, else out of its package, which is not installed.
FONT_FILE := usr/share/consolefonts/Lat15-Fixed16.psf.gz
FONT_PSF := $(firstword $(wildcard /$(FONT_FILE)) $(BUILD)/font/$(FONT_FILE))

$(BUILD)/font/$(FONT_FILE):
	$(call say,FETCH,console-setup-linux)
	$(Q)mkdir -p $(BUILD)/font
	$(Q)cd $(BUILD)/font && apt-get -qq -o APT::Sandbox::User= download console-setup-linux
	$(Q)dpkg -x $(BUILD)/font/console-setup-linux_*.deb $(BUILD)/font
	$(Q)touch $@

$(GEN)/font.c: $(FONT_PSF) tools/mkfont
	$(call say,FONT,$<)
	$(Q)mkdir -p $(@D)
	$(Q)tools/mkfont $< $@

# The guests' DSDT: iasl's AML as a C array.
$(GEN)/dsdt.c: guests/tables/dsdt.asl
	$(call say,IASL,$<)
	$(Q)mkdir -p $(@D)
	$(Q)iasl -we -p $(GEN)/dsdt $< >$(GEN)/dsdt.log 2>&1 || { cat $(GEN)/dsdt.log; false; }
	$(Q){ printf '/* SPDX-License-Identifier: Apache-2.0 */\n/* Made from $<. */\n'; \
		printf '#include "guests/tables/dsdt.h"\n\nconst uint8_t dsdt_aml[] = {\n'; \
		od -An -v -tx1 $(GEN)/dsdt.aml | sed 's/ \([0-9a-f]*\)/0x\1, /g'; \
		printf '};\nconst size_t dsdt_aml_size = sizeof(dsdt_aml);\n'; } >$@.tmp
	$(Q)mv $@.tmp $@

# Single instructions stay calls, over which nothing is moved; the guard is asked for by the compiler itself.
$(INSN_SRCS:%.c=$(O)/target/%.o) $(O)/target/hv/cpu/stack_guard.o: OBJECT_LTO :=
$(O)/target/%.o: OBJECT_LTO := $(LTO)
$(O)/target/%.o: %.c | $(OFFSETS_HDRS)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(TARGET_FLAGS) $(OBJECT_LTO) -MMD -MP -c -o $@ $<

$(O)/target/%.S.o: %.S $(OFFSETS_HDRS)
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(INCLUDE) -D__ASSEMBLER__ -MMD -MP -c -o $@ $<

$(O)/hv.elf: $(TARGET_OBJS) linker.ld
	$(call say,LD,$@)
	$(Q)$(CC) $(TARGET_FLAGS) $(LTO) -nostdlib -static -Wl,-z,noexecstack,-z,max-page-size=4096 \
		-Wl,--no-warn-rwx-segments,--build-id=none -T linker.ld -o $@ $(TARGET_OBJS)

$(O)/hv.stripped: $(O)/hv.elf
	$(Q)objcopy --strip-all $< $@

BOOT_OBJS := $(BOOT_SRCS:%.c=$(O)/efi/%.o) $(BOOT_PURE_SRCS:%.c=$(O)/efi/%.o) \
	$(BOOT_ASM_SRCS:%.S=$(O)/efi/%.o) $(O)/efi/boot/hv_blob.o

$(O)/efi/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(EFI_FLAGS) -MMD -MP -c -o $@ $<

$(O)/efi/%.o: %.S
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -c -o $@ $<

$(O)/efi/boot/hv_blob.o: boot/hv_blob.S $(O)/hv.stripped
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -DHV_BLOB='"$(O)/hv.stripped"' -c -o $@ $<

# libefi has memcpy and memset as well, in a file with what is needed of it, and takes a step a byte.
$(O)/boot.so: $(BOOT_OBJS)
	$(call say,LD,$@)
	$(Q)ld -nostdlib -z defs -znocombreloc -shared -Bsymbolic -T /usr/lib/elf_x86_64_efi.lds \
		/usr/lib/crt0-efi-x86_64.o $(BOOT_OBJS) -o $@ -L/usr/lib -lgnuefi -lefi \
		--allow-multiple-definition

$(O)/BOOTX64.EFI: $(O)/boot.so
	$(call say,EFI,$@)
	$(Q)objcopy -j .text -j .sdata -j .data -j .rodata -j .dynamic -j .dynsym -j .rel -j .rela \
		-j '.rel.*' -j '.rela.*' -j .reloc --target efi-app-x86_64 --subsystem=10 $< $@

# ---------------------------------------------------------------- guests and images

# An unmodified Debian kernel, fetched once and kept outside the tree.
$(BUILD)/guest/vmlinuz: tools/guest-kernel
	$(call say,KERNEL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)kernel=$$(tools/guest-kernel) && cp -L "$$kernel"/boot/vmlinuz-* $@.tmp
	$(Q)mv $@.tmp $@

# What that kernel has as modules: the power button, and what drives virtio devices, for guests with some.
GUEST_BUTTON := button evdev
GUEST_VIRTIO := virtio_pci virtio_blk virtio_net virtio_rng virtio_console virtio_balloon

$(BUILD)/guest/button/order: MODULES := $(GUEST_BUTTON)
$(BUILD)/guest/virtio/order: MODULES := $(GUEST_VIRTIO)
$(BUILD)/guest/variables/order: MODULES := efivarfs
$(BUILD)/guest/%/order: tools/guest-modules $(BUILD)/guest/vmlinuz
	$(call say,MODULES,$(@D))
	$(Q)rm -rf $(@D)
	$(Q)tools/guest-modules $(@D) $(MODULES)

# Debian's kernel for all machines, for guests whose disks are on SATA ports or IDE: the one above knows neither.
GUEST_SATA := ahci sd_mod sr_mod ext4 crc32c_generic
GUEST_IDE := ata_piix sd_mod sr_mod ext4 crc32c_generic
GUEST_NVME := nvme ext4 crc32c_generic
GUEST_GENERIC := $(BUILD)/guest/generic/vmlinuz $(BUILD)/guest/generic/initrd.img

$(BUILD)/guest/generic/vmlinuz: tools/guest-kernel
	$(call say,KERNEL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)kernel=$$(tools/guest-kernel linux-image-amd64) && cp -L "$$kernel"/boot/vmlinuz-* $@.tmp
	$(Q)mv $@.tmp $@

$(BUILD)/guest/generic/button/order: MODULES := $(GUEST_BUTTON)
$(BUILD)/guest/generic/sata/order: MODULES := $(GUEST_SATA)
$(BUILD)/guest/generic/ide/order: MODULES := $(GUEST_IDE)
$(BUILD)/guest/generic/floppy/order: MODULES := floppy
$(BUILD)/guest/generic/nvme/order: MODULES := $(GUEST_NVME)
$(BUILD)/guest/generic/virtio/order: MODULES := virtio_pci virtio_blk ext4 crc32c_generic
$(BUILD)/guest/generic/e1000/order: MODULES := e1000 e1000e
$(BUILD)/guest/generic/%/order: tools/guest-modules $(BUILD)/guest/generic/vmlinuz
	$(call say,MODULES,$(@D))
	$(Q)rm -rf $(@D)
	$(Q)tools/guest-modules --package linux-image-amd64 $(@D) $(MODULES)

# Debian's 32-bit kernels, and busybox to match: 686-pae is for any number of CPUs, 686 for one that need
# not know PAE.
I386 := 686 686-pae
I386_BUSYBOX := $(BUILD)/guest/busybox-i386
I386_MODULES := button e1000 ide sata virtio
I386_button := $(GUEST_BUTTON)
I386_e1000 := e1000 e1000e
I386_ide := ata_piix sd_mod
I386_sata := ahci sd_mod
I386_virtio := virtio_pci virtio_blk virtio_net
I386_ORDERS := $(foreach k,$(I386),$(I386_MODULES:%=$(BUILD)/guest/$k/%/order))

$(I386_BUSYBOX): tools/guest-package
	$(call say,PACKAGE,$@)
	$(Q)mkdir -p $(@D)
	$(Q)package=$$(tools/guest-package busybox-static:i386) && cp "$$package/bin/busybox" $@.tmp
	$(Q)mv $@.tmp $@

$(I386:%=$(BUILD)/guest/%/vmlinuz): $(BUILD)/guest/%/vmlinuz: tools/guest-kernel tools/guest-package
	$(call say,KERNEL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)kernel=$$(tools/guest-kernel linux-image-$*:i386) && cp -L "$$kernel"/boot/vmlinuz-* $@.tmp
	$(Q)mv $@.tmp $@

$(I386_ORDERS): $(BUILD)/guest/%/order: tools/guest-modules
	$(call say,MODULES,$(@D))
	$(Q)rm -rf $(@D)
	$(Q)tools/guest-modules --package linux-image-$(patsubst %/,%,$(dir $*)):i386 $(@D) $(I386_$(notdir $*))

$(I386:%=$(BUILD)/guest/%/initrd.img): $(BUILD)/guest/%/initrd.img: tools/mkinitramfs tools/sample/init tests/system/guest/i386 \
		$(I386_BUSYBOX) $(I386_ORDERS)
	$(call say,INITRD,$@)
	$(Q)tools/mkinitramfs $@ --busybox $(I386_BUSYBOX) --init tools/sample/init --file tests/system/guest/i386:/tasks/i386 \
		$$(cd $(@D) && for m in $(I386_MODULES:%=%/*); do echo --file $(@D)/$$m:/lib/modules/$$m:644; done)

# Busybox, the sample /init, and what the system tests run inside a guest.
GUEST_PROGRAMS := $(BUILD)/guest/smp-load $(BUILD)/guest/disklog $(BUILD)/guest/netload
GUEST_TASKS := $(wildcard tests/system/guest/*) $(GUEST_PROGRAMS)
# And in Debian's root file system.
ROOT_TASKS := $(wildcard tests/system/root/*) $(BUILD)/guest/disklog $(BUILD)/guest/netload

# Programs for Linux guests, static and without libc: what keeps all CPUs busy; what finds out whether a
# disk keeps its word, and whether a network keeps its bytes.
$(BUILD)/guest/smp-load: tests/load/load.c
$(BUILD)/guest/disklog: tests/load/disklog.c
$(BUILD)/guest/netload: tests/load/netload.c
$(GUEST_PROGRAMS): hv/cpu/mem.S $(wildcard tests/load/*.h)
	$(call say,GUESTCC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(WARN) -I. -O2 -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables \
		-static -nostdlib -fno-pic -fno-pie -o $@ $(filter-out %.h,$^)

GUEST_MODULES := $(BUILD)/guest/button/order $(BUILD)/guest/virtio/order
GUEST_MODULES += $(BUILD)/guest/variables/order

$(BUILD)/guest/initrd.img: tools/mkinitramfs tools/sample/init $(GUEST_TASKS) $(GUEST_MODULES)
	$(call say,INITRD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)tools/mkinitramfs $@ --busybox /bin/busybox --init tools/sample/init \
		$$(cd $(@D) && for m in button/* virtio/* variables/*; do echo --file $(@D)/$$m:/lib/modules/$$m:644; done) \
		$(foreach t,$(GUEST_TASKS),--file $t:/tasks/$(notdir $t):755)

$(BUILD)/guest/generic/initrd.img: tools/mkinitramfs tools/sample/init $(GUEST_TASKS) \
		$(BUILD)/guest/generic/button/order $(BUILD)/guest/generic/sata/order \
		$(BUILD)/guest/generic/ide/order $(BUILD)/guest/generic/e1000/order \
		$(BUILD)/guest/generic/floppy/order \
		$(BUILD)/guest/generic/nvme/order $(BUILD)/guest/generic/virtio/order
	$(call say,INITRD,$@)
	$(Q)tools/mkinitramfs $@ --busybox /bin/busybox --init tools/sample/init \
		$$(cd $(@D) && for m in button/* e1000/* floppy/* ide/* nvme/* sata/* virtio/*; do echo --file $(@D)/$$m:/lib/modules/$$m:644; done) \
		$(foreach t,$(GUEST_TASKS),--file $t:/tasks/$(notdir $t):755)

# A Debian root file system for guests with a disk (200 MiB), with what the system tests run in it.
$(BUILD)/guest/root.img: tools/guest-root $(BUILD)/guest/vmlinuz $(ROOT_TASKS)
	$(call say,ROOT,$@)
	$(Q)tools/guest-root $@ $(ROOT_TASKS)

# A disk image with a file system, for guests that have disks.
$(BUILD)/guest/disk.img: tests/system/guest/disk
	$(call say,MKE2FS,$@)
	$(Q)rm -rf $@.d $@.tmp && mkdir -p $@.d && cp $< $@.d/base
	$(Q)PATH=$$PATH:/usr/sbin mke2fs -q -t ext4 -d $@.d $@.tmp 16M >/dev/null
	$(Q)mv $@.tmp $@

# A disk image that boots by BIOS and by UEFI, with GRUB.
$(BUILD)/guest/grub.img: tools/grub-disk $(BUILD)/guest/vmlinuz $(BUILD)/guest/initrd.img
	$(call say,GRUB,$@)
	$(Q)tools/grub-disk $@ $(BUILD)/guest/vmlinuz $(BUILD)/guest/initrd.img \
		"console=ttyS0 quiet task=firmware"

# The same with the kernel that knows SATA ports.
$(BUILD)/guest/generic/grub.img: tools/grub-disk $(GUEST_GENERIC)
	$(call say,GRUB,$@)
	$(Q)tools/grub-disk $@ $(GUEST_GENERIC) "console=ttyS0 quiet task=firmware"

# And with a 32-bit one.
$(BUILD)/guest/686-pae/grub.img: tools/grub-disk $(BUILD)/guest/686-pae/vmlinuz $(BUILD)/guest/686-pae/initrd.img
	$(call say,GRUB,$@)
	$(Q)tools/grub-disk $@ $(@D)/vmlinuz $(@D)/initrd.img "console=ttyS0 loglevel=4 guest=pae"

# Debian as it would be installed, with that kernel, on any disk that it knows.
$(BUILD)/guest/debian.img: tools/grub-disk $(GUEST_GENERIC) $(BUILD)/guest/root.img
	$(call say,GRUB,$@)
	$(Q)tools/grub-disk --root $(BUILD)/guest/root.img $@ $(GUEST_GENERIC) "console=ttyS0 quiet root=LABEL=root rw"

# A CD that boots GRUB by BIOS.
$(BUILD)/guest/cd.iso: tools/grub-cd
	$(call say,GRUB,$@)
	$(Q)tools/grub-cd $@ "the words on the CD"

# A floppy that does.
$(BUILD)/guest/floppy.img: tools/grub-floppy
	$(call say,GRUB,$@)
	$(Q)mkdir -p $(@D)
	$(Q)tools/grub-floppy $@ "the words on the floppy"

# One with a menu that waits on the screen, and nothing to boot.
$(BUILD)/guest/grub-menu.img: tests/system/grub-menu.cfg tools/grub-disk
	$(call say,GRUB,$@)
	$(Q)mkdir -p $(@D)
	$(Q)tools/grub-disk $@ $< $< "" $<

# GRUB's shell and memtest86+ on a CD.
$(BUILD)/guest/memtest.iso: tools/grub-cd tools/guest-package
	$(call say,GRUB,$@)
	$(Q)package=$$(tools/guest-package memtest86+) && mkdir -p $(@D) && \
		tools/grub-cd $@ "the words on the CD" "$$package"/boot/memtest86+x64.bin

# What the system tests boot, beside the image of the sample guests.
SYSTEM_FILES := $(BUILD)/guest/grub.img $(BUILD)/guest/cd.iso $(GUEST_GENERIC) $(BUILD)/guest/generic/grub.img
SYSTEM_FILES += $(BUILD)/guest/grub-menu.img $(BUILD)/guest/debian.img
SYSTEM_FILES += $(BUILD)/guest/memtest.iso
SYSTEM_FILES += $(BUILD)/guest/floppy.img
SYSTEM_FILES += $(BUILD)/guest/686-pae/grub.img $(BUILD)/guest/686/initrd.img $(BUILD)/guest/686/vmlinuz

# Bare-metal guests for the system tests: one bzImage with all cases (tests/payloads/rt.h).
PAYLOAD_SRCS := tests/payloads/apic.c tests/payloads/cpu.c tests/payloads/cpuid.c \
	tests/payloads/hypercall.c \
	tests/payloads/pci.c \
	tests/payloads/irq.c tests/payloads/main.c tests/payloads/memory.c tests/payloads/mmio.c \
	tests/payloads/msr.c tests/payloads/ports.c tests/payloads/registers.c \
	tests/payloads/reset.c tests/payloads/rt.c tests/payloads/rt_apic.c \
	tests/payloads/rt_smp.c tests/payloads/rt_time.c tests/payloads/share.c tests/payloads/smp.c tests/payloads/time.c hv/base/fmt.c hv/base/str.c
PAYLOAD_SRCS += tests/payloads/rt_blk.c tests/payloads/rt_net.c tests/payloads/rt_pci.c tests/payloads/rt_virtio.c \
	tests/payloads/io_load.c tests/payloads/pci_hostile.c tests/payloads/virtio_blk.c tests/payloads/virtio_hostile.c \
	tests/payloads/virtio_net.c tests/payloads/virtio_reset.c tests/payloads/virtio_wrong.c
PAYLOAD_SRCS += tests/payloads/vga.c
PAYLOAD_SRCS += tests/payloads/hyperv.c
PAYLOAD_SRCS += tests/payloads/e1000_hostile.c
PAYLOAD_SRCS += tests/payloads/ahci_hostile.c tests/payloads/ide_hostile.c tests/payloads/nvme_hostile.c \
	tests/payloads/rt_wild.c
PAYLOAD_ASM := tests/payloads/ap.S tests/payloads/entry.S tests/payloads/header.S tests/payloads/steps.S tests/payloads/unpaged.S hv/cpu/mem.S
PAYLOAD_OBJS := $(PAYLOAD_SRCS:%.c=$(O)/payload/%.o) $(PAYLOAD_ASM:%.S=$(O)/payload/%.S.o)
PAYLOAD_FLAGS := $(WARN) $(INCLUDE) -O2 -g -ffreestanding -mno-red-zone -mgeneral-regs-only \
	-fno-stack-protector -fno-pic -fno-pie -fno-asynchronous-unwind-tables

$(O)/payload/%.o: %.c
	$(call say,GUESTCC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(PAYLOAD_FLAGS) -MMD -MP -c -o $@ $<

$(O)/payload/%.S.o: %.S
	$(call say,GUESTAS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(INCLUDE) -D__ASSEMBLER__ -MMD -MP -c -o $@ $<

$(O)/payload/payload.elf: $(PAYLOAD_OBJS) tests/payloads/payload.lds
	$(call say,LD,$@)
	$(Q)ld -nostdlib -static -z noexecstack --no-warn-rwx-segments -T tests/payloads/payload.lds \
		-o $@ $(PAYLOAD_OBJS)

$(BUILD)/guest/payload: $(O)/payload/payload.elf
	$(Q)mkdir -p $(@D)
	$(Q)objcopy -O binary $< $@

SAMPLE := $(BUILD)/sample
$(SAMPLE).stamp: tools/sample/make $(BUILD)/guest/vmlinuz $(BUILD)/guest/initrd.img
	$(call say,SAMPLE,$(SAMPLE))
	$(Q)tools/sample/make $(SAMPLE) ../guest/vmlinuz ../guest/initrd.img
	$(Q)touch $@

$(BUILD)/bulkhead.img: $(O)/BOOTX64.EFI $(SAMPLE).stamp tools/mkimage tools/esp_image.py
	$(call say,IMAGE,$@)
	$(Q)tools/mkimage --efi $(O)/BOOTX64.EFI $(SAMPLE) $@

# A make without -j gets one job per CPU where a target is a chain of others.
JOBS = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: deps image run
deps: ## install the Debian packages that building and testing need
	$(Q)tools/deps

image: $(BUILD)/bulkhead.img ## build/bulkhead.img: Bulkhead and two sample guests, for a USB stick

run: ## build everything and boot the sample image on an emulated machine
	$(Q)$(MAKE) --no-print-directory deps
	$(Q)$(MAKE) --no-print-directory $(JOBS) image
	$(Q)tools/run $(BUILD)/bulkhead.img

# ---------------------------------------------------------------- unit tests

HOST_OBJS := $(PORTABLE_SRCS:%.c=$(O)/host/%.o) $(BOOT_PURE_SRCS:%.c=$(O)/host/%.o)
FAKE_OBJS := $(FAKE_SRCS:%.c=$(O)/host/%.o)
UNIT_BINS := $(UNIT_TESTS:%=$(O)/unit/%)

$(O)/host/%.o: %.c
	$(call say,HOSTCC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(HOST_FLAGS) $(SANITIZE) -MMD -MP -c -o $@ $<

$(O)/libhost.a: $(HOST_OBJS)
	$(Q)rm -f $@ && ar qcs $@ $^

$(O)/libfakes.a: $(FAKE_OBJS)
	$(Q)rm -f $@ && ar qcs $@ $^

$(O)/unit/%: $(O)/host/tests/unit/%.o $(O)/libhost.a $(O)/libfakes.a
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(SANITIZE) -o $@ $< -Wl,--start-group $(O)/libhost.a $(O)/libfakes.a -Wl,--end-group -lcmocka

.PHONY: unit
unit: $(UNIT_BINS) $(UNIT_HELPERS:%=$(O)/unit/%) ## unit tests with ASan and UBSan
	$(Q)O=$(O) tools/run_unit $(UNIT_BINS) $(UNIT_SCRIPTS)

# ---------------------------------------------------------------- races

RACE_SRCS := tests/race/race_timer.c hv/api/clock.c hv/api/timer.c hv/api/vtime.c hv/api/saved.c hv/base/fmt.c hv/base/str.c

$(O)/race/race_timer: $(RACE_SRCS) hv/api/timer.h hv/api/vtime.h hv/base/lock.h
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(HOST_FLAGS) -fsanitize=thread -o $@ $(RACE_SRCS) -pthread

RACE_SWITCH_SRCS := tests/race/race_switch.c $(HV_NET_SRCS) hv/api/clock.c hv/api/timer.c hv/api/token_bucket.c \
	hv/base/net_sum.c hv/base/str.c

$(O)/race/race_switch: $(RACE_SWITCH_SRCS) hv/net/switch.h hv/api/net.h hv/base/lock.h
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(HOST_FLAGS) -fsanitize=thread -o $@ $(RACE_SWITCH_SRCS) -pthread

.PHONY: race
race: $(O)/race/race_timer $(O)/race/race_switch ## timers, a network and locks on real threads with ThreadSanitizer
	$(Q)timeout 120 $(O)/race/race_timer
	$(Q)timeout 120 $(O)/race/race_switch

# ---------------------------------------------------------------- fuzzing (clang, libFuzzer)

FUZZ_SECONDS ?= 1
FZ := $(BUILD)/fuzz
FUZZ_FLAGS := $(HOST_FLAGS) $(SANITIZE) -fsanitize=fuzzer-no-link
FUZZ_OBJS := $(PORTABLE_SRCS:%.c=$(FZ)/%.o) $(BOOT_PURE_SRCS:%.c=$(FZ)/%.o)

$(FZ)/%.o: %.c
	$(call say,FUZZCC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)clang $(FUZZ_FLAGS) -MMD -MP -c -o $@ $<

$(FZ)/libhost.a: $(FUZZ_OBJS)
	$(Q)rm -f $@ && ar qcs $@ $^

$(FZ)/libfakes.a: $(FAKE_SRCS:%.c=$(FZ)/%.o)
	$(Q)rm -f $@ && ar qcs $@ $^

$(FZ)/bin/%: $(FZ)/tests/fuzz/%.o $(FZ)/libhost.a $(FZ)/libfakes.a
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)clang $(SANITIZE) -fsanitize=fuzzer -o $@ $< -Wl,--start-group $(FZ)/libhost.a $(FZ)/libfakes.a -Wl,--end-group -lZydis

.PHONY: fuzz
fuzz: $(FUZZ_TARGETS:%=$(FZ)/bin/%) ## fuzz targets, FUZZ_SECONDS each (1)
	$(Q)tools/run_fuzz $(FUZZ_SECONDS) $(FUZZ_TARGETS:%=$(FZ)/bin/%)

# ---------------------------------------------------------------- measuring (tests/bench)

# Two programs without libc: a payload for single exits, and a Linux /init that marks the end of a
# boot and runs loops.
BENCH := $(BUILD)/bench
BENCH_SRCS := hv/base/fmt.c hv/base/str.c tests/payloads/rt.c tests/payloads/rt_apic.c \
	tests/payloads/rt_smp.c tests/payloads/rt_time.c tests/bench/micro.c
BENCH_ASM := tests/payloads/ap.S tests/payloads/entry.S tests/bench/header.S hv/cpu/mem.S
BENCH_FLAGS := $(TARGET_FLAGS) -fno-stack-protector
BENCH_OBJS := $(BENCH_SRCS:%.c=$(BENCH)/%.o) $(BENCH_ASM:%.S=$(BENCH)/%.S.o)

$(BENCH)/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(BENCH_FLAGS) -MMD -MP -c -o $@ $<

$(BENCH)/%.S.o: %.S
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(INCLUDE) -D__ASSEMBLER__ -MMD -MP -c -o $@ $<

$(BENCH)/micro.bin: $(BENCH_OBJS) tests/payloads/payload.lds
	$(call say,LD,$@)
	$(Q)ld -nostdlib -static -T tests/payloads/payload.lds -o $(BENCH)/micro.elf $(BENCH_OBJS)
	$(Q)objcopy -O binary $(BENCH)/micro.elf $@

$(BENCH)/init: tests/bench/init.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(WARN) -O2 -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables \
		-static -nostdlib -fno-pic -no-pie -o $@ $<

$(BENCH)/io: tests/bench/io.c hv/cpu/mem.S $(wildcard tests/load/*.h)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(WARN) -I. -O2 -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables \
		-static -nostdlib -fno-pic -no-pie -o $@ $(filter-out %.h,$^)

# All programs of ours that run as guests or in them; none needs a kernel.
.PHONY: programs
programs: $(BUILD)/guest/payload $(GUEST_PROGRAMS) $(BENCH)/micro.bin $(BENCH)/init $(BENCH)/io

.PHONY: bench
bench: $(O)/BOOTX64.EFI $(BENCH)/micro.bin $(BENCH)/init $(BENCH)/io $(BUILD)/guest/vmlinuz ## measure the budgets, beside no hypervisor and KVM
	$(Q)tools/deps --bench
	$(Q)tests/bench/run

# ---------------------------------------------------------------- checks

C_FILES = $(shell git ls-files -co --exclude-standard '*.c' '*.h')
TIDY_SRCS := $(PORTABLE_SRCS) $(INSN_SRCS) $(BOOT_PURE_SRCS)

.PHONY: format format-check tidy includes headers
format: ## rewrite all C files in the project's style
	$(Q)clang-format -i $(C_FILES)

format-check:
	$(call say,FORMAT,check)
	$(Q)clang-format --dry-run --Werror $(C_FILES)

$(BUILD)/tidy/%.ok: %.c .clang-tidy
	$(call say,TIDY,$<)
	$(Q)mkdir -p $(@D)
	$(Q)clang-tidy --quiet $< -- -std=c11 $(INCLUDE) -ffreestanding -mgeneral-regs-only 2>$@.log || { cat $@.log; false; }
	$(Q)touch $@

tidy: $(TIDY_SRCS:%.c=$(BUILD)/tidy/%.ok) ## clang-tidy over all sources

print-%:
	@echo $($*)

includes:
	$(call say,INCLUDES,check)
	$(Q)tools/check_includes
	$(Q)tools/check_tree

# Each header stands on its own.
HEADERS = $(shell git ls-files -co --exclude-standard 'hv/*.h' 'mm/*.h' 'svm/*.h' 'vmx/*.h' 'guests/*.h' 'drivers/*.h')
headers: $(OFFSETS_HDRS)
	$(call say,HEADERS,check)
	$(Q)for h in $(HEADERS); do $(CC) $(filter-out -fstack-usage,$(TARGET_FLAGS)) -fsyntax-only -include $$h -x c /dev/null || exit 1; done

.PHONY: checks check system test clean help
checks: format-check includes headers tidy

check: ## build with both compilers, guests' programs, unit and short fuzz tests, format, tidy, includes
	$(Q)$(MAKE) --no-print-directory $(JOBS) all
	$(Q)$(MAKE) --no-print-directory $(JOBS) all CC=clang
	$(Q)$(MAKE) --no-print-directory $(JOBS) programs
	$(Q)$(MAKE) --no-print-directory $(JOBS) unit
	$(Q)$(MAKE) --no-print-directory $(JOBS) fuzz
	$(Q)$(MAKE) --no-print-directory $(JOBS) checks
	@echo "check: all passed"

# ---------------------------------------------------------------- the machine as a whole

.PHONY: cases
cases: $(BUILD)/bulkhead.img $(BUILD)/guest/payload $(BUILD)/guest/disk.img $(BUILD)/guest/root.img $(SYSTEM_FILES) ## build what tests/system/run needs
system: cases ## boot every case of tests/system on emulated machines
	$(Q)tests/system/run

# kvm-unit-tests' programs, built by somebody else: KUT is the folder with their .flat files.
PLATFORM ?= qemu-svm
.PHONY: conformance
conformance: $(O)/BOOTX64.EFI ## run kvm-unit-tests as guests: KUT=DIR, PLATFORM=qemu-svm, TESTS='names'
	$(Q)test -n "$(KUT)" || { echo "conformance: KUT=DIR names the folder with the .flat files"; exit 2; }
	$(Q)tests/conformance/run -k "$(KUT)" -p $(PLATFORM) $(TESTS)

test: ## install what is missing, then everything: check, unit tests with clang, system tests
	$(Q)$(MAKE) --no-print-directory deps
	$(Q)$(MAKE) --no-print-directory check
	$(Q)$(MAKE) --no-print-directory $(JOBS) unit CC=clang
	$(Q)$(MAKE) --no-print-directory $(JOBS) cases
	$(Q)$(MAKE) --no-print-directory system

clean: ## remove build/ (fetched kernels are kept in the cache)
	$(Q)rm -rf $(BUILD)

help: ## this list
	@echo "make TARGET; V=1 shows commands, CC=clang builds with clang"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' Makefile | sort | expand -t 14

-include $(shell find $(BUILD) -type f -name '*.d' 2>/dev/null)
