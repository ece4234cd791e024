# SPDX-License-Identifier: Apache-2.0
"""Guests that do what they should not, one after another, while another one's heart beats."""
from harness import Case, Expect, ExpectAll, Send, Trial
from sticks import (LINUX_BOOT, POWER_OFF, READY, beats_on, ends, isolated, linux, passes, payload,
                    started, stick, stopped, unbroken)

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


FAULTS = beside_a_heart(
    "faults",
    [payload(n) for n in ("triple-fault", "broken-idt", "broken-gate", "bad-stack", "idt-in-hole",
                          "cr3-hole", "jump-hole", "jump-apic", "cli-hlt", "privileged",
                          "single-step", "apic-move")] +
    [payload(f"control{i}", "bad-control", which=i) for i in range(4)],
    [ends("triple-fault", "triple fault"), ends("broken-idt", "triple fault"),
     passes("broken-gate"),
     ends("bad-stack", r"\S"), ends("idt-in-hole", r"\S"),
     ends("cr3-hole", r"page table at 0x|triple fault"),
     ends("jump-hole", "jumped to 0xd0000000"), ends("jump-apic", "jumped to 0xfee00000"),
     ends("cli-hlt", "halted with interrupts off"),
     passes("privileged"), passes("single-step"),
     ends("apic-move", "moved the local APIC's registers")] +
    [ends(f"control{i}", "power-off|the CPU refused|triple fault|page table at") for i in range(4)],
    # A refused entry is dumped as an error, which is the guest's here.
    allow=(r"^error: control\d: vCPU 0: VMRUN refused",),
    # Whoever dies leaves its last exits.
    must=tuple(rf"^info: {n}: last exits of vCPU 0:" for n in ("triple-fault", "bad-stack",
                                                               "idt-in-hole", "cr3-hole",
                                                               "jump-hole")) +
    (r"^info: jump-hole: -.* rip 0x0*d0000000 ",))

SPIN = beside_a_heart(
    "spin", [payload("spin")],
    [Trial("spin", [Send("start spin"), Expect(r"^spin\| spinning"), *beats_on("heart"),
                    Send("list"), Expect(r"^spin +running"), *beats_on("heart"),
                    Send("stop spin"), stopped("spin", "by request")])])

STORM = beside_a_heart(
    "storm", [payload("storm", "timer-storm", seconds=10)], [passes("storm", 120)], beats=10)

PORTS = beside_a_heart(
    "ports", [payload(n) for n in ("ports-read", "ports-write", "port-sleep-types", "string-io")],
    [passes("port-sleep-types"), passes("string-io", 120), passes("ports-read", 120),
     passes("ports-write", 240)])

MMIO = beside_a_heart(
    "mmio", [payload("mmio-edges"), payload("mmio-strings"), payload("mmio-scan", step="0x10000")] +
    [payload(f"odd{i}", "mmio-odd", which=i) for i in range(5)],
    [passes("mmio-edges"), passes("mmio-strings", 120), passes("mmio-scan", 400)] +
    [ends(f"odd{i}", r"power-off|instruction on device memory|jumped to|code or page tables")
     for i in range(5)], timeout=600)

MSRS = beside_a_heart("msrs", [payload("msr-scan")], [passes("msr-scan", 200)])

RESETS = beside_a_heart(
    "resets", [payload(n, delay=2) for n in ("reset-cf9", "reset-keyboard", "reset-port92")] +
    [payload("power-off", delay=1),
     payload("loop", "reset-cf9"),
     payload("phoenix", "triple-fault", keys={"restart": "on-crash"})],
    [resets("reset-cf9", r"by the reset register \(port 0xcf9\)"),
     resets("reset-keyboard", "by the keyboard controller"),
     resets("reset-port92", r"by port 0x92|by the keyboard controller"),
     ends("power-off", "power-off"),
     Trial("loop", [Send("start loop"),
                    Expect(r"loop: ended within two seconds 5 times in a row: not started again", 90)]),
     Trial("phoenix", [Send("start phoenix"), stopped("phoenix", "triple fault"), started("phoenix"),
                       Expect(r"phoenix: ended within two seconds 5 times in a row", 90)])])

# A Linux guest beside the worst: its log stays clean, no soft lockup, and it goes on.
NEIGHBOUR = Case(
    "neighbour",
    stick("console = all\nautostart = linux\n", linux("linux", "task=beat"),
          payload("spin"), payload("storm", "timer-storm", seconds=20),
          payload("strings", "string-io"), payload("ports-write")),
    [READY, Expect(r"^linux\| beat 3$", LINUX_BOOT), Send("start spin"), Send("start storm"),
     Send("start strings"), Send("start ports-write"),
     ExpectAll(tuple(rf"^bulkhead: guest {n}: stopped: power-off"
                     for n in ("storm", "strings", "ports-write")), 400),
     *beats_on("linux"), unbroken("linux", 8), *isolated(), POWER_OFF], timeout=600,
    must=(r"^storm\| PASS", r"^strings\| PASS", r"^ports-write\| PASS"))


def cases():
    return [FAULTS, SPIN, STORM, PORTS, MMIO, MSRS, RESETS, NEIGHBOUR]
