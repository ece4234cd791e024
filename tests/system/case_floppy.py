# SPDX-License-Identifier: Apache-2.0
"""Guests with floppy drives."""
from case_sata import sata_linux
from harness import BOCHS, BUILD, Case, Expect, Send
from sticks import LINUX_BOOT, POWER_OFF, READY, gone, guest_conf, stick, stopped

IMAGES = {"images/grub.img": BUILD / "guest/floppy.img", "images/empty.img": bytes(720 * 1024)}
FAILED = r"^linux\| floppy: FAILED"


def floppy():
    """SeaBIOS boots GRUB from a floppy, then Linux writes and reads it; its medium goes out and comes in again."""
    drives = ["/images/grub.img", "/images/empty.img, readonly"]
    boots = {"fd/guest.conf": guest_conf(memory="64M", floppy="/images/grub.img")}
    return Case(
        "floppy", stick("console = all\nautostart = none\n", IMAGES, boots,
                        sata_linux("linux", "loglevel=4 task=floppy", floppy=drives)),
        [READY, Send("start fd"), Expect(r"^fd\| .*the words on the floppy", LINUX_BOOT), stopped("fd", "power-off"),
         gone("fd"), Send("start linux"), Expect(r"^linux\| floppy: verified", LINUX_BOOT, FAILED),
         Expect(r"^linux\| floppy: take it out", 20), Send("eject linux"),
         Expect(r"^linux\| floppy: put it back", 60, FAILED), Send("insert linux"),
         Expect(r"^linux\| floppy: done", 60, FAILED), stopped("linux", "power-off"), gone("linux"), POWER_OFF],
        timeout=300, left_out=dict.fromkeys(BOCHS, "a kernel for all machines takes minutes there"))


def cases():
    return [floppy()]
