# SPDX-License-Identifier: Apache-2.0
"""Guests with disks: images with overlays, limits, and configurations that are refused."""
import re

from disks import Disk, Partition
from harness import BOCHS, BUILD, NO_VENDOR, ONE_AMD, Boot, Case, Check, Expect, Poll, Send, Trial
from sticks import LINUX_BOOT, ONE_THREAD, POWER_OFF, READY, gone, isolated, linux, stick, stopped

ALL = "console = all\n"
DISK_IMAGE = BUILD / "guest/disk.img"
IMAGE = {"images/disk.img": DISK_IMAGE}
FILES = 6


def disk_guest(name, disk="/images/disk.img", **keys):
    return linux(name, f"quiet task=disk files={FILES}", memory="128M", disk=disk, **keys)


def turn(name, verdict):
    """One life of the guest, from start to power-off."""
    return Trial(f"{name}: {verdict}", [
        Send(f"start {name}"),
        Expect(rf"^{name}\| disk: {verdict} {FILES}$", LINUX_BOOT, rf"^{name}\| disk: FAILED"),
        stopped(name, "power-off"), gone(name)])


def numbers(lines, key):
    """All values that `stats` and `info` printed for a key."""
    return [int(m[1]) for x in lines if (m := re.match(rf"{re.escape(key)} (\d+)", x))]


def held_once(lines):
    """The image is in memory once; each guest costs what it wrote, not the disk's 16 MiB."""
    assert any(re.match(r" *image images/disk\.img: 16384 KiB, once for 2 disks$", x) for x in lines)
    overlays = [int(m[1]) for x in lines if (m := re.match(r" *(?:web|db) +overlays (\d+) KiB", x))]
    assert len(overlays) >= 2 and all(200 <= n <= 6000 for n in overlays), f"overlays {overlays} KiB"


def counted(lines):
    reads, flushes = numbers(lines, "disk0.read-requests"), numbers(lines, "disk0.flush-requests")
    assert reads and reads[-1] > 0 and flushes[-1] > 0, f"reads {reads}, flushes {flushes}"
    assert numbers(lines, "disk0.errors")[-1] == 0, "there were errors"


def image():
    """Two guests on one image: what each wrote is there after power-off and start, and only for it."""
    return Case(
        "disk-image", stick(ALL + "autostart = none\n", IMAGE, disk_guest("web"), disk_guest("db")),
        [READY, turn("web", "written"), turn("db", "written"), turn("web", "verified"),
         turn("db", "verified"), Send("info memory"), Expect(r"^ *web +overlays", 20),
         Check(held_once), Send("info disks"),
         Expect(r"^image images/disk\.img, 16384 KiB in memory  .*web reads", 20),
         Poll("stats web", r"^disk0\.errors"), Check(counted), *isolated(), POWER_OFF],
        timeout=900, left_out=ONE_AMD)


def refused():
    """What cannot be given to a guest is said with names, and the others run."""
    guests = (disk_guest("good", serial="on"),
              disk_guest("nowhere", "partition:root"), disk_guest("gone", "disk:S123"),
              disk_guest("cut", "cut.img"), {"cut/cut.img": b"x" * 1000},
              disk_guest("bus", "/images/disk.img, bus=scsi"),
              disk_guest("both", "/images/disk.img, overlay, readonly"),
              disk_guest("full", "/images/disk.img, overlay=256K"))
    return Case(
        "disk-refused", stick(ALL + "autostart = none\n", IMAGE, *guests),
        [Expect(r"^bulkhead: config: both/guest\.conf:\d+: disk: overlay and readonly exclude", 200),
         Expect(r'^bulkhead: config: bus/guest\.conf:\d+: disk: found "scsi"; allowed: bus=virtio, ', 20),
         Expect(r"^bulkhead: config: cut/guest\.conf:\d+: disk: the image has 1000 bytes; allowed: "
                r"multiples of 512", 20),
         Expect(r'^bulkhead: guest gone: not started: disk 0: no disk has the serial number '
                r'"S123"; there are: ahci0\.0 \(QM00001\)', 60),
         Expect(r'^bulkhead: guest nowhere: not started: disk 0: no partition has the label or UUID '
                r'"root"; there are: ahci0\.0 partition 1 \(EFI system partition\)', 20),
         READY, Send("start nowhere"), Expect(r"^cannot start nowhere: disk 0: ", 20),
         turn("good", "written"),
         Send("start full"),
         Expect(r"^bulkhead: guest full: disk 0: writes fail: its overlay takes \d+ KiB", LINUX_BOOT),
         stopped("full", "power-off", LINUX_BOOT), gone("full"), turn("good", "verified"), POWER_OFF],
        timeout=900, linux=False, left_out=NO_VENDOR)


def claims():
    """One guest has a partition alone, also against the whole disk; two read another one, each below an
    overlay of its own. What was written to the disk is there when the machine starts again; overlays are not."""
    guests = (disk_guest("alone", "partition:root"), disk_guest("left", "partition:data, overlay"),
              disk_guest("right", "partition:data, overlay=32M, iops=400"),
              disk_guest("twin", "partition:root"), disk_guest("whole", "disk:NV1"))
    disk = Disk("nvme", "NV1", (Partition("root", 16, DISK_IMAGE), Partition("data", 16, DISK_IMAGE)))
    taken = r"disk 0: guest alone writes to nvme\S+ partition 1, which guest {0} would write to"
    refusals = [Expect(rf"^bulkhead: guest {n}: not started: " + taken.format(n), 200) for n in ("twin", "whole")]
    return Case(
        "disk-claims", stick(ALL + "autostart = none\n", *guests),
        [*refusals, READY, turn("alone", "written"), turn("left", "written"), turn("right", "written"),
         turn("left", "verified"), turn("right", "verified"), Send("info disks"),
         Expect(r"^  2 .* data  left reads, right reads$", 20), POWER_OFF,
         Boot(), READY, turn("alone", "verified"), turn("left", "written"), POWER_OFF],
        timeout=900, disks=(disk,), left_out=dict.fromkeys(BOCHS, "Bochs has no such disks"))


def nvme():
    """Linux' own NVMe driver, on one CPU and on four: data, flushes, discards, resets under load, a read-only
    disk, and one whose writes fail."""
    disks = [f"/images/disk.img, bus=nvme{options}" for options in ("", ", readonly", ", overlay=256K")]
    guests = [linux(f"on{n}", "quiet task=nvme", memory="128M", cpus=n, disk=disks, console="ttyS0") for n in (1, 4)]

    def runs(name, queues):
        return Trial(name, [
            Send(f"start {name}"),
            Expect(rf"^{name}\| nvme: Bulkhead NVMe .*, {queues} queues, ", LINUX_BOOT),
            Expect(rf"^{name}\| nvme: passed", LINUX_BOOT, rf"^{name}\| nvme: FAILED"),
            stopped(name, "power-off"), gone(name)])
    return Case(
        "nvme", stick(ALL + "autostart = none\n", IMAGE, *guests),
        [READY, runs("on1", 1), runs("on4", 4), *isolated(), POWER_OFF],
        timeout=600, cpus=2, left_out=NO_VENDOR, run_args=ONE_THREAD)


def cases():
    return [image(), refused(), claims(), nvme()]
