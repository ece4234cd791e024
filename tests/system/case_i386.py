# SPDX-License-Identifier: Apache-2.0
"""32-bit Debian kernels, to a shell: one for a CPU without PAE by the 32-bit boot protocol, one for any CPUs by SeaBIOS and
GRUB. What each old disk and card is good for they try on each other."""
from harness import BUILD, NO_VENDOR, Case, Check, Expect, ExpectAll, Send
from sticks import LINUX_BOOT, POWER_OFF, READY, gone, guest_conf, isolated, stick, stopped

CONF = "console = all\nautostart = none\nnetwork = lan\n"
PLAIN = BUILD / "guest/686"
GRUB = BUILD / "guest/686-pae/grub.img"
DISK = BUILD / "guest/disk.img"
DISKS = {"plain": ("vda", "sda"), "pae": ("sda", "sdb")}


def guests():
    """With 2.5 GiB a part of the RAM is above 4 GiB, which only PAE reaches."""
    plain = {"plain/guest.conf": guest_conf(
        memory="192M", cmdline="console=ttyS0 loglevel=4 guest=plain", net="lan",
        disk=["/images/disk.img", "/images/disk.img, bus=ahci"]),
        "plain/vmlinuz": PLAIN / "vmlinuz", "plain/initrd.img": PLAIN / "initrd.img"}
    pae = {"pae/guest.conf": guest_conf(
        memory="2560M", cpus=2, firmware="bios", net="lan, model=e1000",
        disk=["/images/grub.img, bus=ide", "/images/disk.img, bus=ahci"])}
    return plain, pae


def boots(name, *lines):
    failed = rf"^bulkhead: guest {name}: stopped|^{name}\| .*Kernel panic"
    return [Expect(rf"^{name}\| {line}", LINUX_BOOT, failed) for line in (*lines, rf"{name}: Linux [0-9.-]+-686")]


def said(lines):
    for name, disks in DISKS.items():
        for disk in disks:
            assert f"{name}| i386: {disk} is right" in lines, f"{name}: {disk} was not tried"
    total = [int(x.split()[-2]) for x in lines if x.startswith("pae| i386: i686, 2 CPUs, MemTotal:")]
    assert total and total[0] > 2200 << 10, f"the RAM above 4 GiB is missing: {total} KiB"


def cases():
    failed = "i386: FAILED"
    done = (r"^pae\| 5 packets transmitted, 5 packets received", r"^pae\| i386: bytes came back",
            *(rf"^bulkhead: guest {name}: stopped: power-off" for name in DISKS))
    steps = [READY, Send("start plain"), *boots("plain"), Send("start pae"), Send("send plain sh /tasks/i386 10.0.0.1"),
             Expect(r"^plain\| i386: i686, 1 CPUs", 60, failed), Expect(r"^plain\| i386: ready", 60, failed),
             *boots("pae", ".*GRUB: by pc"), Send("send pae sh /tasks/i386 10.0.0.2 10.0.0.1"), ExpectAll(done, 90),
             gone("plain"), gone("pae"), Check(said), *isolated(), POWER_OFF]
    return [Case("i386", stick(CONF, {"images/disk.img": DISK, "images/grub.img": GRUB}, *guests()), steps, timeout=400,
                 memory="4G", cpus=2, left_out=NO_VENDOR)]
