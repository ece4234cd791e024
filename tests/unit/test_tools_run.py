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
