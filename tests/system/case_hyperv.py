# SPDX-License-Identifier: Apache-2.0
"""Microsoft's interface: all of it by a bare-metal guest, and a stock Debian kernel with several CPUs under load."""
import os
import re

from harness import BOCHS, Case, Check, Expect, ExpectAll, Send
from sticks import LINUX_BOOT, ONE_THREAD, POWER_OFF, READY, isolated, linux, passes, payload, started, stick

CPUS = 4
SECONDS = int(os.environ.get("HYPERV_SECONDS", "30"))

# What the kernel says of itself when it has found the interface, in mshyperv.c and hyperv/.
FOUND = (r"Hypervisor detected: Microsoft Hyper-V", r"Hyper-V: privilege flags low 0xeff,",
         r"Hyper-V: Using hypercall for remote TLB flush", r"Hyper-V: Using IPI hypercalls",
         r"Hyper-V: Using enlightened APIC", r"Hyper-V: PV spinlocks enabled",
         r"Switched to clocksource hyperv_clocksource_tsc_page")


def used(lines):
    """Each CPU had interrupts of its synthetic timer; no trace of KVM's interface."""
    row = next((x.split() for x in lines if re.match(r"win\|  *HVS: ", x)), None)
    assert row, "no interrupts of synthetic timers"
    counts = [int(n) for n in row[2:2 + CPUS]]
    assert all(n > 100 for n in counts), f"synthetic timers went off {counts} times"
    kvm = [x for x in lines if x.startswith("win| ") and re.search(r"(?i)kvm", x)]
    assert not kvm, f"it knows of KVM: {kvm[0]}"


def saved(lines):
    """EOIs by the assist page; a hypercall is an exit of its own kind."""
    eois = [int(x.split()[1]) for x in lines if re.match(r"vcpu\d+\.eoi-exits-saved ", x)]
    assert len(eois) == CPUS and sum(eois) > 100, f"EOIs without an exit: {eois}"


def hyperv(name, left_out):
    bound = LINUX_BOOT * 2
    return Case(
        name, stick("console = all\n", linux("win", f"task=hyperv seconds={SECONDS}", cpus=CPUS, hyperv="on")),
        [READY, started("win"), ExpectAll(tuple(rf"^win\| .*{p}" for p in FOUND), bound),
         Expect(r"^win\| hyperv: clocksource hyperv_clocksource_tsc_page$", bound),
         Expect(r"^win\| hyperv: clockevent Hyper-V clockevent$"),
         Expect(r"^win\| hyperv: end", SECONDS * 4 + 120), Check(used), Send("stats win"),
         Expect(rf"^vcpu{CPUS - 1}\.eoi-exits-saved"), Check(saved), *isolated(), POWER_OFF],
        timeout=bound + SECONDS * 4 + 300, cpus=2, left_out=left_out, run_args=ONE_THREAD,
        allow=(r"tsc: Marking TSC unstable due to running on Hyper-V$",),
        must=(r"^win\| load: ok",), never=(r"load: FAILED", r"(?i)is stuck", r"clocksource: .*unstable"))


# The interface itself, on each CPU: a guest of one vCPU uses all of it, and crashes at the end.
INTERFACE = Case(
    "hyperv-interface", stick("console = all\nautostart = none\n", payload("hyperv", keys={"hyperv": "on"})),
    [READY, passes("hyperv"), POWER_OFF], timeout=240, linux=False,
    must=(r"^bulkhead: guest hyperv: crash: bugcheck 0x1 \(0x2, 0x3, 0x[0-9a-f]+, 0x14\): on purpose$",))


def cases():
    return [INTERFACE, hyperv("hyperv", dict.fromkeys(BOCHS, "a Debian kernel with four CPUs takes Bochs minutes"))]
