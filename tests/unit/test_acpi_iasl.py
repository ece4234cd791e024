#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The guests' ACPI tables as iasl sees them: every table disassembles, and what comes out compiles
again without a warning, to the same table. Needs the program dump_acpi in $O/unit (make unit)."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DUMP = ROOT / os.environ.get("O", "build/gcc") / "unit/dump_acpi"
TABLES = {"RSDT", "XSDT", "FACP", "FACS", "DSDT", "APIC", "MCFG", "WAET", "SSDT"}
AML = {"DSDT", "SSDT"}
# Length, checksum and the compiler's signature in the header, which iasl fills in by itself.
HEADER = 36


def run(*command, cwd):
    done = subprocess.run(command, cwd=cwd, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60)
    return done.returncode, done.stdout


class Tables(unittest.TestCase):
    maxDiff = 2000

    def check(self, vcpus, everything):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            code, text = run(str(DUMP), str(vcpus), str(everything), name, cwd=name)
            self.assertEqual(code, 0, text)
            tables = TABLES | ({"HPET"} if everything else set())
            self.assertEqual({p.stem for p in folder.glob("*.aml")}, tables)
            for table in sorted(tables):
                with self.subTest(table=table, vcpus=vcpus, everything=everything):
                    self.check_table(folder, table)

    def check_table(self, folder, table):
        before = (folder / f"{table}.aml").read_bytes()
        code, text = run("iasl", "-d", f"{table}.aml", cwd=folder)
        self.assertEqual(code, 0, text)
        self.assertNotRegex(text, r"(?i)error|warning|incorrect checksum|invalid|unknown", text)
        code, text = run("iasl", "-we", "-p", f"again_{table}", f"{table}.dsl", cwd=folder)
        self.assertEqual(code, 0, text)
        if table in AML:
            self.assertEqual(self.source(folder, table), self.source(folder, f"again_{table}"))
        else:
            after = (folder / f"again_{table}.aml").read_bytes()
            self.assertEqual(before[HEADER:], after[HEADER:])

    def source(self, folder, table):
        """Disassembled AML without its heading; numbers without the width they were stored in."""
        code, text = run("iasl", "-d", f"{table}.aml", cwd=folder)
        self.assertEqual(code, 0, text)
        text = (folder / f"{table}.dsl").read_text().split("DefinitionBlock", 1)[1]
        text = re.sub(r"0x0+(?=[0-9A-F])", "0x", text)
        return re.sub(r"\bOne\b", "0x1", re.sub(r"\bZero\b", "0x0", text))

    def test_smallest_machine(self):
        self.check(1, 0)

    def test_everything(self):
        self.check(64, 1)


if __name__ == "__main__":
    unittest.main()
