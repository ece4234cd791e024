# SPDX-License-Identifier: Apache-2.0
"""Virtio devices under drivers that do all right."""
from harness import Case
from sticks import POWER_OFF, READY, isolated, passes, payload, stick

CONF = "console = all\nautostart = none\nnetwork = lan\n"
DISK = "/images/blank.img"
IMAGE = {"images/blank.img": bytes(4 << 20)}


def cases():
    return [Case("virtio",
                 stick(CONF, IMAGE,
                       payload("virtio-blk", keys={"cpus": 2, "disk": [DISK, DISK + ", readonly"]}),
                       payload("virtio-net-loop", keys={"net": ["lan", "lan"]})),
                 [READY, passes("virtio-blk"), passes("virtio-net-loop"), *isolated(), POWER_OFF],
                 timeout=240, linux=False)]
