# SPDX-License-Identifier: Apache-2.0
"""All devices of a Linux guest saved, reset and loaded again and again, while it works."""
import os
import re

from harness import BOCHS, BUILD, Case, Check, Expect, Send
from sticks import LINUX_BOOT, ONE_THREAD, POWER_OFF, READY, gone, linux, started, stick, stopped

IMAGE = {"images/disk.img": BUILD / "guest/disk.img"}
CONF = "console = all\nautostart = none\nnetwork = lan\n"
MIB = 1
# By hand: more rounds, other models (docs/saved.md).
ROUNDS = int(os.environ.get("RELOADS", "20"))
BUS = os.environ.get("RELOAD_BUS", "virtio")
MODEL = os.environ.get("RELOAD_NIC", "virtio")
GENERIC = BUILD / "guest/generic"


def it_worked_on(lines):
    """Not once, and waiting for the rest."""
    line = next(x for x in lines if x.startswith("web| reload: ok"))
    files, copies = (int(n) for n in re.search(r"(\d+) files, (\d+) copies", line).groups())
    assert files >= 2 and copies >= 2, line


def worker():
    """Debian's kernel for clouds knows virtio alone."""
    guest = linux("web", "quiet task=reload seconds=10", cpus=2, net=f"lan, model={MODEL}",
                  disk=f"/images/disk.img, bus={BUS}", rng="on", balloon="on")
    if (BUS, MODEL) != ("virtio", "virtio"):
        guest |= {"web/vmlinuz": GENERIC / "vmlinuz", "web/initrd.img": GENERIC / "initrd.img"}
    return guest


def reload():
    """One guest on KVM's interfaces, the other one on Microsoft's, in turns."""
    rounds = [step for i in range(1, ROUNDS + 1) for name in ("web", "server")
              for step in (Send(f"reload {name}"),
                           Expect(rf"^bulkhead: guest {name}: reload {i}: \d+ devices, \d+ bytes$", 30,
                                  r"^bulkhead: guest \w+: reload: |^web\| reload: (FAILED|ok)"))]
    return Case(
        "reload",
        stick(CONF, IMAGE, linux("server", f"quiet task=net-server mib={MIB}", net="lan", hyperv="on"),
              worker()),
        [READY, Send("start server"), started("server"),
         Expect(r"^server\| net-server: ready", LINUX_BOOT, "Kernel panic"),
         Send("start web"), started("web"),
         Expect(r"^web\| reload: busy", LINUX_BOOT, r"^web\| reload: FAILED"), *rounds,
         Expect(r"^web\| reload: ok", 120, r"^web\| reload: FAILED"), Check(it_worked_on),
         stopped("web", "power-off"), gone("web"), POWER_OFF],
        allow=(r"tsc: Marking TSC unstable due to running on Hyper-V$",), timeout=300, cpus=2, run_args=ONE_THREAD,
        left_out=dict.fromkeys(BOCHS, "the same code as on QEMU; Bochs takes a minute for one of a guest"))


def cases():
    return [reload()]
