# SPDX-License-Identifier: Apache-2.0
"""The machine's own screen and keyboard: what a person without a serial cable has. The pixels are
read back as text by comparing each cell with the font that was built in."""
import json
import re
import socket
import time

from harness import BOCHS, BUILD, WORK, Case, Check, Expect
from sticks import READY, payload, started, stick

QMP = WORK / "screen.qmp"
DUMP = WORK / "screen.ppm"
CELL = (8, 16)


def qmp(*commands):
    """Runs commands of the emulator's machine protocol: (name, arguments) pairs."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(QMP))
        stream = connection.makefile("rw")
        stream.readline()
        for name, arguments in (("qmp_capabilities", {}), *commands):
            stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
            stream.flush()
            while True:
                answer = json.loads(stream.readline())
                assert "error" not in answer, answer
                if "return" in answer:
                    break


def glyphs():
    text = (BUILD / "gen/font.c").read_text()
    rows = re.findall(r"\{((?:0x[0-9a-f]{2},? ?){16})\}", text)
    table = {}
    for code, row in enumerate(rows, 0x20):
        table.setdefault(bytes(int(x, 16) for x in re.findall(r"0x[0-9a-f]{2}", row)), chr(code))
    return table


def screen_text():
    """The lines on the screen; a cell that is no glyph of the font reads as '\\ufffd'."""
    qmp(("screendump", {"filename": str(DUMP)}))
    _, size, _, pixels = DUMP.read_bytes().split(b"\n", 3)
    width, height = map(int, size.split())
    table = glyphs()
    lines = []
    for top in range(0, height - CELL[1] + 1, CELL[1]):
        line = ""
        for left in range(0, width - CELL[0] + 1, CELL[0]):
            cell = bytearray()
            for y in range(top, top + CELL[1]):
                row = pixels[3 * (y * width + left):3 * (y * width + left + CELL[0])]
                cell.append(sum(0x80 >> x for x in range(CELL[0]) if row[3 * x]))
            line += table.get(bytes(cell), "\ufffd")
        lines.append(line.rstrip())
    return lines


def shows(*patterns, within=20):
    """The screen follows the serial port by some frames: looks until all patterns are there."""
    def check(_):
        deadline = time.monotonic() + within
        while True:
            text = screen_text()
            missing = [p for p in patterns if not any(re.search(p, line) for line in text)]
            if not missing:
                return
            assert time.monotonic() < deadline, \
                f"/{missing[0]}/ is not on the screen: {[x for x in text if x]}"
            time.sleep(0.2)
    return Check(check)


def type_keys(text):
    names = {" ": "spc", "\n": "ret"}

    def check(_):
        qmp(*(("send-key", {"keys": [{"type": "qcode", "data": names.get(c, c)}]}) for c in text))
    return Check(check)


SCREEN = Case(
    "screen", stick("", payload("heart", "heartbeat")),
    [READY, started("heart"),
     type_keys("list\n"), Expect(r"^NAME +STATE"), Expect(r"^heart +running"),
     shows(r"^bulkhead: hypervisor entered", r"^bulkhead: guest heart: started", r"^NAME +STATE", r"^heart +running"),
     type_keys("help\n"), Expect(r"returns from a guest's console"), shows(r"^ +poweroff .*switch the machine off"),
     type_keys("poweroff\n")],
    timeout=240, linux=False, left_out=dict.fromkeys(BOCHS, "no linear framebuffer, no keys from outside"),
    run_args=("--qemu-arg=-qmp", f"--qemu-arg=unix:{QMP},server=on,wait=off"))


def cases():
    return [SCREEN]
