# SPDX-License-Identifier: Apache-2.0
"""Guests that do what they should not, one after another, while another one's heart beats."""
from harness import Case, Expect, ExpectAll, Send, Trial
from sticks import (LINUX_BOOT, POWER_OFF, READY, beats_on, ends, in_two_sizes, isolated, linux,
                    passes, payload, started, stick, stopped, unbroken)

# See "Quirks found" in docs/platforms.md.
ENDS_BOCHS = {"bochs-svm": "each of these ends the emulator itself; the others are in faults"}
INTERRUPTS_OFF = "a guest entered with its interrupts off keeps the CPU there until it exits"
CONF = "console = all\nautostart = heart\n"
HEART = payload("heart", "heartbeat")


def beside_a_heart(name, guests, trials, timeout=400, beats=2, **keys):
    return Case(name, stick(CONF, HEART, *guests),
                [READY, started("heart"), *trials, *beats_on("heart"), *isolated(),
                 unbroken("heart", beats), POWER_OFF], timeout=timeout, linux=False, **keys)


def resets(name, how):
    """A guest that resets itself comes back, and would do so again and again."""
    return Trial(name, [Send(f"start {name}"), started(name),
                        Expect(rf"^bulkhead: guest {name}: reset: {how}", 60, rf"^{name}\| FAIL"),
                        started(name), Expect(rf"^{name}\| RUN"), Send(f"stop {name}"),
                        stopped(name, "by request")])


def control(which):
    return payload(f"control{which}", "bad-control", which=which)


CONTROL_ENDS = "power-off|the CPU refused|triple fault|page table at"
# A refused entry is dumped as an error, which is the guest's here.
CONTROL_ALLOW = (r"^error: control\d: vCPU 0: VMRUN refused",)

FAULTS = beside_a_heart(
    "faults",
    [payload(n) for n in ("broken-gate", "bad-stack", "idt-in-hole", "cr3-hole", "jump-hole",
                          "jump-apic", "cli-hlt", "privileged", "apic-move", "unpaged")] +
    [control(i) for i in (0, 1, 3)],
    [passes("broken-gate"),
     ends("bad-stack", r"\S"), ends("idt-in-hole", r"\S"),
     ends("cr3-hole", r"page table at 0x|triple fault"),
     ends("jump-hole", "jumped to 0xd0000000"), ends("jump-apic", "jumped to 0xfee00000"),
     ends("cli-hlt", "halted with interrupts off"),
     passes("privileged"), passes("unpaged"),
     ends("apic-move", "moved the local APIC's registers")] +
    [ends(f"control{i}", CONTROL_ENDS) for i in (0, 1, 3)], allow=CONTROL_ALLOW,
    # Whoever dies leaves its last exits.
    must=tuple(rf"^info: {n}: last exits of vCPU 0:" for n in ("bad-stack", "idt-in-hole", "cr3-hole",
                                                               "jump-hole")) +
    (r"^info: jump-hole: -.* rip 0x0*d0000000 ",))

FATAL = beside_a_heart(
    "faults-fatal",
    [payload("triple-fault"), payload("broken-idt"), payload("single-step"), control(2),
     payload("phoenix", "triple-fault", keys={"restart": "on-crash"})],
    [ends("triple-fault", "triple fault"), ends("broken-idt", "triple fault"),
     passes("single-step"), ends("control2", CONTROL_ENDS),
     Trial("phoenix", [Send("start phoenix"), stopped("phoenix", "triple fault"), started("phoenix"),
                       Expect(r"phoenix: ended within two seconds 5 times in a row", 90)])],
    left_out=ENDS_BOCHS, allow=CONTROL_ALLOW, must=(r"^info: triple-fault: last exits of vCPU 0:",))


def spin(name, left_out, **options):
    """A guest that never exits, and can still be preempted and stopped."""
    return beside_a_heart(
        name, [payload("spin", **options)],
        [Trial("spin", [Send("start spin"), Expect(r"^spin\| spinning"), *beats_on("heart"),
                        Send("list"), Expect(r"^spin +running"), *beats_on("heart"),
                        Send("stop spin"), stopped("spin", "by request")])], left_out=left_out)


