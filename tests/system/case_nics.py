# SPDX-License-Identifier: Apache-2.0
"""Linux guests with network cards of Intel's on one network with a virtio guest: what they send arrives."""
from harness import BUILD, NO_VENDOR, Case, Expect, ExpectAll, Send
from sticks import (LINUX_BOOT, ONE_THREAD, POWER_OFF, READY, gone, isolated, linux, passes, payload, started, stick,
                    stopped)

CONF = "console = all\nautostart = none\nnetwork = lan\n"
MIB = 4
# Debian's kernel for clouds has no drivers for them.
GENERIC = BUILD / "guest/generic"
CARDS = {"e1000": 2, "e1000e": 3}  # model, which is the driver's name too -> the last byte of its address


def intel(model, host):
    """One guest has a CPU for each of its card's directions."""
    guest = linux(model, f"task=nic-client host={host} mib={MIB}", net=f"lan, model={model}", cpus=host - 1)
    return guest | {f"{model}/vmlinuz": GENERIC / "vmlinuz", f"{model}/initrd.img": GENERIC / "initrd.img"}


def client(name):
    """What its guest says: which driver, ping, all bytes both ways, and again after its link was down."""
    return (rf"^{name}\| nic-client: {name} at 1000 Mbit/s, carrier 1",
            rf"^{name}\| nic-client: 5 packets transmitted, 5 packets received",
            rf"^{name}\| netload: sent {MIB} MiB, received {MIB} MiB, all right",
            rf"^{name}\| netload: sent 1 MiB, received 1 MiB, all right",
            rf"^{name}\| nic-client: rx_errors 0", rf"^{name}\| nic-client: tx_errors 0",
            rf"^bulkhead: guest {name}: stopped: power-off")


def hostile(name, seed, rounds):
    """A mad driver of one card of each model, at the same network; it needs no more than a part of a CPU."""
    return payload(name, "e1000-hostile", seed=seed, rounds=rounds,
                   keys={"net": [f"lan, model={model}" for model in CARDS], "cap": 20})


def cases():
    steps = [READY, passes("bad", 120), Send("start server"), started("server"),
             Expect(r"^server\| nic-server: ready", LINUX_BOOT, "Kernel panic"),
             Send("start mad"), started("mad")]
    for model in CARDS:
        steps += [Send(f"start {model}"), started(model), ExpectAll(client(model), 2 * LINUX_BOOT), gone(model)]
    steps += [Send("stop mad"), stopped("mad", "by request"), gone("mad"), gone("server"),
              Send("info networks"), Expect(r"^frames take 0 of"), *isolated(), POWER_OFF]
    files = stick(CONF, linux("server", f"task=nic-server clients={len(CARDS)}", net="lan"),
                  hostile("bad", 31, 200), hostile("mad", 32, 1000000), *(intel(*card) for card in CARDS.items()))
    return [Case("nics", files, steps, timeout=700, left_out=NO_VENDOR, cpus=2, run_args=ONE_THREAD,
                 never=(r"netload: FAILED", r"^mad\| (FAIL|PASS)"))]
