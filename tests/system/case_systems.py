# SPDX-License-Identifier: Apache-2.0
"""Programs and systems that nobody here has written, on a PC's screen and keyboard (docs/systems.md)."""
import os
import re

from case_vga import any_row, bios_text, look
from harness import BOCHS, BUILD, NO_VENDOR, Case, Expect, Idle, Send
from sticks import LINUX_BOOT, POWER_OFF, READY, started, stick, stopped

CD = BUILD / "guest/memtest.iso"
# Some seconds of tests. A whole pass ends in 160 seconds of bit fade: for by hand.
UNTIL, LIMIT = (r"Pass: +1 ", 1800) if "MEMTEST_PASS" in os.environ else (r"#[4-9] +\[", 300)


def prompt():
    """GRUB's prompt does not end its line; this line comes right before."""
    return Expect(r"^pc\| .*device or file completions", LINUX_BOOT)


def healthy(shown):
    """It tests, and has found nothing."""
    rows = [bios_text(shown, y, 0xaaaaaa) + bios_text(shown, y, 0xffffff) for y in range(25)]
    assert any(re.search(r"Test #\d", row) for row in rows), rows
    assert any(re.search(r"Errors: 0", row) for row in rows), rows


def cases():
    """GRUB's shell on screen and keyboard, memtest86+ from it, and back by its Esc; then switched off."""
    return [Case(
        "memtest", stick("console = all\n", {
            "pc/guest.conf": "firmware = bios\nmemory = 16M\ndisk = /images/memtest.iso, bus=ahci\n",
            "images/memtest.iso": CD}),
        [READY, started("pc"), Expect(r"^pc\| .*the words on the CD", LINUX_BOOT), prompt(),
         Send("type pc ls (cd)/"), Idle(2), *look("pc", any_row(r"memtest86\+x64\.bin")),
         Send("type pc linux16 /memtest86+x64.bin console=ttyS0,115200"), Idle(2),
         Send("type pc boot"), Expect(rf"^pc\| .*{UNTIL}", LIMIT), *look("pc", healthy), Send("keys pc esc"),
         Expect(r"^bulkhead: guest pc: reset: by the reset register", 20), prompt(),
         Send("type pc halt"), stopped("pc", "power-off"), POWER_OFF],
        timeout=LIMIT, linux=False, left_out=NO_VENDOR)]
