# SPDX-License-Identifier: Apache-2.0
"""UEFI variables that a Linux guest writes through OVMF: kept over its power-off and the machine's."""
import pathlib

from disks import Disk, Partition
from harness import NO_VENDOR, Boot, Case, Expect, Send, Trial
from sticks import LINUX_BOOT, POWER_OFF, READY, gone, isolated, linux, stick, stopped

OVMF = pathlib.Path("/usr/share/OVMF")
FIRMWARE = {f"firmware/{name}": OVMF / name for name in ("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd")}


def turn(name, lives):
    """One life of the guest, from start to power-off, behind so many others."""
    return Trial(f"{name}: {lives}", [
        Send(f"start {name}"),
        Expect(rf"^{name}\| variables: found {lives}$", LINUX_BOOT, rf"^{name}\| variables: FAILED"),
        stopped(name, "power-off"), gone(name)])


def kept():
    """Each life finds what the one before it wrote; on a partition the machine's end does not matter.
    What is something else is not written to."""
    def guest(name, place):
        return linux(name, "quiet task=variables", memory="256M", firmware="uefi", kernel="vmlinuz",
                     initrd="initrd.img", varstore=place)

    disk = Disk("nvme", "NV1", (Partition("vars", 2), Partition("small", 1)))
    return Case(
        "variables", stick("console = all\nautostart = none\n", FIRMWARE, guest("web", "partition:vars"),
                           guest("small", "partition:small"), guest("web2", "partition:vars")),
        [Expect(r"^bulkhead: guest small: not started: varstore: nvme\S+ partition 2 has 1024 KiB; needed: "
                r"1064 KiB", 200),
         Expect(r"^bulkhead: guest web2: not started: varstore: guest web writes to nvme\S+ partition 1, which "
                r"guest web2 would write to", 20),
         READY, turn("web", 0), turn("web", 1), *isolated(), POWER_OFF,
         Boot(), READY, turn("web", 2), POWER_OFF],
        timeout=600, disks=(disk,), left_out=NO_VENDOR)


def cases():
    return [kept()]
