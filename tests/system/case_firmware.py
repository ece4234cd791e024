# SPDX-License-Identifier: Apache-2.0
"""Stock firmware boots GRUB from a disk image, and GRUB boots Linux: SeaBIOS and OVMF, one image for both."""
import os
import re

from harness import BOCHS, BUILD, NO_VENDOR, ONE_AMD, Case, Check, Expect, Send, Trial
from sticks import INITRD, KERNEL, LINUX_BOOT, POWER_OFF, READY, gone, guest_conf, isolated, stick, stopped

GRUB = BUILD / "guest/grub.img"
GENERIC = BUILD / "guest/generic"
DEBIAN = BUILD / "guest/debian.img"
ALL = "console = all\nautostart = none\n"
# Buses and firmwares that Debian is booted by; all eight take ten minutes. On Bochs each takes about that
# long: there it runs when they are named.
DEBIAN_BOOTS = os.environ.get("DEBIAN_BOOTS", "nvme:uefi ide:bios")
DEBIAN_NOT = {} if "DEBIAN_BOOTS" in os.environ else dict.fromkeys(
    BOCHS, "Debian takes Bochs ten minutes a boot: by hand, with DEBIAN_BOOTS")
# Firmwares whose tables the tools judge; "bios uefi" for both.
FIRMWARE_TOOLS = os.environ.get("FIRMWARE_TOOLS", "uefi").split()
# BGRT is about the logo that OVMF shows where there is a screen.
TABLES = r"APIC (BGRT )?DSDT FACP FACS HPET MCFG SSDT WAET"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
# Exits from the reset vector to GRUB's first line, with a margin for another release of the firmware.
EXITS = {"bios": 12000, "uefi": 200000}


def guest(name, bus="virtio", **keys):
    return {f"{name}/guest.conf": guest_conf(memory="384M", disk=f"/images/grub.img, bus={bus}", **keys)}


def exits_at_grub(name, most):
    """The count is asked for when GRUB has spoken, so a little of its own is in it."""
    def check(lines):
        counts = [int(m[1]) for x in lines if (m := re.match(r"vcpu0\.exits (\d+)", x))]
        assert counts and counts[-1] <= most, f"{name}: {counts} exits until GRUB, at most {most} expected"
        print(f"  {name}: {counts[-1]} exits until GRUB")
    return [Send(f"stats {name}"), Expect(r"^vcpu0\.exits \d+", 20), Check(check)]


def resets(name, grub):
    """It begins at the reset vector again."""
    return [Send(f"reset {name}"), Expect(rf"^bulkhead: guest {name}: reset", 20),
            Expect(rf"^{name}\| .*GRUB: by {grub}", LINUX_BOOT, rf"^bulkhead: guest {name}: stopped")]


def boots(name, kind, grub, cpus, also=()):
    return Trial(f"{name} boots by {kind}", [
        Send(f"start {name}"),
        Expect(rf"^{name}\| .*GRUB: by {grub}", LINUX_BOOT, rf"^bulkhead: guest {name}: stopped"),
        *exits_at_grub(name, EXITS[kind]), *also,
        Expect(rf"^{name}\| firmware: started by {kind}$", LINUX_BOOT, rf"^{name}\| firmware: started by"),
        Expect(rf"^{name}\| firmware: tables {TABLES}", 30),
        Expect(rf"^{name}\| firmware: dmi Bulkhead, Virtual machine, serial {name}$", 30),
        Expect(rf"^{name}\| firmware: uuid {UUID}$", 30),
        Expect(rf"^{name}\| firmware: structures 0-0 1-0 127-0 16-0 17-0 19-0 3-0 32-0 4-0$", 30),
        Expect(rf"^{name}\| firmware: cpus {cpus}, disk \d+ sectors$", 30),
        Expect(rf"^{name}\| firmware: disk reads right$", 30),
        stopped(name, "power-off"), gone(name)])


