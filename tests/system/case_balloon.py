# SPDX-License-Identifier: Apache-2.0
"""Memory that a guest gives back while it runs, and takes again."""
from harness import ONE_AMD, Case, Expect, Poll, Send
from sticks import (LINUX_BOOT, ONE_THREAD, POWER_OFF, READY, gone, in_two_sizes, isolated, linux, passes,
                    payload, started, stick, stopped)

CONF = "console = all\nautostart = web\n"
MIB = 1 << 20


def given_back(mib):
    """What the guest has given back by now, by the hypervisor's count, in MiB and from `mib` on."""
    first = mib * MIB // 10**7
    higher = "|".join(str(n) for n in range(first, 100))
    return Poll("stats web", rf"^given_back_bytes ({higher})\d{{7}}$", 120)


def fill(mib):
    """Files of random bytes with their checksums, which are read back and forgotten."""
    return [Send(f"send web dd if=/dev/urandom of=/m/a bs=1M count={mib} 2>/dev/null; cp /m/a /m/b; "
                 "md5sum /m/a | cut -c 1-32 > /a; md5sum /m/b | cut -c 1-32 > /b; "
                 "cmp /a /b && echo sums agree $(wc -c < /m/b)"),
            Expect(rf"^web\| sums agree {mib * MIB}", 120)]


def balloon(name, left_out, memory, others, files, small):
    """
    Free memory comes back by itself, more when asked; another guest has it meanwhile, all zeros, and
    would not fit otherwise; afterwards all of it works again.
    """
    return Case(
        name, stick(CONF, linux("web", "quiet", memory=f"{memory}M", balloon="on"),
                    linux("plain", memory="64M", autostart="off"),
                    payload("fill", "memory-fill", memory=f"{others}M"),
                    payload("zero", "memory-zero", memory=f"{others}M")),
        [READY, started("web"), Send("set web memory 64M"), Expect(r"^web has loaded no driver"),
         Send("set plain memory 64M"), Expect(r"^plain has no balloon"),
         Expect(r"^web\| web: Linux \d", LINUX_BOOT, "Kernel panic"),
         given_back(memory // 3), *isolated(),
         Send("send web mkdir -p /m; mount -t tmpfs -o size=90% none /m && echo mounted"),
         Expect(r"^web\| mounted"),
         *fill(files), Send("info memory"), *isolated(),
         Send("send web rm /m/a /m/b; echo removed"), Expect(r"^web\| removed"),
         given_back(memory // 3), Send("info memory"), Expect(r"^ +web +RAM .* KiB given back"),
         Send(f"set web memory {small}M"), Expect(rf"^web: asked to do with {small} MiB of {memory} MiB"),
         Poll("stats web", rf"^balloon\.actual_bytes {(memory - small) * MIB}$", 120),
         Poll("stats web", r"^balloon\.total_bytes \d+"),
         given_back(memory - small - 8), *isolated(),
         passes("fill"), passes("zero"), passes("fill"), passes("zero"), *isolated(),
         Send(f"set web memory {memory}M"), Expect(r"^web: asked to do with"),
         Poll("stats web", r"^balloon\.actual_bytes 0$", 120),
         *fill(files), *isolated(),
         Send("send web poweroff"), stopped("web", "power-off"), gone("web"), POWER_OFF],
        timeout=600, left_out=left_out)


def balloon_smp(name, left_out, memory, small, size, rounds, run_args=()):
    """Both vCPUs fill, compare and let go of memory while the balloon takes and gives it."""
    return Case(
        name, stick(CONF, linux("web", f"quiet task=balloon size={size} rounds={rounds}",
                                memory=f"{memory}M", balloon="on", cpus=2)),
        [READY, started("web"), Expect(r"^web\| balloon: begins", LINUX_BOOT * 2, "Kernel panic"),
         *[step for target in (small, memory, small, memory)
           for step in (Send(f"set web memory {target}M"), Expect(r"^web: asked to do with"),
                        Poll("stats web", rf"^balloon\.actual_bytes {(memory - target) * MIB}$", 120),
                        *isolated())],
         Expect(r"^web\| balloon: ok", 60 * rounds), stopped("web", "power-off"), gone("web"),
         POWER_OFF],
        timeout=LINUX_BOOT * 2 + 400, cpus=2, left_out=left_out, run_args=run_args,
        never=(r"balloon: FAILED", r"Out of memory"))


def cases():
    return [*in_two_sizes(balloon, "balloon",
                          {"memory": 480, "others": 620, "files": 120, "small": 200},
                          {"memory": 160, "others": 64, "files": 10, "small": 120}, ONE_AMD),
            balloon_smp("balloon-smp", ONE_AMD | {"bochs-vmx": "balloon-small gives and takes memory there"},
                        memory=400, small=320, size=40, rounds=6, run_args=ONE_THREAD)]
