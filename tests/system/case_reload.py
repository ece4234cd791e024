# SPDX-License-Identifier: Apache-2.0
"""All devices of a Linux guest saved, reset and loaded again and again, while it works."""
import re

from harness import BOCHS, BUILD, Case, Check, Expect, Send
from sticks import LINUX_BOOT, ONE_THREAD, POWER_OFF, READY, gone, linux, started, stick, stopped

IMAGE = {"images/disk.img": BUILD / "guest/disk.img"}
CONF = "console = all\nautostart = none\nnetwork = lan\n"
ROUNDS = 40
MIB = 1


def it_worked_on(lines):
    """Not once, and waiting for the rest."""
    line = next(x for x in lines if x.startswith("web| reload: ok"))
    files, copies = (int(n) for n in re.search(r"(\d+) files, (\d+) copies", line).groups())
    assert files >= 2 and copies >= 2, line


def reload():
    rounds = [step for i in range(1, ROUNDS + 1)
              for step in (Send("reload web"),
                           Expect(rf"^bulkhead: guest web: reload {i}: \d+ devices, \d+ bytes$", 30,
                                  r"^bulkhead: guest web: reload: |^web\| reload: (FAILED|ok)"))]
    return Case(
        "reload",
        stick(CONF, IMAGE, linux("server", f"quiet task=net-server mib={MIB}", net="lan"),
              linux("web", "quiet task=reload seconds=10", cpus=2, net="lan",
                                                disk=["/images/disk.img", "/images/disk.img, bus=nvme"])),
        [READY, Send("start server"), started("server"),
         Expect(r"^server\| net-server: ready", LINUX_BOOT, "Kernel panic"),
         Send("start web"), started("web"),
         Expect(r"^web\| reload: busy", LINUX_BOOT, r"^web\| reload: FAILED"), *rounds,
         Expect(r"^web\| reload: ok", 120, r"^web\| reload: FAILED"), Check(it_worked_on),
         stopped("web", "power-off"), gone("web"), POWER_OFF],
        timeout=300, cpus=2, run_args=ONE_THREAD,
        left_out=dict.fromkeys(BOCHS, "the same code as on QEMU; Bochs takes a minute for one of a guest"))


def cases():
    return [reload()]