def firmware():
    """`firmware = auto` finds the EFI system partition; `bios` takes the boot sector of the same disk."""
    return Case(
        "firmware", stick(ALL, {"images/grub.img": GRUB}, guest("old", firmware="bios", cpus=2), guest("new")),
        [READY, boots("old", "bios", "pc", 2, resets("old", "pc")), boots("new", "uefi", "efi", 1), *isolated(),
         POWER_OFF],
        timeout=600, left_out=ONE_AMD | {"bochs-vmx": "firmware-small runs there"})


def firmware_nvme():
    """The same disk as NVMe: the drivers of both firmwares, then Linux'. OVMF's wants two queue pairs of one vCPU, too."""
    guests = guest("old", "nvme", firmware="bios", cpus=2), guest("new", "nvme")
    return Case(
        "firmware-nvme", stick(ALL, {"images/grub.img": GRUB}, *guests),
        [READY, boots("old", "bios", "pc", 2), boots("new", "uefi", "efi", 1), POWER_OFF],
        timeout=600, left_out=NO_VENDOR)


def firmware_on_vmx():
    """Real mode and the long way of UEFI on the other vendor: SeaBIOS to Linux and back, OVMF to GRUB."""
    return Case(
        "firmware-small", stick(ALL, {"images/grub.img": GRUB}, guest("old", firmware="bios"), guest("new")),
        [READY, boots("old", "bios", "pc", 1),
         Trial("new starts GRUB by uefi", [
             Send("start new"), Expect(r"^new\| .*GRUB: by efi", LINUX_BOOT, r"^bulkhead: guest new: stopped"),
             Send("stop new"), gone("new")]),
         POWER_OFF],
        timeout=600, left_out=ONE_AMD | {"qemu-svm": "firmware runs there"})


def by_the_mp_table(lines):
    assert any(re.match(r"web\| .*ahci 0000:00:1f.2: PCI->APIC IRQ transform: INT A -> IRQ 10$", x) for x in lines), \
        "the kernel did not take the line of its disk from the MP table"


def kernel():
    """SeaBIOS starts a kernel that the guest names, by fw_cfg, and comes before its disk in the boot order. The kernel
    takes PCI's lines by the IOAPIC from SeaBIOS' MP table, as systems without ACPI do."""
    files = {"web/linux": GENERIC / "vmlinuz", "web/initrd.img": GENERIC / "initrd.img"}
    legacy = "console=ttyS0 loglevel=7 acpi=off pci=nomsi task=firmware"
    return Case(
        "firmware-kernel", stick(ALL, {"images/grub.img": GRUB}, files, guest(
            "web", "ahci", firmware="bios", kernel="linux", initrd="initrd.img", cmdline=legacy)),
        [READY, Send("start web"),
         # SeaBIOS does not end its last line.
         Expect(r"^web\| .*firmware: started by bios$", LINUX_BOOT, r"GRUB: by|^bulkhead: guest web: stopped"),
         Expect(r"^web\| firmware: disk reads right$", 30), Check(by_the_mp_table),
         stopped("web", "halted with interrupts off"), POWER_OFF],
        timeout=300, left_out=NO_VENDOR)


