# SPDX-License-Identifier: Apache-2.0
"""Guests with disks and CD drives on IDE."""
from case_sata import sata_linux
from harness import BOCHS, BUILD, Case, Check, Expect, Send
from sticks import LINUX_BOOT, POWER_OFF, READY, gone, guest_conf, stick, stopped

DISK_IMAGE = BUILD / "guest/disk.img"
GRUB = BUILD / "guest/grub.img"
CD = BUILD / "guest/cd.iso"
FAILED = r"^{0}\| ide: FAILED"


def guest(name, cmdline):
    disks = ["/images/disk.img, bus=ide, serial=files", "/images/cd.iso, bus=ide"]
    return sata_linux(name, f"loglevel=4 task=ide {cmdline}", disk=disks)


def turn(name):
    """Written, read back; the CD goes out and comes in again."""
    failed = FAILED.format(name)
    return [Send(f"start {name}"), Expect(rf"^{name}\| ide: verified", LINUX_BOOT, failed),
            Expect(rf"^{name}\| ide: take it out", 20), Send(f"eject {name}"),
            Expect(rf"^{name}\| ide: put it back", 60, failed), Send(f"insert {name}"),
            Expect(rf"^{name}\| ide: done", 60, failed), stopped(name, "power-off"), gone(name)]


def modes(lines):
    """The one moves data by bus master, the other word by word."""
    assert any(x.startswith("dma| ide: XFER_MW_DMA_2 XFER_MW_DMA_2") for x in lines), "no DMA"
    assert any(x.startswith("pio| ide: XFER_PIO_4 XFER_PIO_4") for x in lines), "no PIO"


def ide():
    """Debian's ata_piix with bus master DMA, and again without."""
    return Case(
        "disk-ide", stick("console = all\nautostart = none\n",
                          {"images/disk.img": DISK_IMAGE, "images/cd.iso": DISK_IMAGE},
                          guest("dma", ""), guest("pio", "libata.dma=0")),
        [READY, *turn("dma"), *turn("pio"), Check(modes), POWER_OFF],
        timeout=300, left_out=dict.fromkeys(BOCHS, "a kernel for all machines takes minutes there"))


def firmware():
    """SeaBIOS boots GRUB from a disk, which loads Linux from it, and from a CD: BIOS calls, data word by word."""
    conf = {"memory": "192M", "firmware": "bios"}
    disk = {"hd/guest.conf": guest_conf(disk="/images/grub.img, bus=ide", **conf)}
    cd = {"cd/guest.conf": guest_conf(disk="/images/cd.iso, bus=ide", **conf)}
    return Case(
        "firmware-ide", stick("console = all\nautostart = none\n",
                              {"images/grub.img": GRUB, "images/cd.iso": CD}, disk, cd),
        [READY, Send("start cd"), Expect(r"^cd\| .*the words on the CD", LINUX_BOOT),
         stopped("cd", "power-off"), gone("cd"),
         Send("start hd"), Expect(r"^hd\| .*GRUB: by pc", LINUX_BOOT),
         Expect(r"^hd\| firmware: started by bios", LINUX_BOOT), stopped("hd", "power-off"), gone("hd"),
         POWER_OFF],
        timeout=300, left_out=dict.fromkeys(BOCHS, "firmware on virtio disks runs there"))


def cases():
    return [ide(), firmware()]
