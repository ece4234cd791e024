# SPDX-License-Identifier: Apache-2.0
"""Two Linux guests on a network of their own: they find each other, and what one sends arrives."""
import importlib.machinery
import importlib.util
import struct

from harness import NO_VENDOR, ROOT, Case, Check, Expect, ExpectAll, Send
from sticks import LINUX_BOOT, POWER_OFF, READY, gone, isolated, linux, started, stick

loader = importlib.machinery.SourceFileLoader("pcap_from_log", str(ROOT / "tools/pcap-from-log"))
pcap_from_log = importlib.util.module_from_spec(importlib.util.spec_from_loader("pcap_from_log", loader))
loader.exec_module(pcap_from_log)

CONF = "console = all\nautostart = none\nnetwork = lan, storm=500\n"


def capture_is_whole(lines):
    """The dump is a pcap file that has ARP and TCP in it."""
    data = pcap_from_log.last_dump("\n".join(lines), "lan")
    magic, = struct.unpack_from("<I", data)
    assert magic == 0xa1b23c4d, f"magic number {magic:#x}"
    at, types = 24, set()
    while at < len(data):
        kept, = struct.unpack_from("<I", data, at + 8)
        types.add(data[at + 28:at + 30].hex())
        at += 16 + kept
    assert at == len(data), f"the last frame ends at {at} of {len(data)}"
    assert {"0800", "0806"} <= types, f"types of frames: {types}"


def transfer(mib, rounds, within):
    """Ping, then a file over TCP past a rate limit, compared by its checksum. A capture of the start."""
    size = mib << 20
    steps = [
        READY, Send("capture lan start"), Expect(r"^capturing what goes over lan"),
        Send("start server"), started("server"),
        Expect(r"^server\| net-server: ready", LINUX_BOOT, "Kernel panic"),
        Send("start client"), started("client"),
        Expect(r"^client\| net-client: 5 packets transmitted, 5 packets received", LINUX_BOOT),
        Send("capture lan stop"), Expect(r"^capture of lan: off, \d\d+ frames"),
        Send("capture lan dump"), Expect(r"^pcap lan end \d+ bytes", 120), Check(capture_is_whole),
        Send("info networks"), Expect(r"^network lan: 2 ports, no uplink"), Expect(r"^  client/0 "),
        *(Expect(rf"^client\| net-client: copy {i} of {size} bytes is right", within,
                 r"net-client: copy \d+ of \d+ bytes is wrong") for i in range(1, rounds + 1)),
        Send("stats server"), Expect(r"^net0\.tx-bytes \d{6,}"), Expect(r"^net0\.tx-malformed 0"),
        Expect(r"^net0\.tx-held [1-9]"),
        ExpectAll((r"^bulkhead: guest server: stopped: power-off", r"^bulkhead: guest client: stopped: power-off"), 60),
        gone("server"), gone("client"),
        Send("info networks"), Expect(r"^frames take 0 of"), Expect(r"^network lan: 0 ports"), *isolated(),
        POWER_OFF]
    return Case("network", stick(CONF, linux("server", f"task=net-server mib={mib}", net="lan, rate=4M"),
                                 linux("client", f"task=net-client rounds={rounds}", net="lan")),
                steps, timeout=500, left_out=NO_VENDOR)


def cases():
    return [transfer(mib=16, rounds=3, within=60)]
