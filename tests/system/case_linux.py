# SPDX-License-Identifier: Apache-2.0
"""Unmodified Debian kernels: what a person does with them."""
import re
import time

from harness import NO_VENDOR, ONE_AMD, Case, Check, Expect, ExpectAll, Poll, Send
from sticks import (LINUX_BOOT, POWER_OFF, READY, beats_on, gone, in_two_sizes, isolated, linux,
                    payload, started, stick, stopped, unbroken)

ESCAPE = Send("\x1d", end="")
ALL = "console = all\n"


def shell(name, prefix=True, within=LINUX_BOOT):
    """The line that the sample's init prints before its shell."""
    start = rf"^{name}\| " if prefix else ""
    return Expect(rf"{start}{name}: Linux \d", within, "Kernel panic")


def no_virtualization(lines):
    flags = [x for x in lines if re.search(r"\bflags\s+: fpu ", x)]
    assert flags, "no flags line of /proc/cpuinfo"
    for line in flags:
        assert not re.search(r" (svm|vmx|npt|nrip_save)\b", line), f"the host's features show: {line}"


SHELLS = Case(
    "shells", stick(ALL, linux("web"), linux("db")),
    [READY, started("web", "db"),
     ExpectAll((r"^web\| web: Linux \d", r"^db\| db: Linux \d"), LINUX_BOOT),
     Send("send web uname -a"), Expect(r"^web\| Linux web 6\.\S+ .*x86_64"),
     Send("send db uname -a"), Expect(r"^db\| Linux db 6\.\S+ .*x86_64"),
     Send("send db cat /proc/cpuinfo"), Expect(r"^db\| flags\s+: fpu "),
     Check(no_virtualization), *isolated(), POWER_OFF],
    timeout=240)

# A virtio console in the serial port's place, and random bytes.
HVC = Case(
    "hvc", stick(ALL, linux("web", "quiet", console="hvc0", serial="virtio", rng="on")),
    [READY, started("web"), shell("web"),
     Send("send web cat /sys/class/misc/hw_random/rng_current"), Expect(r"^web\| virtio_rng\.0"),
     Send("send web dd if=/dev/hwrng bs=64 count=8 | wc -c"), Expect(r"^web\| 512"),
     Send("send web seq 3000 | tail -n 1000"), Expect(r"^web\| 2001"), Expect(r"^web\| 3000"),
     Send(f"send web echo {'x' * 80} | wc -c"), Expect(r"^web\| 81"),
     Send("send web poweroff"), stopped("web", "power-off"), POWER_OFF],
    timeout=240, left_out=NO_VENDOR)

# As a person would type it, at the monitor.
MONITOR = Case(
    "monitor", stick("", linux("web"), linux("db")),
    [READY, started("web", "db"), Send("help"), Expect(r"^  list "),
     Send("list"), Expect(r"^NAME +STATE"), Expect(r"^db +running"), Expect(r"^web +running"),
     Send("console web"), Expect(r"^\[web: Ctrl-\] returns to the monitor\]"),
     shell("web", prefix=False), Expect(r"^web:\S+#", 30, prompt=True),
     Send("uname -a"), Expect(r"^Linux web 6\.\S+ .*x86_64"),
     Send("cat /proc/cpuinfo"), Expect(r"^flags\s+: fpu "), Check(no_virtualization),
     ESCAPE, Expect(r"^\[web: detached\]"), Expect(r"^bulkhead>$", prompt=True),
     Send("console db"), Expect(r"^\[db: Ctrl-\]"), Send(""), Expect(r"^db:\S+#", LINUX_BOOT, prompt=True),
     Send("poweroff"), stopped("db", "power-off"), ESCAPE, Expect(r"^\[db: detached\]"),
     Poll("list", r"^db +stopped .*power-off"), Expect(r"^web +running"),
     Send("send web echo still $((40 + 2))"), Send("console web"), Expect(r"^still 42"), ESCAPE,
     Expect(r"^\[web: detached\]"),
     Send("start db"), started("db"), Send("list"), Expect(r"^db +running"),
     Send("info machine"), Expect(r"^backend "), Expect(r"^clock "),
     Send("info memory"), Expect(r"^ +web +RAM \d+ KiB, overhead"),
     Send("info policy"), Expect(r"^MSR 0x"), *isolated(),
     Send("stats web"), Expect(r"^vcpu0\.exits \d+"),
     Send("trace web 4"), Expect(r"^vCPU 0: \d+ exits"), Expect(r"rip 0x"),
     Send("log 5"), Send("log web 3"),
     Send("pause web"), Expect(r"^bulkhead: guest web: paused"), Send("list"),
     Expect(r"^web +paused"), Send("resume web"), Expect(r"^bulkhead: guest web: resumed"),
     Send("frobnicate"), Expect(r"^no command 'frobnicate'"),
     Send("start nobody"), Expect(r"^no guest is named 'nobody'"),
     Send("start web"), Expect(r"^cannot start web: it is running"),
     Send("console db"), shell("db", prefix=False), ESCAPE, POWER_OFF],
    timeout=360, left_out=NO_VENDOR)

# A guest that reboots comes back; one that panics does not disturb the other.
REBOOT = Case(
    "reboot", stick(ALL, linux("web"), payload("heart", "heartbeat")),
    [READY, started("heart"), shell("web"), Send("send web reboot"),
     Expect(r"^bulkhead: guest web: reset: by the \S+"), started("web"), shell("web"),
     Send("reset web"), Expect(r"^bulkhead: guest web: reset: by request"), started("web"),
     *beats_on("heart"), unbroken("heart", 20), POWER_OFF], timeout=400, left_out=ONE_AMD)

