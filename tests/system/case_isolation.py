# SPDX-License-Identifier: Apache-2.0
"""What one guest can find of another: nothing."""
from harness import Case, Expect, Send
from sticks import (POWER_OFF, READY, beats_on, in_two_sizes, isolated, passes, payload, stick,
                    stopped, unbroken)

CONF = "console = all\nautostart = heart\n"
HEART = payload("heart", "heartbeat")


def search(name, left_out, memory, step):
    """A guest marks all its memory and stays; another one looks everywhere it can."""
    return Case(
        name, stick(CONF, HEART, payload("marked", "memory-fill", memory=memory, hold=1),
                    payload("search", "memory-search", memory="64M", step=step)),
        [READY, Send("start marked"), Expect(r"^marked\| \d+ pages marked", 60), *isolated(),
         passes("search", 500), *isolated(), *beats_on("heart"), unbroken("heart", 5),
         Send("stop marked"), stopped("marked", "by request"), POWER_OFF],
        timeout=600, linux=False, left_out=left_out)


def zero(name, left_out, memory):
    """Memory that a guest has marked goes to the next one, all of it zeros."""
    return Case(
        name, stick(CONF, HEART, payload("fill", "memory-fill", memory=memory),
                    payload("zero", "memory-zero", memory=memory),
                    payload("clean", "clean-start"), payload("use", "registers", seconds=2)),
        [READY, passes("fill"), passes("zero"), passes("fill"), passes("zero"),
         passes("use"), passes("clean"), *beats_on("heart"), unbroken("heart", 3), POWER_OFF],
        timeout=240, linux=False, left_out=left_out)


def cases():
    # Every page that is no RAM is an exit: a million, or one page of sixteen.
    return [*in_two_sizes(search, "search", {"memory": "400M", "step": 0x1000},
                          {"memory": "100M", "step": 0x10000}),
            *in_two_sizes(zero, "zero", {"memory": "600M"}, {"memory": "200M"})]
