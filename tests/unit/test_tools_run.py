#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/run: what a person writes becomes the emulator's arguments, or a clear refusal."""
import argparse
import importlib.machinery
import importlib.util
import pathlib
import sys
import tempfile
import unittest
import unittest.mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("tools_run", str(ROOT / "tools" / "run"))
run = importlib.util.module_from_spec(importlib.util.spec_from_loader("tools_run", loader))
loader.exec_module(run)


class Disks(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.file = f"{self.folder.name}/a,b.img"
        pathlib.Path(self.file).touch()

    def arguments(self, *texts):
        return run.disks_for_qemu([run.Disk(t) for t in texts])

    def test_each_has_its_file_and_serial(self):
        arguments = self.arguments(f"nvme:{self.file},serial=S-1", f"virtio-blk:{self.file}")
        self.assertEqual(arguments[1::2], [
            f"if=none,id=disk0,format=raw,cache=writeback,file={self.folder.name}/a,,b.img",
            "nvme,drive=disk0,serial=S-1",
            f"if=none,id=disk1,format=raw,cache=writeback,file={self.folder.name}/a,,b.img",
            "virtio-blk-pci,drive=disk1,serial=disk1"])

    def test_ahci_disks_stand_beside_the_image(self):
        arguments = self.arguments(*[f"ahci:{self.file}"] * 2)
        self.assertEqual([a.split(",")[1] for a in arguments[3::4]], ["bus=ide.1", "bus=ide.2"])
        self.assertRaises(run.Failure, self.arguments, *[f"ahci:{self.file}"] * 6)

    def test_nothing_is_written_to_a_file_that_is_not_there(self):
        with self.assertRaisesRegex(run.Failure, "nowhere: no such file"):
            self.arguments("nvme:nowhere")

    def test_what_is_no_disk_is_refused(self):
        for text in ("nvme", "nvme:", "floppy:x", ":x", "x"):
            self.assertRaises(argparse.ArgumentTypeError, run.Disk, text)

    def test_a_comma_that_starts_no_serial_belongs_to_the_name(self):
        disk = run.Disk("ahci:a,serial=b,serial=c")
        self.assertEqual((disk.file, disk.serial), ("a,serial=b", "c"))


class BochsBuilds(unittest.TestCase):
    SAID = """\
00000000000i[PLUGIN] loaded plugin libbx_vga.so
Supported CPU models:

pentium
corei7_skylake_x
ryzen

00000000000i[SIM   ] quit_sim called with exit code 0
========================================================================
                        Bochs x86 Emulator 3.1
             Built from GitHub snapshot on August 23, 2026
========================================================================
"""

    def test_version_and_models_are_what_it_says(self):
        build = run.BochsBuild(self.SAID)
        self.assertEqual((build.version, build.models), ((3, 1), ["pentium", "corei7_skylake_x", "ryzen"]))
        self.assertEqual(run.BochsBuild(self.SAID.replace(" 3.1", " 2.10.1")).version, (2, 10))

    def test_what_says_neither_is_refused(self):
        for text in ("", "Bochs x86 Emulator 3.1\n", self.SAID.replace("Bochs x86", "Other")):
            self.assertRaises(run.Failure, run.BochsBuild, text)

    def test_a_model_that_it_lacks_is_refused_with_those_that_it_has(self):
        build = run.BochsBuild(self.SAID)
        self.assertEqual(build.choose("ryzen"), "ryzen")
        with self.assertRaisesRegex(run.Failure, "Bochs 3.1 has no CPU model i386; it has pentium, "):
            build.choose("i386")


class BochsMachines(unittest.TestCase):
    """What is written for Bochs, and what its log says about the machine's end."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def machine(self, version, *arguments):
        said = BochsBuilds.SAID.replace(" 3.1", f" {version}")
        with unittest.mock.patch.object(run.BochsBuild, "installed", lambda: run.BochsBuild(said)):
            machine = run.Bochs(run.parse(["-p", "bochs-vmx", "image", *arguments]), pathlib.Path(self.folder.name))
        self.addCleanup(machine.serial_server.close)
        return machine

    def test_acpi_tables_are_there_from_3_1_on_unless_refused(self):
        tables = "fw_cfg: enabled=1"
        self.assertIn(tables, self.machine("3.1").configuration("x"))
        self.assertNotIn(tables, self.machine("3.1", "--no-acpi").configuration("x"))
        self.assertNotIn(tables, self.machine("3.0").configuration("x"))

    def test_a_warning_stops_no_machine(self):
        self.assertIn("warn: action=report", self.machine("3.1", "--no-acpi").configuration("x"))
        self.assertNotIn("warn:", self.machine("2.7").configuration("x"))

    def test_the_model_is_the_platforms_or_the_persons(self):
        self.assertIn("cpu: model=corei7_skylake_x,", self.machine("2.7").configuration("x"))
        self.assertIn("cpu: model=pentium,", self.machine("2.7", "--cpu", "pentium").configuration("x"))

    def test_the_log_tells_how_the_machine_ended(self):
        for text, verdict in (
                ("1p[ACPI  ] >>PANIC<< ACPI control: soft power off\n", run.OFF),
                ("1p[CPU0  ] >>PANIC<< exception(): 3rd (14) exception with no resolution\n", run.RESET),
                ("1w[CPU0  ] exception(): 3rd (14) exception with no resolution\n", run.RESET)):
            machine = self.machine("3.1")
            machine.log.write_text(text)
            self.assertEqual(machine.poll(), run.RESET if verdict == run.RESET else None)
            self.assertEqual(machine.outcome(1), verdict)


class Speed(unittest.TestCase):
    def cpu_of(self, *options):
        machine = run.Qemu.__new__(run.Qemu)
        machine.args, machine.kvm = run.parse([*options, "image"]), False
        arguments = machine.speed()
        return arguments[arguments.index("-cpu") + 1]

    def test_counted_instructions_and_x2apic_do_not_go_together(self):
        self.assertEqual(self.cpu_of("--icount"), "max,-x2apic")
        self.assertEqual(self.cpu_of(), "max")
        self.assertEqual(self.cpu_of("--one-thread"), "max")


if __name__ == "__main__":
    unittest.main()
