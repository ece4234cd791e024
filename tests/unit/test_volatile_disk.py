#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/system/volatile_disk.py: what is flushed stays, what is not is lost with the client, and overlapping
writes are undone in the right order."""
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests/system"))

import volatile_disk as vd  # noqa: E402

SIZE = 1 << 16


class Client:
    """The least of an NBD client."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        vd.receive(self.socket, 18)
        self.socket.sendall(struct.pack(">L8sLL", vd.FIXED_NEWSTYLE | vd.NO_ZEROES, vd.OPTION_MAGIC,
                                        vd.OPTION_EXPORT_NAME, 0))
        self.size, self.flags = struct.unpack(">QH", vd.receive(self.socket, 10))

    def request(self, command, offset=0, length=0, data=b"", flags=0):
        self.socket.sendall(struct.pack(">LHHQQL", vd.REQUEST_MAGIC, flags, command, 7, offset, length) + data)
        _, error, handle = struct.unpack(">LLQ", vd.receive(self.socket, 16))
        assert handle == 7
        return error, vd.receive(self.socket, length) if command == vd.READ and not error else b""

    def write(self, offset, data, flags=0):
        assert self.request(vd.WRITE, offset, len(data), data, flags) == (0, b"")


class Disk(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = pathlib.Path(folder.name) / "disk"
        self.file.write_bytes(bytes(SIZE))
        self.path = pathlib.Path(folder.name) / "socket"
        self.server = subprocess.Popen([sys.executable, vd.__file__, str(self.file), str(self.path)],
                                       stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end)
        while not self.path.exists():
            time.sleep(0.01)

    def client(self):
        client = Client(self.path)
        self.addCleanup(client.socket.close)
        return client

    def end(self):
        self.server.kill()
        self.server.communicate()

    def test_what_was_not_flushed_goes_with_the_client(self):
        client = self.client()
        self.assertEqual((client.size, client.flags & vd.SEND_FLUSH), (SIZE, vd.SEND_FLUSH))
        client.write(100, b"kept")
        self.assertEqual(client.request(vd.FLUSH), (0, b""))
        client.write(98, b"gone one")
        client.write(100, b"gone two")
        self.assertEqual(client.request(vd.READ, 98, 10), (0, b"gogone two"))
        client.socket.close()
        self.assertEqual(self.server.stdout.readline(), "lost 2 writes\n")
        self.assertEqual(self.file.read_bytes()[96:110], b"\0\0\0\0kept\0\0\0\0\0\0")

    def test_forced_writes_and_an_orderly_end_lose_nothing(self):
        client = self.client()
        client.write(0, b"forced", vd.COMMAND_FUA)
        client.write(10, b"late")
        client.socket.sendall(struct.pack(">LHHQQL", vd.REQUEST_MAGIC, 0, vd.DISCONNECT, 1, 0, 0))
        self.assertEqual(client.socket.recv(1), b"")
        again = self.client()
        self.assertEqual(again.request(vd.READ, 0, 14), (0, b"forced\0\0\0\0late"))

    def test_beyond_the_end_is_an_error(self):
        client = self.client()
        self.assertEqual(client.request(vd.READ, SIZE - 1, 2)[0], vd.EINVAL)
        self.assertEqual(client.request(9)[0], vd.EINVAL)


if __name__ == "__main__":
    unittest.main()
