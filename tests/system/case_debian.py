# SPDX-License-Identifier: Apache-2.0
"""Debian root file systems on every kind of disk, power cuts, and what Debian guests do with networks."""
import os
import re
import socket

from disks import Disk, Partition
from harness import BOCHS, BUILD, Boot, Case, Check, Expect, ExpectAll, OnHost, PowerCut, Send
from sticks import (KERNEL, INITRD, LINUX_BOOT, ONE_THREAD, POWER_OFF, READY, gone, guest_conf, isolated,
                    linux, stick, stopped)

ALL = "console = all\n"
ROOT_IMAGE = BUILD / "guest/root.img"
ROOT_MIB = 200
NETLOAD = BUILD / "guest/netload"
NIC_MAC = "52:54:00:12:34:56"  # of the machine's first card: nic_mac in tools/run
LOG_IMAGE = BUILD / "guest/disk.img"
LOG_MIB = 16
IMAGE = {"images/root.img": ROOT_IMAGE}
ON_IMAGE = "/images/root.img"
SLOW = dict.fromkeys(BOCHS, "Bochs takes many minutes for as many guests, and has no such disks")
# How often the power is cut: each time for every kind of disk at once.
POWER_CUTS = int(os.environ.get("POWER_CUTS", "2"))
# What is sent through a network that loses packets, each way.
TRANSFER_MIB = int(os.environ.get("TRANSFER_MIB", "8"))


def debian(name, disk, words="", memory="112M", init="/usr/local/bin/start", **keys):
    """A guest with a root file system; a NIC for each of `net`."""
    nets = "".join(f"net = {n}\n" for n in keys.pop("net", ()))
    root = "nvme0n1" if "bus=nvme" in disk else "vda"
    line = f"console=ttyS0 quiet guest={name} root=/dev/{root} rw init={init} {words}"
    return {f"{name}/guest.conf": guest_conf(memory=memory, cmdline=line, disk=disk, **keys) + nets,
            f"{name}/vmlinuz": KERNEL, f"{name}/initrd.img": INITRD}


def from_each(pattern, *names, within=LINUX_BOOT):
    """One line of each guest."""
    return ExpectAll(tuple(rf"^{n}\| {pattern}" for n in names), within)


def lives(names, *patterns, within=2 * LINUX_BOOT):
    """Guests that run side by side and end: a line of each for each pattern, in whatever order."""
    return ExpectAll((*(rf"^{n}\| {p}" for n in names for p in patterns),
                      *(rf"^bulkhead: guest {n}: stopped: power-off" for n in names)), within)


# ---------------------------------------------------------------- a root on each kind of disk

HOST_DISKS = {"nvme": "nvme", "ahci": "ahci", "virtio": "virtio-blk"}
# How the guest on each of them sees it.
BUSES = {"nvme": "nvme", "ahci": "virtio", "virtio": "virtio"}


def machine_disks(content, mib, label, forgets=False):
    """A disk of each kind with a partition `LABEL-KIND` behind another one."""
    return tuple(Disk(kind, f"SERIAL-{name}", (Partition("first", 1), Partition(f"{label}-{name}", mib, content)),
                      forgets=forgets)
                 for name, kind in HOST_DISKS.items())


def files_are_right(lines):
    """What each guest wrote is what it found at every later boot."""
    for name in HOST_DISKS:
        sums = [m[1] for x in lines if (m := re.match(rf"{name}\| files: (.*)", x))]
        written = re.match(r"written (\w+)", sums[0])
        assert written and sums[1:] == [f"right {written[1]}"] * 2, f"{name}: {sums}"


def nothing_failed(lines):
    bad = [x for x in lines if re.match(r"\w+\| \w+: FAILED", x)]
    assert not bad, bad[0]


def debian_roots():
    """The same root file system on a memory image and on a partition of each kind of disk, at once: every
    guest writes, goes off, and finds what it wrote; the machine goes off, and the disks have it still."""
    names = ("image", *HOST_DISKS)
    guests = [debian("image", ON_IMAGE, "task=files packages")]
    guests += [debian(n, f"partition:root-{n}, bus={BUSES[n]}", "task=files packages") for n in HOST_DISKS]
    again = [step for n in names for step in (gone(n), Send(f"start {n}"))]
    return Case(
        "debian", stick(ALL, IMAGE, *guests),
        [READY, lives(names, "files: written", "packages: right"), *again,
         lives(names, "files: right"), *map(gone, names), *isolated(), POWER_OFF,
         Boot(), READY, lives(names, "files: (written|right)"), Check(files_are_right),
         Check(nothing_failed), POWER_OFF],
        timeout=600, memory="2G", cpus=2, disks=machine_disks(ROOT_IMAGE, ROOT_MIB, "root"), left_out=SLOW,
        run_args=ONE_THREAD)


def debian_init():
    """Debian's own start-up and power-off, and its view of the machine."""
    return Case(
        "debian-init", stick(ALL, IMAGE, debian("web", ON_IMAGE, init="/sbin/init", memory="192M")),
        [READY, Expect(r"^web\| .*root \(automatic login\)", LINUX_BOOT * 2), Send("send web lspci -vvv"),
         Expect(r"^web\| .*Virtio.* block device", 60), Expect(r"^web\| .*MSI-X: Enable\+", 60),
         Send("send web findmnt -n -o SOURCE,FSTYPE /"), Expect(r"^web\| /dev/vda +ext4", 60),
         Send("send web poweroff"), stopped("web", "power-off", LINUX_BOOT), POWER_OFF],
        timeout=400, memory="1G", left_out=SLOW)


