# SPDX-License-Identifier: Apache-2.0
"""What one guest can find of another: nothing."""
from harness import Case, Expect, Send
from sticks import (POWER_OFF, READY, beats_on, isolated, passes, payload, stick, stopped, unbroken)

CONF = "console = all\nautostart = heart\n"
HEART = payload("heart", "heartbeat")

# A guest marks all its memory and stays; another one looks everywhere it can.
SEARCH = Case(
    "search", stick(CONF, HEART, payload("marked", "memory-fill", memory="400M", hold=1),
                    payload("search", "memory-search", memory="64M")),
    [READY, Send("start marked"), Expect(r"^marked\| \d+ pages marked", 60), *isolated(),
     passes("search", 500), *isolated(), *beats_on("heart"), unbroken("heart", 5),
     Send("stop marked"), stopped("marked", "by request"), POWER_OFF],
    timeout=600, linux=False)

# Memory that a guest has marked goes to the next one, all of it zeros.
ZERO = Case(
    "zero", stick(CONF, HEART, payload("fill", "memory-fill", memory="600M"),
                  payload("zero", "memory-zero", memory="600M"),
                  payload("clean", "clean-start"), payload("use", "registers", seconds=2)),
    [READY, passes("fill"), passes("zero"), passes("fill"), passes("zero"),
     passes("use"), passes("clean"), *beats_on("heart"), unbroken("heart", 3), POWER_OFF],
    timeout=240, linux=False)


def cases():
    return [SEARCH, ZERO]
