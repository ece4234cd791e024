# SPDX-License-Identifier: Apache-2.0
"""The guest's machine against its specifications, by bare-metal guests."""
from harness import Case, Expect, Send, Trial
from sticks import POWER_OFF, READY, in_two_sizes, passes, payload, stick

CONF = "console = all\nautostart = none\n"

NAMES = ("cpuid", "hypercall", "clean-start", "memory-zero", "apic-priority", "x2apic", "apic-timer",
         "pit-pic", "pit-ioapic", "uart-irq", "rtc-irq", "clocks", "pci")
# The same guests without the KVM interfaces.
PLAIN = ("cpuid", "hypercall")

DEVICES = Case(
    "devices",
    stick(CONF, *(payload(n) for n in NAMES),
          *(payload(f"{n}-plain", n, keys={"paravirt": "off"}, kvm=0) for n in PLAIN)),
    [READY] + [passes(n) for n in NAMES] + [passes(f"{n}-plain") for n in PLAIN] + [POWER_OFF],
    timeout=300, linux=False)

# The same bus with a device on it: its BARs are sized and moved, and it is reset.
PCI = Case(
    "pci", stick(CONF, payload("pci", keys={"disk": "/images/blank.img"}),
                 {"images/blank.img": bytes(1 << 20)}),
    [READY, passes("pci"), POWER_OFF],
    timeout=240, linux=False, must=(r"^pci\| function 0x10: BAR ", r"^pci\| 3 functions"))


def registers(name, left_out, seconds):
    """Two guests use every register at once; a third keeps its clocks while they compute."""
    return Case(
        name,
        stick(CONF, payload("first", "registers", pattern="0x11", seconds=seconds),
              payload("second", "registers", pattern="0xa7", seconds=seconds),
              payload("clocks", seconds=seconds + 5)),
        [READY, Send("start first"), Send("start second"), Send("start clocks"),
         Trial("registers", [Expect("stopped: power-off", 120, "FAIL")] * 3), POWER_OFF],
        timeout=240, linux=False, left_out=left_out,
        must=(r"^first\| PASS", r"^second\| PASS", r"^clocks\| PASS"))


# Where Linux would trip over what Bochs does wrong (docs/platforms.md), these do not.
BY_CPU = ("apic-priority", "x2apic", "apic-timer", "pit-ioapic", "uart-irq")

VIRTUAL = Case(
    "virtual-interrupts", stick(CONF + "virtual-interrupts = on\n", *(payload(n) for n in BY_CPU)),
    [Expect(r"^info: virtual interrupts: by the CPU", 200), READY, *(passes(n) for n in BY_CPU),
     POWER_OFF],
    timeout=300, linux=False,
    left_out=dict.fromkeys(("qemu-svm", "bochs-svm"), "no virtual interrupts there"))


CR8 = Case("apic-cr8", stick(CONF, payload("apic-cr8")), [READY, passes("apic-cr8"), POWER_OFF],
           timeout=240, linux=False)


def cases():
    return [DEVICES, PCI, *in_two_sizes(registers, "registers", {"seconds": 15}, {"seconds": 4}), VIRTUAL, CR8]
