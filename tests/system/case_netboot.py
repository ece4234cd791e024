# SPDX-License-Identifier: Apache-2.0
"""Guests without a disk boot over a network from another guest: iPXE in their cards' ROMs, by SeaBIOS and by OVMF."""
import os
import pathlib

from harness import NO_VENDOR, Case, Expect, Send, Trial
from sticks import INITRD, KERNEL, LINUX_BOOT, POWER_OFF, READY, guest_conf, isolated, linux, started, stick, stopped

# Models and firmwares that boot; all of them take minutes: "e1000:bios virtio:bios e1000e:uefi".
NETBOOTS = os.environ.get("NETBOOTS", "e1000:bios")
CONF = "console = all\nautostart = none\nnetwork = lan\n"
# Where Debian's package ipxe-qemu, which its QEMU depends on, has them from Debian 13 on, and before.
FOLDERS = [pathlib.Path("/usr/share/qemu"), pathlib.Path("/usr/lib/ipxe/qemu")]


def sectors(path):
    data = path.read_bytes()
    return data + bytes(-len(data) % 512)


def server():
    guest = linux("server", "task=boot-server", memory="256M", net="lan",
                  disk=["/images/kernel.img", "/images/initrd.img"])
    return guest | {"images/kernel.img": sectors(KERNEL), "images/initrd.img": sectors(INITRD)}


def rom(model):
    files = [folder / f"efi-{model}.rom" for folder in FOLDERS]
    return next((f for f in files if f.exists()), files[-1])


def client(model, kind):
    return {f"{model}-{kind}/guest.conf": guest_conf(memory="256M", firmware=kind,
                                                     net=f"lan, model={model}, rom={rom(model)}")}


def boots(model, kind):
    name = f"{model}-{kind}"
    return Trial(name, [Send(f"start {name}"), started(name),
                        Expect(rf"^{name}\| .*iPXE", LINUX_BOOT, rf"^bulkhead: guest {name}: stopped"),
                        Expect(rf"^{name}\| booted: by {kind} with 0 disks$", LINUX_BOOT,
                               rf"^bulkhead: guest {name}: stopped"),
                        stopped(name, "power-off")])


def cases():
    pairs = [pair.split(":") for pair in NETBOOTS.split()]
    files = stick(CONF, server(), *(client(*pair) for pair in pairs))
    steps = [READY, Send("start server"), started("server"),
             Expect(r"^server\| boot-server: ready", LINUX_BOOT, "Kernel panic"),
             *(boots(*pair) for pair in pairs), *isolated(), POWER_OFF]
    return [Case("netboot", files, steps, timeout=500, left_out=NO_VENDOR)]