def debian():
    """Debian as it would be installed, with a boot loader of its own, to its login and back."""
    disks = [pair.split(":") for pair in DEBIAN_BOOTS.split()]
    guests = [{f"{bus}-{kind}/guest.conf": guest_conf(memory="512M", firmware=kind,
                                                      disk=f"/images/debian.img, bus={bus}")} for bus, kind in disks]
    return Case(
        "firmware-debian", stick(ALL, {"images/debian.img": DEBIAN}, *guests),
        [READY, *[Trial(f"Debian boots, {name}", [
            Send(f"start {name}"),
            Expect(rf"^{name}\| .*root \(automatic login\)", 3 * LINUX_BOOT, rf"^bulkhead: guest {name}: stopped"),
            Send(f"send {name} findmnt -n -o SOURCE,FSTYPE /; dd if=/dev/urandom of=/new bs=64k count=64 2>/dev/null; "
                 "sync; echo 3 >/proc/sys/vm/drop_caches; md5sum /new /new | cut -c 1-32 | uniq | wc -l"),
            Expect(rf"^{name}\| /dev/\S+ +ext4", 60), Expect(rf"^{name}\| 1$", 60),
            Send(f"send {name} poweroff"), stopped(name, "power-off", 2 * LINUX_BOOT), gone(name)])
            for name in ("-".join(pair) for pair in disks)], POWER_OFF],
        timeout=900, memory="2G", left_out=DEBIAN_NOT)


def tools():
    """acpidump, iasl, dmidecode, lspci, hwclock and efibootmgr in a Debian guest: no complaints, and a boot variable that is
    there again after power-off. What else was run by hand, and what it found, is in docs/firmware.md."""
    def guest(kind):
        return {f"{kind}/guest.conf": guest_conf(
            memory="384M", cpus=2, firmware=kind, kernel="vmlinuz", initrd="initrd.img", disk="/images/debian.img",
            cmdline="console=ttyS0 loglevel=3 root=LABEL=root rw init=/usr/local/bin/start task=firmware-tools"),
            f"{kind}/vmlinuz": KERNEL, f"{kind}/initrd.img": INITRD}

    def life(kind, tables, *lines):
        failed = rf"^{kind}\| tools: FAILED|^bulkhead: guest {kind}: stopped"
        said = (f"compiled {tables}", "9 structures", r"\d functions", "the alarm went off", *lines, "done")
        return [Send(f"start {kind}"), *(Expect(rf"^{kind}\| tools: {line}$", LINUX_BOOT, failed) for line in said),
                stopped(kind, "power-off"), gone(kind)]

    tables = "apic {}dsdt facp facs hpet mcfg ssdt waet"
    trials = {"bios": [Trial("SeaBIOS", life("bios", tables.format("")))],
              "uefi": [Trial(f"OVMF, {kept} variables kept",
                             life("uefi", tables.format("bgrt "), rf"\d+ boot variables, kept: {kept}"))
                       for kept in (0, 1)]}
    return Case(
        "firmware-tools", stick(ALL, {"images/debian.img": DEBIAN}, *(guest(kind) for kind in FIRMWARE_TOOLS)),
        [READY, *(trial for kind in FIRMWARE_TOOLS for trial in trials[kind]), POWER_OFF],
        timeout=600, memory="2G", left_out=NO_VENDOR)


def refused():
    """Folders that cannot be started say what is missing."""
    other = {"other/disk.qcow2": b"x" * 512}
    none = {"none/disk.img": b"x" * 512, "none/guest.conf": "firmware = none\n"}
    odd = {"odd/my.rom": b"x" * 1000, "odd/guest.conf": "firmware = my.rom\n"}
    return Case(
        "firmware-refused", stick(ALL, {"images/grub.img": GRUB}, other, none, odd, {"firmware/readme": b"none here\n"},
                                   guest("no")),
        [Expect(r"^bulkhead: config: none/guest\.conf: no kernel in the folder .* and no disk to boot", 200),
         Expect(r"^bulkhead: config: odd/guest\.conf: the firmware odd/my\.rom has 1000 bytes", 20),
         Expect(r'^bulkhead: config: other/: "disk\.qcow2" is no raw image', 20),
         Expect(r"^bulkhead: guest no: not started: disk 0 boots by UEFI, and there is no "
                r"firmware/OVMF_CODE_4M\.fd below", 60),
         READY, POWER_OFF],
        timeout=300, linux=False, left_out=NO_VENDOR)


def cases():
    return [firmware(), firmware_nvme(), firmware_on_vmx(), kernel(), debian(), tools(), refused()]
