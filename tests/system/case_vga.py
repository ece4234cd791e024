# SPDX-License-Identifier: Apache-2.0
"""A guest's own screen and keyboard: over the serial port alone, and on the machine's screen."""
import functools
import importlib.machinery
import importlib.util
import os
import pathlib
import re
import struct
import time
import zlib

from case_screen import DUMP, QMP, glyphs, qmp, shows, type_keys
from harness import BOCHS, BUILD, ROOT, Case, Check, Expect, Idle, Send
from sticks import LINUX_BOOT, POWER_OFF, READY, isolated, linux, payload, started, stick, stopped

loader = importlib.machinery.SourceFileLoader("from_log", str(ROOT / "tools/screenshot-from-log"))
from_log = importlib.util.module_from_spec(importlib.util.spec_from_loader("from_log", loader))
loader.exec_module(from_log)


class Picture:
    """A PNG as this hypervisor writes it: 24 bits a pixel, each row as a difference."""

    def __init__(self, data):
        assert data.startswith(b"\x89PNG\r\n\x1a\n"), data[:16]
        at, packed = 8, b""
        while at < len(data):
            size, kind = struct.unpack(">I4s", data[at:at + 8])
            body = data[at + 8:at + 8 + size]
            crc, = struct.unpack(">I", data[at + 8 + size:at + 12 + size])
            assert zlib.crc32(kind + body) == crc, kind
            if kind == b"IHDR":
                self.width, self.height = struct.unpack(">II", body[:8])
            packed += body if kind == b"IDAT" else b""
            at += 12 + size
        raw, row = zlib.decompress(packed), 3 * self.width
        self.rows, above = [], bytes(row)
        for y in range(self.height):
            line = raw[y * (row + 1):(y + 1) * (row + 1)]
            assert line[0] == 2, "the filter is Up"
            above = bytes((a + b) & 0xff for a, b in zip(line[1:], above))
            self.rows.append(above)

    def __getitem__(self, place):
        x, y = place
        return int.from_bytes(self.rows[y][3 * x:3 * x + 3], "big")

    def text(self, row, front, width=9, height=16):
        """A row of characters whose dots have the colour `front`."""
        table, line = glyphs(), ""
        for left in range(0, self.width - width + 1, width):
            cell = bytes(sum(0x80 >> x for x in range(8)
                             if self[left + x, row * height + y] == front) for y in range(height))
            line += table.get(cell, "\ufffd")
        return line.rstrip()


def picture(lines, name):
    return Picture(from_log.last_dump("\n".join(lines), name, "screenshot"))


def look(name, judge):
    return [Send(f"screenshot {name}"), Expect(rf"^screenshot {name} end \d+ bytes", 60),
            Check(lambda lines: judge(picture(lines, name)))]


def same(shown, expected):
    for (x, y), colour in expected.items():
        assert shown[x, y] == colour, f"({x}, {y}) is {shown[x, y]:06x}, not {colour:06x}"


def text(shown):
    assert (shown.width, shown.height) == (720, 400)
    assert shown.text(1, 0xffff55) == "Bulkhead shows text", shown.text(1, 0xffff55)
    same(shown, {(8, 16): 0x0000aa, (700, 16): 0, (0, 33): 0})


def planes(shown):
    assert (shown.width, shown.height) == (640, 480)
    same(shown, {(40 * c + x, y): (c << 2 | c >> 4) * 0x010101
                 for c in range(16) for x in (0, 39) for y in (0, 63)})
    same(shown, {(639, 64): 0, (600, 479): 0})


def grey(number):
    level = number % 64
    return (level << 2 | level >> 4) * 0x010101


def in_bytes(shown):
    assert (shown.width, shown.height) == (320, 200)
    same(shown, {(x, y): grey((x + y) % 256) for x in (0, 1, 159, 319) for y in (0, 1, 100, 199)})


def pixels(shown):
    assert (shown.width, shown.height) == (640, 480)
    same(shown, {(x, y): 0x400000 + (y % 256) * 256 + x % 256
                 for x in (0, 1, 300, 639) for y in (0, 1, 255, 256, 479)})


def faults(lines):
    """How many accesses to memory have come to the hypervisor, by the last `stats`."""
    found = [m for line in lines if (m := re.search(r"^vcpu0\.exits\.nested-fault (\d+)", line))]
    return int(found[-1][1])


class Faults:
    """What two `stats` have between them."""
    before = 0


def note_faults(lines):
    Faults.before = faults(lines)


