# SPDX-License-Identifier: Apache-2.0
"""A guest on a network whose uplink is a card of the machine: DHCP and TCP with this host's loopback."""
import hashlib
import random
import socket
import threading

from harness import BOCHS, ONE_AMD, Case, Expect, Poll, Send
from sticks import LINUX_BOOT, POWER_OFF, READY, isolated, linux, started, stick, stopped

# tools/run's first card, and where QEMU's q35 and Bochs put it.
MAC = "52:54:00:12:34:56"
PCI = "00:02.0"


class Peer:
    """Two ports on the loopback: one sends bytes, the other takes them back and judges them."""

    def __init__(self, size):
        self.data = random.Random(size).randbytes(size)
        self.digest = hashlib.sha256(self.data).hexdigest()
        self.source, self.sink = self.serve(self.send), self.serve(self.judge)

    @staticmethod
    def serve(talk):
        server = socket.create_server(("127.0.0.1", 0))

        def accept():
            while True:
                connection, _ = server.accept()
                with connection:
                    talk(connection)

        threading.Thread(target=accept, daemon=True).start()
        return server.getsockname()[1]

    def send(self, connection):
        connection.sendall(self.data)

    def judge(self, connection):
        came = bytearray()
        while piece := connection.recv(65536):
            came += piece
        connection.sendall(f"{len(came)} bytes came back {'right' if came == self.data else 'wrong'}\n".encode())


def uplink(kind, mib, where, left_out, within):
    peer = Peer(mib << 20)
    conf = f"console = all\nautostart = none\nnetwork = lan, uplink={where}\n"
    return Case(
        f"uplink-{kind}" + ("-small" if mib == 1 else ""),
        stick(conf, linux("web", f"quiet task=uplink from={peer.source} to={peer.sink}", net="lan")),
        [READY, Send("info machine"), Expect(rf"^network card .* {MAC}, link up$", 30),
         Send("start web"), started("web"),
         Expect(r"^web\| uplink: has 10\.0\.2\.15$", LINUX_BOOT, r"^web\| uplink: [0-9a-f]{64}"),
         Expect(rf"^web\| uplink: {peer.digest}$", within, r"^web\| uplink: [0-9a-f]{64}"),
         Expect(rf"^web\| uplink: {mib << 20} bytes came back right$", within, "bytes came back wrong"),
         stopped("web", "power-off"), Send("info machine"),
         Expect(r"^  bad 0, no memory 0, refused 0, pauses \d+, resets 0$"),
         Poll("info networks", r"^frames take 0 of"), *isolated(), POWER_OFF],
        run_args=("--nic", kind), left_out=left_out, timeout=300)


def missing():
    """A card that is not there is said, and the network goes on without."""
    return Case(
        "uplink-missing", stick("network = lan, uplink=00:1d.0\n"),
        [READY, Expect(r"^bulkhead: network lan: no uplink: network card 00:1d\.0: not found$", 20), POWER_OFF],
        linux=False, left_out=ONE_AMD)


def cases():
    no_bochs = dict.fromkeys(BOCHS, "Bochs' only card that Bulkhead drives is e1000: uplink-e1000-small")
    return [uplink("e1000", 16, PCI, no_bochs, 60), uplink("e1000e", 16, MAC, no_bochs, 60),
            uplink("virtio-net", 16, PCI, no_bochs, 60),
            uplink("e1000", 1, MAC, {"qemu-svm": "uplink-e1000 runs there", **ONE_AMD}, 300), missing()]
