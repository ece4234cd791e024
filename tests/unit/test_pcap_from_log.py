#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/pcap-from-log: logs as the monitor writes them, whole and damaged."""
import base64
import importlib.machinery
import importlib.util
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
TOOL = ROOT / "tools" / "pcap-from-log"
loader = importlib.machinery.SourceFileLoader("pcap_from_log", str(TOOL))
tool = importlib.util.module_from_spec(importlib.util.spec_from_loader("pcap_from_log", loader))
loader.exec_module(tool)


def dump(data, network="lan", line=57):
    """What the monitor prints."""
    lines = [f"pcap {network} begin"]
    for at in range(0, len(data), line):
        lines.append(f"pcap {network} {base64.b64encode(data[at:at + line]).decode()}")
    lines.append(f"pcap {network} end {len(data)} bytes")
    return "\r\n".join(lines) + "\r\n"


DATA = bytes(range(256)) * 5


class Logs(unittest.TestCase):
    def test_a_dump_is_found_among_other_text(self):
        lines = dump(DATA).splitlines(keepends=True)
        lines.insert(0, "bulkhead: ready\r\nbulkhead> capture lan dump\r\n")
        lines.insert(4, "web| hello\r\nbulkhead: guest web: started\r\n")
        self.assertEqual(tool.last_dump("".join(lines), "lan"), DATA)

    def test_every_length_and_cut(self):
        for n in (0, 1, 2, 3, 56, 57, 58, 1000):
            for line in (1, 24, 57):
                self.assertEqual(tool.last_dump(dump(DATA[:n], line=line), "lan"), DATA[:n])

    def test_the_last_whole_one_counts(self):
        cut = dump(b"third").rsplit("pcap", 1)[0]
        self.assertEqual(tool.last_dump(dump(b"first") + dump(b"second") + cut, "lan"), b"second")

    def test_networks_are_kept_apart(self):
        text = dump(b"here") + dump(b"there", "lan2") + dump(b"else", "l.n")
        self.assertEqual(tool.last_dump(text, "lan"), b"here")
        self.assertEqual(tool.last_dump(text, "l.n"), b"else")

    def test_a_missing_line_is_noticed(self):
        lines = dump(DATA).splitlines(keepends=True)
        del lines[3]
        with self.assertRaisesRegex(ValueError, "bytes were printed"):
            tool.last_dump("".join(lines), "lan")

    def test_nothing_there(self):
        with self.assertRaisesRegex(ValueError, "no whole dump"):
            tool.last_dump("bulkhead: ready\n", "lan")

    def test_screenshots_go_the_same_way(self):
        text = dump(b"frames", "web") + dump(DATA, "web").replace("pcap", "screenshot")
        self.assertEqual(tool.last_dump(text, "web", "screenshot"), DATA)
        self.assertEqual(tool.last_dump(text, "web"), b"frames")
        cut = text.replace("screenshot web end 1280 bytes", "screenshot web cut short")
        with tempfile.TemporaryDirectory() as folder:
            log, out = pathlib.Path(folder, "log"), pathlib.Path(folder, "out.png")
            log.write_text(text, encoding="utf-8")
            done = subprocess.run([ROOT / "tools/screenshot-from-log", log, "web", out], check=False)
            self.assertEqual((done.returncode, out.read_bytes()), (0, DATA))
            log.write_text(cut, encoding="utf-8")
            done = subprocess.run([ROOT / "tools/screenshot-from-log", log, "web", out], check=False,
                                  stderr=subprocess.PIPE)
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"no whole dump of screen web", done.stderr)

    def test_as_a_program(self):
        with tempfile.TemporaryDirectory() as folder:
            log, out = pathlib.Path(folder, "log"), pathlib.Path(folder, "out.pcap")
            log.write_text(dump(DATA), encoding="utf-8")
            done = subprocess.run([TOOL, log, "lan", out], check=False)
            self.assertEqual((done.returncode, out.read_bytes()), (0, DATA))
            done = subprocess.run([TOOL, log, "wan", out], check=False, stderr=subprocess.PIPE)
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"no whole dump of network wan", done.stderr)


if __name__ == "__main__":
    unittest.main()
