#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/bench: what the machines print becomes the right numbers, what they did not print is
reported as missing, and the table judges budgets the right way round."""
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests/bench"))

import parse  # noqa: E402
import report  # noqa: E402

MICRO = """RUN micro
BENCH tsc 1000000 2000004
BENCH op nothing 7 7 7
BENCH op cpuid 594 593 600
BENCH none hypercall
BENCH end
PASS micro""".split("\n")

BULKHEAD = """info: start: 130 thousand ticks from EFI to here, 80 of them reading files (tick 500000)
micro| BENCH end
stats micro
name micro
state stopped
started_ticks 530000
memory_bytes 268435456
stats boot
bulkhead> name boot
state paused
stage2_tables 4
vcpu0.exits 8
vcpu0.exits.io 3
vcpu0.exits.cpuid 4
vcpu0.exits.hlt 1
vcpu0.rip 0xffffffff90a17a0b
trace boot 1024
vCPU 0: 8 exits, the last ones:
  -    1409 us  rip 0x0000000000401178 io           out port 0x80 size 4 rax 0x0
other| a line between
  -    1406 us  rip 0x0000000000401178 cpuid        leaf 0xb007b007 subleaf 0x0
  -    1400 us  rip 0xffffffff906c2254 io           in port 0x3fa size 1 rax 0x1
  -      10 us  rip 0xffffffff90a17a0a hlt
list""".split("\n")

KVM = """== boot-q35
BENCH init 2000
 qemu-system-x86-95  [000] d..1.   400: kvm_write_tsc_offset: vcpu=0 prev=0 next=18446744073709551216
 qemu-system-x86-95  [000] d..1.   900: kvm_entry: vcpu 0, rip 0xfff0
== exits-q35
{ exit_reason:        114 } hitcount:        727
{ exit_reason:        123 } hitcount:      18806
{ exit_reason:          4 } hitcount:         11
{ port: f1 } hitcount:          1
{ port: cf8 } hitcount:       8776
== memory-q35
BENCH memory 35000 KiB
== end""".split("\n")


IO = """BENCH ready nothing
BENCH exits 100
BENCH io nothing 1 15
disk| BENCH ready read-4k
vcpu0.exits 110
vcpu0.exits.io 90
vcpu0.exits 40
disk| BENCH io read-4k 20 3000
disk| BENCH ready end
BENCH exits 240""".split("\n")


FIRMWARE = """name bios
state stopped
past.ticks 5000
past.exits 12
past.exits.io 9
past.exits.rdmsr 1
past.exits.wrmsr 2
name uefi
state running
vcpu0.exits 3""".split("\n")

KVM_FIRMWARE = """== ticks-bios
GRUB: by pc
 qemu-system-x86-95      [000] d..1.   2000: kvm_entry: vcpu 0, rip 0xfff0
 qemu-system-x86-95      [000] .....   9000: kvm_pio: pio_write at 0xf4 size 1 count 1 val 0x1
== exits-bios
{ exit_reason:        123 } hitcount:         20
{ exit_reason:       1024 } hitcount:          4
== ticks-uefi
 qemu-system-x86-95      [000] d..1.   2000: kvm_entry: vcpu 0, rip 0xfff0