def no_more_faults(lines):
    more = faults(lines) - Faults.before
    assert more == 0, f"{more} exits while memory that is shown was written 20 times"


def stats(check, name="vga"):
    return [Send(f"stats {name}"), Expect(r"^vcpu0\.exits\.nested-fault"), Check(check)]


def shown(what):
    return Expect(rf"^shown: {what}|\bshown: {what}", 60, r"FAIL vga")


def on_the_machine(_):
    """The picture in the middle of the machine's own screen, as large as it fits; black around it."""
    deadline = time.monotonic() + 20
    while True:
        qmp(("screendump", {"filename": str(DUMP)}))
        _, size, _, data = DUMP.read_bytes().split(b"\n", 3)
        width, height = map(int, size.split())
        scale = min(width // 640, height // 480)
        left, top = (width - 640 * scale) // 2, (height - 480 * scale) // 2

        def at(x, y):
            place = 3 * (y * width + x)
            return int.from_bytes(data[place:place + 3], "big")
        wrong = [(x, y) for x in (0, 1, 300, 639) for y in (0, 1, 255, 256, 479)
                 if at(left + x * scale, top + y * scale) != 0x400000 + (y % 256) * 256 + x % 256]
        around = [at(x, y) for x, y in ((0, 0), (width - 1, height - 1), (left - 1, top), (left, top - 1))]
        if not wrong and not any(around):
            return
        assert time.monotonic() < deadline, f"{width}x{height}: {wrong} are wrong, around it {around}"
        time.sleep(0.2)


KEY = Send("keys vga a")

MODES = Case(
    "vga", stick("console = all\n", payload("vga", keys={"vga": "on"})),
    [READY, started("vga"),
     shown("text"), *look("vga", text), KEY,
     shown("planes"), *look("vga", planes), KEY,
     shown("bytes"), *look("vga", in_bytes), KEY,
     shown("black"), *stats(note_faults), KEY,
     shown("pixels"), *stats(no_more_faults), *look("vga", pixels),
     Send("info isolation"), Expect(r"^isolation: .* 0 violations"),
     # In front, with the machine's screen and keyboard; and back, with none of its pixels left.
     Send("console vga"), Check(on_the_machine), Send("\x1d", end=""), Expect(r"^\[vga: detached\]"),
     shows(r"^screenshot vga [A-Za-z0-9+/]{76}", r"^\[vga: detached\]"),
     Send("console vga"), Check(on_the_machine), type_keys("a"), stopped("vga", "power-off"),
     Send("\x1d", end=""), POWER_OFF],
    timeout=240, linux=False, must=(r"PASS vga",),
    left_out=dict.fromkeys(BOCHS, "no linear framebuffer, no keys from outside"),
    run_args=("--qemu-arg=-qmp", f"--qemu-arg=unix:{QMP},server=on,wait=off"))


# ---------------------------------------------------------------- text without exits

def lines_of_letters(shown_):
    rows = [shown_.text(y, 0xffff55) for y in range(25)]
    expected = [chr(ord("A") + y) * 4 for y in range(25)]
    assert rows[:24] == expected[:24], rows


def block_for_a(shown_):
    same(shown_, {(9 * c + x, y): 0xffff55 for c in (0, 3) for x in (0, 7) for y in (0, 15)})
    assert shown_.text(1, 0xffff55) == "B" * 4, shown_.text(1, 0xffff55)


NEXT = Send("keys text a")


# Also on Bochs, without the second processor: minutes.
TEXT_NOT = {} if "VGA_TEXT" in os.environ else dict.fromkeys(BOCHS, "takes minutes there: VGA_TEXT=1 runs it")


def text_case(name, left_out, cpus):
    guest = payload("text", "vga-text", keys={"vga": "on", "cpus": cpus}, cpus=cpus)
    return Case(
        name, stick("console = all\n", guest),
        [READY, started("text"),
         shown("lines"), *look("text", lines_of_letters), *stats(note_faults, "text"), NEXT,
         shown("scrolled"), *stats(no_more_faults, "text"), *look("text", lines_of_letters), NEXT,
         shown("font"), *look("text", block_for_a), *isolated(), NEXT,
         stopped("text", "power-off", 120), POWER_OFF],
        timeout=240, linux=False, cpus=cpus, must=(r"PASS vga-text",), left_out=left_out)


TEXTS = [text_case("vga-text", dict.fromkeys(BOCHS, "vga-text-small runs there"), 2),
         text_case("vga-text-small", {"qemu-svm": "vga-text runs there"} | TEXT_NOT, 1)]

# ---------------------------------------------------------------- Linux

ANSWER = "Me & [You]"


def question(shown_):
    rows = [shown_.text(y, 0xaaaaaa) for y in range(25)]
    assert f"Who is there? {ANSWER}" in rows and f"Hello, {ANSWER}." in rows, [r for r in rows if r]


# A kernel without firmware finds text mode and a font; a program asks on the screen.
LINUX = Case(
    "linux-screen", stick("console = all\n", linux("web", "console=tty0 task=screen", vga="on")),
    [READY, started("web"), Expect(r"^web\| .*Console: colour VGA\+ 80x25", LINUX_BOOT),
     Expect(r"^web\| screen: asks", LINUX_BOOT), Send(f"type web {ANSWER}"),
     Expect(rf"^web\| screen: {re.escape(ANSWER)}$", 30), Send("mouse web 1 1"), *look("web", question),
     Send("keys web ret"), stopped("web", "power-off"), POWER_OFF],
    timeout=300, left_out=dict.fromkeys(BOCHS, "what it tests does not know the vendor, and Bochs takes minutes"))

# ---------------------------------------------------------------- firmware

SEABIOS = pathlib.Path("/usr/share/seabios")
MENU = BUILD / "guest/grub-menu.img"
MENU_SECONDS = 4  # to draw it: nothing says that this is done


def any_row(expected, front=0xaaaaaa):
    def judge(shown_):
        assert (shown_.width, shown_.height) == (720, 400), (shown_.width, shown_.height)
        rows = [bios_text(shown_, y, front) for y in range(25)]
        assert any(re.search(expected, row) for row in rows), [r for r in rows if r]
    return judge


def bios_text(shown_, row, front):
    """Characters of the BIOS' font: known by their shapes in the VGA BIOS."""
    table, line = bios_glyphs(), ""
    for left in range(0, shown_.width, 9):
        cell = bytes(sum(0x80 >> x for x in range(8)
                         if shown_[left + x, row * 16 + y] == front) for y in range(16))
        line += table.get(cell, "\ufffd")
    return line.rstrip()


@functools.lru_cache
def bios_glyphs():
    """The 8x16 font in the VGA BIOS: found by its first letters' shapes, which no code has."""
    rom = (SEABIOS / "vgabios-stdvga.bin").read_bytes()
    letter_a = bytes.fromhex("000010386cc6c6fec6c6c6c600000000")
    start = rom.index(letter_a) - 0x41 * 16
    return {rom[start + 16 * c:start + 16 * c + 16]: chr(c) for c in range(0x7e, 0x1f, -1)}


def bios_menu(shown_):
    any_row(r"GNU GRUB")(shown_)
    rows = [bios_text(shown_, y, 0) for y in range(25)]  # the chosen line is black on grey
    assert any("*The second" in row for row in rows), [r for r in rows if r]


def uefi_menu(shown_):
    """OVMF draws text itself, on a framebuffer, with a font of its own: the chosen line, the second of
    three, is the one bar across the middle of the screen."""
    assert shown_.width >= 640 and shown_.height >= 480, (shown_.width, shown_.height)
    bar = [y for y in range(shown_.height) if all(shown_[shown_.width // 2 + x, y] != 0 for x in range(200))]
    lines = [y for y in bar if y - 1 not in bar]
    assert len(lines) == 3, lines  # the frame's upper edge, the bar, the lower edge
    assert 20 < lines[1] - lines[0] < 40, lines


def menu(name, firmware_, platform, judge):
    return Case(
        name, stick("console = all\n", {
            "pc/guest.conf": f"firmware = {firmware_}\nmemory = 256M\ndisk = /images/menu.img\n",
            "images/menu.img": MENU}),
        [READY, started("pc"), Expect(r"^pc\|.*menu comes", 120), Idle(MENU_SECONDS),
         Send("keys pc down"), Idle(MENU_SECONDS), *look("pc", judge), Send("keys pc ret"),
         Expect(rf"^pc\| .*chosen: the second by {platform}", 60), stopped("pc", "power-off"), POWER_OFF],
        timeout=300, linux=False, left_out=dict.fromkeys(BOCHS, "firmware takes minutes there"))


def cases():
    return [MODES, *TEXTS, LINUX, menu("bios-screen", "bios", "pc", bios_menu), menu("uefi-screen", "uefi", "efi", uefi_menu)]