SPIN = spin("spin", {"bochs-svm": INTERRUPTS_OFF + "; busy runs instead"})
BUSY = spin("busy", dict.fromkeys(("qemu-svm", "bochs-vmx"), "spin, which is worse, runs there"),
            interrupts=1)


def storm(name, left_out, seconds):
    return beside_a_heart(name, [payload("storm", "timer-storm", seconds=seconds)],
                          [passes("storm", 120)], beats=seconds, left_out=left_out)


PORTS = beside_a_heart(
    "ports", [payload(n) for n in ("ports-read", "ports-write", "port-sleep-types", "string-io")],
    [passes("port-sleep-types"), passes("string-io", 120), passes("ports-read", 120),
     passes("ports-write", 240)])


def mmio(name, left_out, step):
    return beside_a_heart(
        name, [payload("mmio-edges"), payload("mmio-strings"), payload("mmio-scan", **step)] +
        [payload(f"odd{i}", "mmio-odd", which=i) for i in range(5)],
        [passes("mmio-edges"), passes("mmio-strings", 120), passes("mmio-scan", 400)] +
        [ends(f"odd{i}", r"power-off|instruction on device memory|jumped to|code or page tables")
         for i in range(5)], timeout=600, left_out=left_out)


MSRS = beside_a_heart("msrs", [payload("msr-scan")], [passes("msr-scan", 200)])

RESETS = beside_a_heart(
    "resets", [payload(n, delay=2) for n in ("reset-cf9", "reset-keyboard", "reset-port92")] +
    [payload("power-off", delay=1), payload("type-0-off", "power-off", type=0), payload("loop", "reset-cf9")],
    [resets("reset-cf9", r"by the reset register \(port 0xcf9\)"),
     resets("reset-keyboard", "by the keyboard controller"),
     resets("reset-port92", r"by port 0x92|by the keyboard controller"),
     ends("power-off", "power-off"), ends("type-0-off", "power-off"),
     Trial("loop", [Send("start loop"),
                    Expect(r"loop: ended within two seconds 5 times in a row: not started again", 90)])])


def neighbour(name, left_out, **options):
    """A Linux guest beside the worst: its log stays clean, no soft lockup, and it goes on."""
    return Case(
        name,
        stick("console = all\nautostart = linux\n", linux("linux", "task=beat"),
              payload("spin", **options), payload("storm", "timer-storm", seconds=20),
              payload("strings", "string-io"), payload("ports-write")),
        [READY, Expect(r"^linux\| beat 3$", LINUX_BOOT), Send("start spin"), Send("start storm"),
         Send("start strings"), Send("start ports-write"),
         ExpectAll(tuple(rf"^bulkhead: guest {n}: stopped: power-off"
                         for n in ("storm", "strings", "ports-write")), 400),
         *beats_on("linux"), unbroken("linux", 8), *isolated(), POWER_OFF], timeout=600,
        left_out=left_out, must=(r"^storm\| PASS", r"^strings\| PASS", r"^ports-write\| PASS"))


NEIGHBOUR = neighbour("neighbour", {"bochs-svm": INTERRUPTS_OFF + "; neighbour-busy runs instead"})
NEIGHBOUR_BUSY = neighbour(
    "neighbour-busy", dict.fromkeys(("qemu-svm", "bochs-vmx"), "neighbour, which is worse, runs there"),
    interrupts=1)


def cases():
    return [FAULTS, FATAL, SPIN, BUSY,
            *in_two_sizes(storm, "storm", {"seconds": 10}, {"seconds": 3}), PORTS,
            *in_two_sizes(mmio, "mmio", {"step": {"step": "0x10000"}},
                          {"step": {"step": "0x40000", "mmio_step": "0x10000"}}),
            MSRS, RESETS, NEIGHBOUR, NEIGHBOUR_BUSY]