PANIC = Case(
    "panic", stick(ALL, linux("crash", "task=panic panic=2"), payload("heart", "heartbeat")),
    [READY, started("heart"), Expect(r"^crash\| .*Kernel panic - not syncing", LINUX_BOOT),
     Expect(r"^bulkhead: guest crash: reset: by the \S+", 60), started("crash"), Send("stop crash"),
     stopped("crash", "by request"), *beats_on("heart"), unbroken("heart", 10), POWER_OFF],
    timeout=240, allow=(r"^crash\| ",), never=(r"panic: survived",))


def date_is_right(lines):
    line = next(x for x in reversed(lines) if "clock: date" in x)
    date = int(re.search(r"date (\d+)", line)[1])
    early = time.time() - date
    if any("run: Bochs" in x for x in lines):
        # It counts instructions, and may lose an hour when firmware sets its clock: docs/platforms.md.
        right = min(abs(early), abs(early - 3600)) < 900
    else:
        right = abs(early) < 20
    assert right, f"date is {date}, the host says {time.time():.0f}"


def load_was_on(lines):
    assert any("load: busy" in x for x in lines), "the other guest was not busy yet"


def clock(name, left_out, seconds):
    return Case(
        name, stick(ALL, linux("time", f"task=clock seconds={seconds}"), linux("load", "task=load")),
        [READY, Expect(r"^time\| clock: date", LINUX_BOOT), Check(date_is_right),
         Expect(r"^time\| clock: ok", 120, r"clock: FAILED"), Check(load_was_on),
         stopped("time", "power-off"), POWER_OFF], timeout=360, left_out=left_out)


def steal_of(lines, name):
    line = next(x for x in lines if x.startswith(f"{name}| paravirt: steal"))
    return int(line.split()[3])


def help_is_used(lines):
    assert steal_of(lines, "pv") > 0, "no time was stolen from pv beside a busy guest"
    assert steal_of(lines, "plain") == 0, "plain knows of stolen time"
    plain = [x for x in lines if x.startswith("plain| ") and re.search(r"(?i)\bkvm|pvclock", x)]
    assert not plain, f"plain knows of KVM: {plain[0]}"


def eois_are_saved(lines):
    saved = [int(x.split()[1]) for x in lines if x.startswith("vcpu0.eoi-exits-saved ")]
    assert saved[0] > 100, f"only {saved[0]} EOIs without an exit"
    assert saved[1] == 0, f"{saved[1]} EOIs without an exit, with paravirt = off"


def paravirt(name, left_out):
    """Two guests share the CPU, one with the KVM interfaces and one without, and a pause in between."""
    return Case(
        name, stick(ALL, linux("pv", "task=paravirt"),
                    linux("plain", "task=paravirt", paravirt="off")),
        [READY, started("pv", "plain"),
         ExpectAll((r"^pv\| .*Hypervisor detected: KVM", r"^pv\| .*kvm-clock: Using msrs 4b564d01",
                    r"^pv\| .*Booting paravirtualized kernel on KVM",
                    r"^pv\| .*Switched to clocksource kvm-clock",
                    r"^pv\| paravirt: clocksource (kvm-clock|tsc) of .*\bkvm-clock\b",
                    r"^plain\| .*Booting paravirtualized kernel on bare hardware",
                    r"^plain\| paravirt: clocksource (tsc|tsc-early|acpi_pm) of "), LINUX_BOOT),
         Send("pause pv"), Expect(r"^bulkhead: guest pv: paused"), Send("stats pv"),
         Expect(r"^vcpu0\.eoi-exits-saved"), Send("stats plain"), Expect(r"^vcpu0\.eoi-exits-saved"),
         Check(eois_are_saved), Send("resume pv"), Expect(r"^bulkhead: guest pv: resumed"),
         ExpectAll((r"^pv\| paravirt: done", r"^plain\| paravirt: done"), 120),
         Check(help_is_used), POWER_OFF], timeout=360, left_out=left_out)


IDLE = Case(
    "when-idle", stick("console = all\nwhen-idle = poweroff\n",
                       payload("short", "heartbeat", beats=2), payload("long", "heartbeat", beats=4)),
    [READY, stopped("short", "power-off"), stopped("long", "power-off"),
     Expect(r"^bulkhead: no guest is running: switching the machine off")],
    timeout=240, linux=False, left_out=ONE_AMD)


def suspend(cpus, rounds):
    """Suspends to RAM and is woken by its power button, again and again, with all its CPUs back each
    time. (Its clock could ring before a slow machine sleeps; the conformance test `s3` wakes by that.)"""
    task = f"task=suspend rounds={rounds}"
    step = [Expect(r"^bulkhead: guest web: suspended", LINUX_BOOT), Send("shutdown web"),
            Expect(r"^bulkhead: guest web: woke up", 60)]
    return Case(
        "suspend", stick(ALL, linux("web", task, cpus=cpus)),
        [READY, started("web"), *(step * rounds),
         Expect(rf"^web\| suspend: awake {rounds}, CPUs {cpus}", LINUX_BOOT),
         stopped("web", "power-off"), gone("web"), *isolated(), POWER_OFF],
        timeout=LINUX_BOOT * 2 + 100 * rounds, cpus=2, must=(r"^web\| .*PM: suspend exit",),
        left_out=ONE_AMD | {"bochs-vmx": "Bochs refuses to enter real mode at Linux' selector (docs/platforms.md)"})


def cases():
    return [SHELLS, HVC, MONITOR, *in_two_sizes(clock, "clock", {"seconds": 60}, {"seconds": 5}, ONE_AMD), REBOOT,
            suspend(cpus=4, rounds=3), PANIC, IDLE, paravirt("paravirt", NO_VENDOR)]
