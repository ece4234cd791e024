# SPDX-License-Identifier: Apache-2.0
"""Guests whose disks are on SATA ports."""
from disks import Disk, Partition
from harness import BOCHS, BUILD, Case, Check, Expect, Send, Trial
from sticks import LINUX_BOOT, POWER_OFF, READY, gone, guest_conf, stick, stopped

DISK_IMAGE = BUILD / "guest/disk.img"
CD = BUILD / "guest/cd.iso"
GENERIC = BUILD / "guest/generic"


def sata_linux(name, cmdline, **keys):
    """Debian's kernel for all machines: the one for clouds has no AHCI."""
    return {f"{name}/guest.conf": guest_conf(memory="256M", cmdline=f"console=ttyS0 guest={name} {cmdline}", **keys),
            f"{name}/vmlinuz": GENERIC / "vmlinuz", f"{name}/initrd.img": GENERIC / "initrd.img"}


def said(lines):
    """All commands in flight at once, and errors where there had to be some."""
    assert any(x.startswith("sata| sata: queue depth 32") for x in lines), "no native command queuing"
    assert any("I/O error, dev sd" in x for x in lines), "no error reached the guest's kernel"


def sata():
    """Written, flushed, trimmed, read back; resets in the middle; a read-only disk and a CD; a disk without room."""
    disk = Disk("nvme", "NV1", (Partition("root", 16, DISK_IMAGE),))
    disks = ["partition:root, bus=ahci, serial=files",
             "/images/disk.img, bus=ahci, readonly, serial=fixed",
             "/images/disk.img, bus=ahci, cdrom",
             "/images/disk.img, bus=ahci, overlay=256K, serial=full"]
    return Case(
        "disk-sata", stick("console = all\n", {"images/disk.img": DISK_IMAGE},
                           sata_linux("sata", "loglevel=4 task=sata", disk=disks, cpus="2")),
        [READY, Expect(r"^sata\| sata: resets survived", LINUX_BOOT, r"^sata\| sata: FAILED"),
         Expect(r"^sata\| sata: done", 60, r"^sata\| sata: FAILED"), Check(said),
         stopped("sata", "power-off"), gone("sata"), POWER_OFF],
        timeout=300, disks=(disk,), left_out=dict.fromkeys(BOCHS, "Bochs has no such disks"))


def boots(name, kind, grub):
    return Trial(f"{name} boots by {kind}", [
        Send(f"start {name}"),
        Expect(rf"^{name}\| .*GRUB: by {grub}", LINUX_BOOT, rf"^bulkhead: guest {name}: stopped"),
        Expect(rf"^{name}\| firmware: started by {kind}$", LINUX_BOOT, rf"^{name}\| firmware: started by"),
        Expect(rf"^{name}\| firmware: disk reads right$", 30, rf"^{name}\| firmware: end"),
        stopped(name, "power-off"), gone(name)])


def boot():
    """SeaBIOS and OVMF boot from a SATA port, and what they boot finds its disk there. SeaBIOS boots from a CD."""
    guests = [{f"{name}/guest.conf": guest_conf(memory="512M", disk="/images/grub.img, bus=ahci", firmware=kind)}
              for name, kind in (("old", "bios"), ("new", "uefi"))]
    cd = {"cd/guest.conf": guest_conf(memory="64M", disk="/images/cd.iso, bus=ahci", firmware="bios")}
    return Case(
        "firmware-sata", stick("console = all\nautostart = none\n",
                               {"images/grub.img": GENERIC / "grub.img", "images/cd.iso": CD}, cd, *guests),
        [READY, Send("start cd"), Expect(r"^cd\| .*the words on the CD", LINUX_BOOT),
         stopped("cd", "power-off"), gone("cd"), boots("old", "bios", "pc"), boots("new", "uefi", "efi"), POWER_OFF],
        timeout=400, left_out=dict.fromkeys(BOCHS, "firmware takes Bochs many minutes"))


def cases():
    return [sata(), boot()]
