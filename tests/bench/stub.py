# SPDX-License-Identifier: Apache-2.0
"""QEMU's gdbstub, and the names of the hypervisor's functions."""
import bisect
import re
import socket
import subprocess

REPLY_SECONDS = 60
REGISTERS = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13",
             "r14", "r15", "rip")


class Stub:
    """The little of GDB's remote protocol that is needed here."""

    def __init__(self, path, patience=REPLY_SECONDS):
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.settimeout(patience)
        self.connection.connect(str(path))
        self.buffer = b""
        self.ask("?")  # connecting has stopped the machine

    def ask(self, text):
        body = text.encode()
        self.connection.sendall(b"$" + body + b"#%02x" % (sum(body) & 0xFF))
        # The stub tells of a stop by itself too: such a packet answers only what waits for one.
        while (answer := self.answer()).startswith("T") and text[0] not in "?cs":
            pass
        return answer

    def run_to(self, address):
        """Goes on to a breakpoint, which is set already; returns the registers there."""
        registers = self.registers()
        while True:
            if registers["rip"] == address:
                self.ask("s")  # continuing at a breakpoint would only meet it again
            self.ask("c")
            registers = self.registers()
            if registers["rip"] == address:
                return registers

    def answer(self):
        while True:
            start = self.buffer.find(b"$")
            end = self.buffer.find(b"#", start)
            if start >= 0 and 0 <= end <= len(self.buffer) - 3:
                body = self.buffer[start + 1:end]
                self.buffer = self.buffer[end + 3:]
                self.connection.sendall(b"+")
                return body.decode(errors="replace")
            data = self.connection.recv(65536)
            if not data:
                raise SystemExit("the emulator has gone")
            self.buffer += data

    def registers(self):
        raw = bytes.fromhex(self.ask("g"))
        return {name: int.from_bytes(raw[i * 8:i * 8 + 8], "little") for i, name in enumerate(REGISTERS)}

    def rip(self):
        return self.registers()["rip"]

    def read(self, address, size):
        return bytes.fromhex(self.ask(f"m{address:x},{size:x}"))


class Symbols:
    def __init__(self, elf):
        text = subprocess.run(["nm", "-n", str(elf)], text=True, capture_output=True, check=True).stdout
        found = re.findall(r"^([0-9a-f]{16}) [tT] (\S+)$", text, re.M)
        self.starts = [int(a, 16) for a, _ in found]
        self.names = [n for _, n in found]
        self.end = max(self.starts, default=0) + 4096

    def address(self, name):
        return self.starts[self.names.index(name)]

    def name(self, rip):
        if not self.starts or not self.starts[0] <= rip < self.end:
            return "(guest)"
        return self.names[bisect.bisect_right(self.starts, rip) - 1]
