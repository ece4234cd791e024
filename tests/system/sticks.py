# SPDX-License-Identifier: Apache-2.0
"""What the cases put on a stick, and the steps that many of them share."""
import re

from harness import BOCHS, BUILD, Check, Expect, ExpectAll, Heart, Poll, Send, Trial

KERNEL = BUILD / "guest/vmlinuz"
INITRD = BUILD / "guest/initrd.img"
PAYLOAD = BUILD / "guest/payload"

# Guests that keep several CPUs of QEMU busy: with a thread for each, QEMU now and then mixes up whether
# its first CPU is in a guest (cpu_clear_ignne in docs/platforms.md).
ONE_THREAD = ("--one-thread",)

# The sum of guest RAM stays below what is left of a machine of 1 GiB.
PAYLOAD_MEMORY = "16M"
LINUX_BOOT = 150


def stick(conf, *guests):
    """`conf` is the text of bulkhead.conf; a guest is a dict of files."""
    files = {"bulkhead.conf": conf}
    for guest in guests:
        files.update(guest)
    return files


def guest_conf(**keys):
    """A key with a list of values gets a line for each."""
    return "".join(f"{k} = {v}\n" for k, values in keys.items()
                   for v in (values if isinstance(values, list) else [values]))


def linux(name, cmdline="", memory="192M", console="ttyS0", **keys):
    """A Debian kernel with the sample userland; `task=NAME` in cmdline runs a script in it. With any
    virtio device its init loads the drivers, which takes Bochs long: so none for nothing."""
    line = f"console={console} guest={name} {cmdline}".strip()
    return {f"{name}/guest.conf": guest_conf(memory=memory, cmdline=line, **keys),
            f"{name}/vmlinuz": KERNEL, f"{name}/initrd.img": INITRD}


def payload(name, test=None, memory=PAYLOAD_MEMORY, keys=None, **options):
    """A bare-metal guest of tests/payloads; options go to its command line."""
    words = [f"test={test or name}"] + [f"{k.replace('_', '-')}={v}" for k, v in options.items()]
    return {f"{name}/guest.conf": guest_conf(memory=memory, cmdline=" ".join(words), **(keys or {})),
            f"{name}/kernel": PAYLOAD}


def in_two_sizes(make, name, full, small, but=None):
    """make(name, left_out, **size) for QEMU and, as NAME-small, for Bochs, which takes many seconds
    for one of a guest; `but`: platforms on which the small one does not run either, and why."""
    return [make(name, dict.fromkeys(BOCHS, f"{name}-small runs there") | (but or {}), **full),
            make(f"{name}-small", {"qemu-svm": f"{name} runs there"} | (but or {}), **small)]


# ---------------------------------------------------------------- steps

READY = Expect(r"^bulkhead: ready: ", 200)
POWER_OFF = Send("poweroff")


def started(*names, within=30):
    return ExpectAll(tuple(rf"^bulkhead: guest {re.escape(n)}: started" for n in names), within)


def stopped(name, reason, within=60, unless=r"(?!)"):
    return Expect(rf"^bulkhead: guest {re.escape(name)}: stopped: {reason}", within, unless)


def gone(name):
    """Its memory is back: the event comes when the guest ends, this when all is cleaned up."""
    return Poll("list", rf"^{re.escape(name)} +stopped")


def passes(name, within=60):
    """Starts a payload that must end with PASS."""
    return Trial(name, [Send(f"start {name}"),
                        stopped(name, "power-off", within, rf"^{name}\| FAIL|guest {name}: (reset|stopped)"),
                        Check(lambda lines: passed(lines, name)), gone(name)])


def passed(lines, name):
    assert any(re.search(rf"^{name}\| PASS ", x) for x in lines), f"{name} printed no PASS"


def ends(name, reason, within=30):
    """Starts a payload that must be stopped for a reason of its own."""
    return Trial(name, [Send(f"start {name}"), stopped(name, reason, within, rf"^{name}\| FAIL"),
                        gone(name)])


def isolated():
    return [Send("info isolation"), Expect(r"^isolation: \d+ VMs, \d+ frames checked, 0 violations", 30,
                                           r"^isolation: .* [1-9]\d* violations")]


def unbroken(name, at_least):
    return Heart(name, at_least)


def beats_on(name):
    """Two further beats."""
    return [Expect(rf"^{name}\| beat ", 20), Expect(rf"^{name}\| beat ", 20)]
