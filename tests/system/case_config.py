# SPDX-License-Identifier: Apache-2.0
"""What people get wrong on their sticks: each is named with file, line and key, and the other
guests start."""
import random
import struct

from harness import ONE_AMD, Case, Expect, ExpectAll, Send
from sticks import (KERNEL, LINUX_BOOT, INITRD, PAYLOAD, POWER_OFF, READY, beats_on, payload, started, stick, unbroken)

HEART = payload("heart", "heartbeat")
RUBBISH = random.Random(1).randbytes(4096)
MIB = 1 << 20


def broken(name, text, **files):
    out = {f"{name}/guest.conf": text, f"{name}/kernel": PAYLOAD}
    out.update({f"{name}/{file}": content for file, content in files.items()})
    return out


def old_protocol():
    image = bytearray(PAYLOAD.read_bytes())
    struct.pack_into("<H", image, 0x206, 0x209)  # version
    return bytes(image)


def bad_guests():
    return [
        broken("unknown-key", "memory = 16M\n\n# a comment\ncolour = blue\n"),
        broken("near-miss", "memroy = 16M\n"),
        broken("bad-number", "memory = lots\n"),
        broken("negative", "memory = -5\n"),
        broken("zero-memory", "memory = 0\n"),
        broken("giant", "memory = 64G\n"),
        broken("no-equals", "memory 16M\n"),
        broken("twice", "memory = 16M\nmemory = 32M\n"),
        broken("missing", "kernel = not-there\n"),
        {"no-kernel/guest.conf": "memory = 16M\n", "no-kernel/readme.txt": "hello"},
        {"empty/guest.conf": "memory = 16M\n", "empty/kernel": b""},
        {"truncated/guest.conf": "memory = 256M\n", "truncated/vmlinuz": KERNEL.read_bytes()[:MIB]},
        {"old/guest.conf": "memory = 16M\n", "old/kernel": old_protocol()},
        {"text/guest.conf": "memory = 16M\n", "text/kernel": "not a kernel at all\n" * 100},
        broken("big-initrd", "memory = 16M\ninitrd = initrd.img\n",
               **{"initrd.img": bytes(20 * MIB)}),
        {"rubbish/guest.conf": RUBBISH, "rubbish/kernel": PAYLOAD},
        {"od$d name/guest.conf": "memory = 16M\n", "od$d name/kernel": PAYLOAD},
        {"g\u00e4st/kernel": PAYLOAD},
        {"a-name-that-goes-on-and-on-and-on-and-on/kernel": PAYLOAD},
        {"all/kernel": PAYLOAD},
        {"nothing/": None},
    ]


# These come one by one, while others start already.
START_FAILURES = (
    r"^bulkhead: guest truncated: stopped: cannot start: truncated: ",
    r"^bulkhead: guest old: stopped: cannot start: boot protocol 2\.09 is too old: 2\.10",
    r"^bulkhead: guest text: stopped: cannot start: neither a Linux bzImage",
    r"^bulkhead: guest big-initrd: stopped: cannot start: the initrd needs 20 MiB",
)
COMPLAINTS = (
    r"^bulkhead: config: bulkhead\.conf:2: autostrat: ",
    r"^bulkhead: config: unknown-key/guest\.conf:4: colour: ",
    r"^bulkhead: config: near-miss/guest\.conf:1: memroy: .*memory",
    r"^bulkhead: config: bad-number/guest\.conf:1: memory: found \"lots\"; allowed: ",
    r"^bulkhead: config: negative/guest\.conf:1: memory: found \"-5\"; allowed: ",
    r"^bulkhead: config: zero-memory/guest\.conf:1: memory: found \"0\"; allowed: ",
    r"^bulkhead: config: giant/guest\.conf:.* memory: .*more than this machine",
    r"^bulkhead: config: no-equals/guest\.conf:1: ",
    r"^bulkhead: config: twice/guest\.conf:2: memory: ",
    r"^bulkhead: config: missing/guest\.conf:1: kernel: there is no file",
    r"^bulkhead: config: no-kernel/.*no kernel in the folder",
    r"^bulkhead: config: empty/.*\"empty/kernel\" is empty",
    r"^bulkhead: config: rubbish/guest\.conf:1: ",
    r"^bulkhead: config: od\$d name/: a guest's folder may be named with",
    r"^bulkhead: config: g.*st/: a guest's folder may be named with",
    r"^bulkhead: config: a-name-that.*/: the folder's name has 40 characters",
    r"^bulkhead: config: all/: \"all\" has a meaning of its own",
    r"^bulkhead: config: nothing/.*no kernel in the folder",
)
NOT_STARTED = ("unknown-key", "near-miss", "bad-number", "negative", "zero-memory", "giant",
               "no-equals", "twice", "missing", "no-kernel", "empty", "rubbish", "all", "nothing")


def bad_input():
    return Case(
        "bad-input", stick("console = all\nautostrat = all\n", HEART, *bad_guests()),
        [READY, ExpectAll((r"^bulkhead: guest heart: started", *START_FAILURES), 120),
         *beats_on("heart"), Send("list"), Expect(r"^heart +running"), unbroken("heart", 2), POWER_OFF],
        timeout=300, linux=False, allow_missing=True, left_out=ONE_AMD,
        must=COMPLAINTS + tuple(rf"^bulkhead: guest {n}: not started" for n in NOT_STARTED))


def no_config():
    """A folder with a kernel and an initrd, and nothing else on the stick."""
    return Case(
        "no-config", {"plain/vmlinuz": KERNEL, "plain/initrd.img": INITRD},
        [READY, started("plain"), Send("console plain"), Expect(r"Linux 6\.", LINUX_BOOT),
         Send("\x1d", end=""), POWER_OFF], timeout=240, left_out=ONE_AMD)


NO_GUESTS = Case(
    "no-guests", stick("log = debug\n"),
    [Expect(r"^bulkhead: ready: 0 guests", 200), Expect(r"^bulkhead: no guests: put a kernel"),
     Send("list"), Expect(r"^no guests"), POWER_OFF], timeout=240, linux=False, left_out=ONE_AMD)

RUBBISH_CONF = Case(
    "rubbish", {"bulkhead.conf": RUBBISH, **HEART},
    [Expect(r"^bulkhead: config: bulkhead\.conf:1: ", 200), READY, started("heart"), Send("console heart"),
     Expect(r"^beat "), Send("\x1d", end=""), POWER_OFF], timeout=240, linux=False,
    left_out=ONE_AMD)


def cases():
    return [bad_input(), no_config(), NO_GUESTS, RUBBISH_CONF]