# ---------------------------------------------------------------- power cuts

def nothing_lost(lines):
    """At each boot every disk holds at least the last record that was announced before."""
    announced = dict.fromkeys(HOST_DISKS, 0)
    for line in lines:
        if m := re.match(r"(\w+)\| disklog: synced (\d+)", line):
            announced[m[1]] = int(m[2])
        if m := re.match(r"(\w+)\| disklog: holds (\d+)", line):
            assert int(m[2]) >= announced[m[1]], f"{m[1]} lost record {announced[m[1]]}, it holds {m[2]}"
    assert all(announced.values()), f"not every disk was written: {announced}"


def power_cut():
    """The emulator is killed while a guest on each kind of disk writes and syncs; what was not flushed until
    then is lost. So a flush that is not carried out is found, too."""
    guests = [linux(n, "quiet task=powercut", memory="96M", disk=f"partition:log-{n}, bus={BUSES[n]}")
              for n in HOST_DISKS]
    cut = [READY, from_each("disklog: synced", *HOST_DISKS), PowerCut(3)]
    return Case(
        "power-cut", stick(ALL, *guests),
        [*(cut * POWER_CUTS), READY, from_each("disklog: holds [1-9]", *HOST_DISKS), Check(nothing_lost),
         Check(nothing_failed), POWER_OFF],
        timeout=200, cpus=2, disks=machine_disks(LOG_IMAGE, LOG_MIB, "log", forgets=True), left_out=SLOW,
        run_args=ONE_THREAD)


# ---------------------------------------------------------------- ten guests from one image

TEN = tuple(f"web{i}" for i in range(10))


def overlays_are_small(lines):
    """The image is in memory once, and each guest costs what it wrote."""
    assert any(re.match(rf" *image images/root\.img: {ROOT_MIB << 10} KiB, once for 10 disks$", x) for x in lines)
    kib = {m[1]: int(m[2]) for x in lines if (m := re.match(r" *(web\d) +overlays (\d+) KiB", x))}
    assert set(kib) == set(TEN), f"overlays of {sorted(kib)} only"
    assert all(13 << 10 < n < 32 << 10 for n in kib.values()), f"overlays in KiB: {kib}"


def ten_guests():
    guests = [debian(n, ON_IMAGE, "task=files", memory="80M") for n in TEN]
    return Case(
        "ten-guests", stick(ALL, IMAGE, *guests),
        [READY, lives(TEN, "files: written", within=600), *map(gone, TEN), Send("info memory"),
         Expect(r"^ *web9 +overlays", 20), Check(overlays_are_small), *isolated(), POWER_OFF],
        timeout=600, memory="2G", cpus=2, left_out=SLOW, run_args=ONE_THREAD)


# ---------------------------------------------------------------- networks

def transfer_is_right(lines):
    assert any(re.match(r"near\| netload: sent .* all right", x) for x in lines), "no transfer, or a wrong one"
    dropped = [int(m[1]) for x in lines if (m := re.match(r"near\| .*\(dropped (\d+),", x))]
    assert dropped and dropped[0] > 0, f"no packet was lost: {dropped}"


def redis():
    """Debian's redis server, reached over the switch and through a router guest that hides who asks;
    bytes that were sent again because packets were lost are right."""
    server, behind = "server=10.1.0.1", "eth0=10.2.0.2/24 gateway=10.2.0.1"
    transfer = f"mib={TRANSFER_MIB} loss=2"
    guests = (debian("server", ON_IMAGE, "task=server eth0=10.1.0.1/24", net=("lan",)),
              debian("router", ON_IMAGE, "task=router eth0=10.2.0.1/24 eth1=10.1.0.2/24", net=("inner", "lan")),
              debian("near", ON_IMAGE, f"task=client eth0=10.1.0.3/24 {server} {transfer}", net=("lan",)),
              debian("far", ON_IMAGE, f"task=client {behind} {server}", net=("inner",)))
    said = ("client: .* reached", "client: value right", "SET: .* requests per second",
            "GET: .* requests per second")
    return Case(
        "redis", stick(ALL, IMAGE, *guests),
        [READY,
         lives(("near", "far"), *said, within=LINUX_BOOT * 2 + TRANSFER_MIB * 10),
         gone("near"), gone("far"), Check(transfer_is_right), *isolated(), POWER_OFF],
        timeout=400 + TRANSFER_MIB * 10, memory="2G", cpus=2, left_out=SLOW, run_args=ONE_THREAD)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def dhcp():
    """A guest's own DHCP client gets an address through the uplink, and bytes go to a server on this host
    and back as they were."""
    port = free_port()
    guest = debian("web", ON_IMAGE, f"task=dhcp peer=10.0.2.2:{port} mib=4", net=("wan",))
    return Case(
        "dhcp", stick(ALL + f"network = wan, uplink={NIC_MAC}\n", IMAGE, guest),
        [OnHost((str(NETLOAD), "serve", str(port))), READY, Expect(r"^web\| .*inet 10\.0\.2\.\d+/24", LINUX_BOOT),
         Expect(r"^web\| default via 10\.0\.2\.2 ", 30),
         Expect(r"^web\| netload: sent .* all right", 120, "netload: FAILED"),
         stopped("web", "power-off"), POWER_OFF],
        timeout=400, left_out=SLOW, run_args=("--nic", "virtio-net"))


def cases():
    return [debian_roots(), debian_init(), power_cut(), ten_guests(), redis(), dhcp()]