== exits-uefi
{ exit_reason:        123 } hitcount:          1
== end""".split("\n")


class Text(unittest.TestCase):
    def test_clean_removes_what_terminals_do(self):
        self.assertEqual(parse.clean("\x1b[2J\x1b[01;01Ha \r\nb"), ["a", "b"])

    def test_a_guests_lines_are_its_own(self):
        lines = ["web| a", "db| b", "web|c", "web| d: web| e"]
        self.assertEqual(parse.guest_lines(lines, "web"), ["a", "d: web| e"])

    def test_sections_end_where_the_next_begins(self):
        self.assertEqual(len(parse.section(KVM, "exits-q35")), 5)
        self.assertRaises(parse.Missing, parse.section, KVM, "exits-microvm")


class Micro(unittest.TestCase):
    def test_medians_are_beyond_the_frame(self):
        self.assertEqual(parse.micro(MICRO), {"cpuid": 587, "hypercall": None})

    def test_an_unfinished_payload_is_no_measurement(self):
        self.assertRaises(parse.Missing, parse.micro, MICRO[:-2])
        self.assertRaises(parse.Missing, parse.micro, ["BENCH end"])

    def test_unit(self):
        self.assertAlmostEqual(parse.ticks_per_instruction(MICRO), 1.000002)
        self.assertRaises(parse.Missing, parse.ticks_per_instruction, [])


class Linux(unittest.TestCase):
    def test_init_and_loops(self):
        lines = ["BENCH init 12", "BENCH loop integer 5", "BENCH loop page-faults 6", "BENCH end"]
        self.assertEqual(parse.init_tick(lines), 12)
        self.assertEqual(parse.loops(lines), {"integer": 5, "page-faults": 6})
        self.assertRaises(parse.Missing, parse.loops, lines[:-1])
        self.assertRaises(parse.Missing, parse.init_tick, lines[1:])


class Bulkhead(unittest.TestCase):
    def test_stats_are_of_the_guest_named(self):
        found = parse.stats(BULKHEAD, "boot")
        self.assertEqual(found["stage2_tables"], 4)
        self.assertEqual(found["state"], "paused")
        self.assertNotIn("vcpu0.exits", parse.stats(BULKHEAD, "micro"))
        self.assertRaises(parse.Missing, parse.stats, BULKHEAD, "oot")

    def test_exits_count_up_to_the_mark(self):
        kinds = parse.exits_to_mark(parse.stats(BULKHEAD, "boot"), *parse.trace(BULKHEAD))
        self.assertEqual(dict(kinds), {"io": 2, "cpuid": 3})

    def test_reads_and_writes_of_msrs_are_one_kind_as_in_kvms_histogram(self):
        kinds = parse.exits_to_mark({"vcpu0.exits": 6, "vcpu0.exits.rdmsr": 2, "vcpu0.exits.wrmsr": 3,
                                     "vcpu0.exits.cpuid": 1}, 6, [parse.Exit("cpuid", "leaf 0xb007b007 subleaf 0x0")])
        self.assertEqual(dict(kinds), {"msr": 5})

    def test_a_trace_without_the_mark_counts_nothing(self):
        found = parse.stats(BULKHEAD, "boot")
        total, entries = parse.trace(BULKHEAD)
        self.assertEqual(total, 8)
        self.assertEqual(len(entries), 4)
        self.assertRaises(parse.Missing, parse.exits_to_mark, found, total, entries[2:])

    def test_stats_and_trace_must_belong_together(self):
        _, entries = parse.trace(BULKHEAD)
        self.assertRaises(parse.Missing, parse.exits_to_mark, parse.stats(BULKHEAD, "boot"), 9, entries)

    def test_start_leaves_out_the_reading_of_files(self):
        self.assertEqual(parse.start_ticks(BULKHEAD, "micro"), 30000 + 50000)

    def test_the_mark_is_the_programs(self):
        for source in ("tests/bench/init.c", "tests/bench/l1-init"):
            text = (ROOT / source).read_text()
            self.assertIn("b007b007", text)
        self.assertEqual(parse.MARK, 0xB007B007)


class Kvm(unittest.TestCase):
    def test_kinds_have_our_names(self):
        kinds = parse.kvm_kinds(KVM)
        self.assertEqual(kinds, {"cpuid": 727, "io": 18806, "cr": 11})
        self.assertRaises(parse.Missing, parse.kvm_kinds, [])

    def test_ports_by_frequency(self):
        self.assertEqual(parse.kvm_ports(KVM), [(0xCF8, 8776), (0xF1, 1)])

    def test_the_guests_tsc_at_its_first_instruction(self):
        self.assertEqual(parse.kvm_start(parse.section(KVM, "boot-q35")), 500)
        self.assertRaises(parse.Missing, parse.kvm_start, parse.section(KVM, "exits-q35"))

    def test_memory(self):
        self.assertEqual(parse.memory_kib(parse.section(KVM, "memory-q35")), 35000)


class Io(unittest.TestCase):
    def test_exits_are_of_all_guests_beyond_the_frame(self):
        self.assertEqual(parse.io(IO), {"read-4k": parse.Io(20, 3000, 240 - 150 - 50)})

    def test_an_unfinished_program_is_no_measurement(self):
        self.assertRaises(parse.Missing, parse.io, IO[:-2])
        self.assertRaises(parse.Missing, parse.io, [line for line in IO if "io read" not in line])
        self.assertRaises(parse.Missing, parse.io, [])

    def test_half_of_both_is_met(self):
        kvm = {name: parse.Io(10, 1000, 20) for name, _ in report.IO_OPERATIONS}
        half = {name: parse.Io(20, 1000, 20) for name, _ in report.IO_OPERATIONS}
        self.assertTrue(all(line.rstrip(" |").endswith("met") for line in report.io_table(half, kvm)[2:]))
        half["tcp-bulk"] = parse.Io(20, 1000, 21)
        self.assertIn("MISSED", report.io_table(half, kvm)[-1])
        self.assertIn("0.50x", report.io_table(half, kvm)[-1])

    def test_operations_are_those_of_the_program(self):
        source = (ROOT / "tests/bench/io.c").read_text()
        names = set(re.findall(r'(?:at_a_time|request_response|begin)\("([a-z0-9-]+)"', source)) - {"nothing", "end"}
        self.assertEqual(names, {name for name, _ in report.IO_OPERATIONS})


def measurements(cpuid=400):
    operations = {name: 10 for name, _, _ in report.OPERATIONS}
    loops = {name: 1000 for name, _ in report.LOOPS}
    bulkhead = {"micro": {**operations, "cpuid": cpuid}, "loops": {**loops, "memory": 1010}, "boot": 1.2e9,
                "exits": 4000, "kinds": {"io": 4000}, "overhead": 160 << 10, "tables": 4, "start": 9e7,
                "efi-bytes": (1 << 20) + 1}
    kvm = {"micro": operations, "loops": loops, "boot": 1.5e9, "exits": 26000, "kinds": {"io": 7, "hlt": 9}}
    return {"bare": {"micro": {**operations, "hypercall": None}, "loops": loops, "boot": 1.6e9},
            "Bulkhead": bulkhead, "KVM q35": kvm}


class FirmwareStart(unittest.TestCase):
    def test_a_run_is_read_after_its_end(self):
        self.assertEqual(parse.firmware(FIRMWARE, "bios"), parse.Firmware(5000, {"io": 9, "msr": 3}))
        self.assertRaises(parse.Missing, parse.firmware, FIRMWARE, "uefi")

    def test_kvms_run_ends_with_the_write_to_the_port(self):
        self.assertEqual(parse.kvm_firmware(KVM_FIRMWARE, "bios"), parse.Firmware(7000, {"io": 20, "nested-fault": 4}))
        self.assertRaises(parse.Missing, parse.kvm_firmware, KVM_FIRMWARE, "uefi")

    def test_half_of_the_exits_is_met(self):
        ours = {"bios": parse.Firmware(9000, {"io": 12}), "uefi": parse.Firmware(9000, {"io": 13})}
        kvm = dict.fromkeys(ours, parse.Firmware(9000, {"io": 20, "msr": 4}))
        table = report.firmware_table(ours, kvm)
        self.assertRegex(table[2], r"^\| SeaBIOS to GRUB .* 12 .* 24 .* 0\.50x .* met +\|$")
        self.assertRegex(table[3], r"^\| OVMF to GRUB .* 0\.54x .* MISSED +\|$")


class Table(unittest.TestCase):
    def row(self, what, **changes):
        return next(r for r in report.rows(measurements(**changes)) if r.what.startswith(what))

    def test_at_the_budget_is_met_and_beyond_is_missed(self):
        self.assertEqual(self.row("CPUID leaf 0", cpuid=500).verdict(), "met")
        self.assertEqual(self.row("CPUID leaf 0", cpuid=750).verdict(), "MISSED by 50.0 %")
        self.assertEqual(self.row("exits from").verdict(), "met")
        self.assertTrue(self.row("`BOOTX64.EFI`").missed())
        self.assertEqual(self.row("IOAPIC read").verdict(), "")

    def test_loops_are_ratios_to_bare(self):
        self.assertEqual(self.row("memory loop").values[:3], (1.0, 1.01, 1.0))
        self.assertTrue(self.row("memory loop").missed())

    def test_what_does_not_exist_is_a_dash(self):
        line = next(x for x in report.markdown(report.rows(measurements())) if "hypercall" in x)
        self.assertEqual([c.strip() for c in line.split("|")][2:6], ["-", "10", "10", "-"])

    def test_the_table_is_well_formed(self):
        lines = report.markdown(report.rows(measurements()))
        self.assertEqual(len({line.count("|") for line in lines}), 1)
        self.assertEqual(len({len(line) for line in lines}), 1)

    def test_histogram_has_every_kind_of_every_column(self):
        lines = report.histogram({"Bulkhead": {"io": 4000}, "KVM": {"io": 7, "hlt": 9}})
        self.assertRegex(lines[1], r"^io +4,000 +7$")
        self.assertRegex(lines[2], r"^hlt +0 +9$")

    def test_operations_are_those_of_the_payload(self):
        source = (ROOT / "tests/bench/micro.c").read_text()
        names = set(re.findall(r'"([a-z0-9-]+)", op_', source)) - {"nothing"}
        names |= set(re.findall(r'BENCH op ([a-z][a-z0-9-]*) %lu', source))
        self.assertEqual(names, {name for name, _, _ in report.OPERATIONS})


if __name__ == "__main__":
    unittest.main()
