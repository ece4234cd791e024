# SPDX-License-Identifier: Apache-2.0
"""Boots one image per case through tools/run and talks to it over its serial port.

A case is data: what is on the stick, what to type, what must appear and what must never appear.
Everything starts from the same kind of image that a person writes to a USB stick.
"""
import dataclasses
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import threading
import time

import disks

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
WORK = BUILD / "system"

# Where every case runs that does not say why not, and how much more wall-clock time it gets there.
PATIENCE = {"qemu-svm": 1, "bochs-svm": 4, "bochs-vmx": 4}
BOCHS = ("bochs-svm", "bochs-vmx")
# For cases of what is the same for every vendor, where the time is better spent on others.
NO_VENDOR = dict.fromkeys(BOCHS, "what it tests does not know the vendor, and Bochs takes minutes")
# For cases that take Bochs minutes: one machine of each vendor is enough.
ONE_AMD = {"bochs-svm": "QEMU is the machine with AMD-V for this, and Bochs takes minutes"}

# What a guest's kernel log must never hold, in any case with a Linux guest.
LINUX_TROUBLE = (
    r"WARNING:", r"\bBUG\b", r"(?i)firmware bug", r"(?i)soft lockup", r"(?i)\bspurious\b",
    r"clocksource: timekeeping watchdog", r"Marking clocksource", r"(?i)rcu.*stall",
    r"Call Trace", r"unchecked MSR access", r"(?i)tsc.*unstable", r"\bOops\b", r"nobody cared",
    r"(?i)acpi.*(error|exception)", r"ACPI BIOS", r"(?i)mtrr.*(blank|warn)",
)
# What the emulated CPU makes any kernel say, without a hypervisor too: it is of a generation with
# RETBleed and has no IBRS, or with SRSO and has no new microcode.
LINUX_ALLOWED = {
    "bochs-vmx": (r"RETBleed: WARNING: Spectre v2 mitigation leaves CPU vulnerable",),
    "bochs-svm": (r"Speculative Return Stack Overflow: WARNING: See",),
}
# What Bulkhead itself must never print.
HYPERVISOR_TROUBLE = (r"bulkhead: panic", r"^error:", r"unforeseen exception", r"unhandled exit")


@dataclasses.dataclass
class Expect:
    """Waits until a line matches; `within` is in seconds of wall-clock time. A line that matches
    `unless` ends the wait as a failure. A `prompt` need not be a whole line."""
    pattern: str
    within: float = 60
    unless: str = r"(?!)"
    prompt: bool = False


@dataclasses.dataclass
class ExpectAll:
    """Waits until each pattern has matched a line, in whatever order."""
    patterns: tuple
    within: float = 60


@dataclasses.dataclass
class Send:
    """Types a line to the monitor."""
    text: str
    end: str = "\r"


@dataclasses.dataclass
class Poll:
    """Types a line again and again, a second apart, until a line matches."""
    text: str
    pattern: str
    within: float = 60


@dataclasses.dataclass
class Check:
    """Calls fn(transcript lines so far); it raises AssertionError with the reason."""
    fn: object


@dataclasses.dataclass
class Idle:
    """Lets the machine run; only for cases whose subject is a stretch of time."""
    seconds: float


@dataclasses.dataclass
class Boot:
    """Waits for the machine's own end and starts it again, with the same image and disks."""
    exit_code: int = 0


@dataclasses.dataclass
class PowerCut:
    """Kills the emulator up to `within` seconds from now, nobody knows when, and starts the machine
    again: what the disks have acknowledged is on them, what they have not may be or not."""
    within: float = 1


@dataclasses.dataclass
class OnHost:
    """Starts a program on this host; it is ended with the case."""
    command: tuple


@dataclasses.dataclass
class Trial:
    """Steps whose failure is noted, and the case goes on: one boot serves many of these."""
    name: str
    steps: list


@dataclasses.dataclass
class Case:
    name: str
    files: dict  # path below the stick's folder -> str, bytes or pathlib.Path
    steps: list
    exit_code: int = 0
    timeout: int = 120
    memory: str = "1G"
    cpus: int | str = 1  # a str: as for tools/run -c
    left_out: dict = dataclasses.field(default_factory=dict)  # platform -> why it does not run there
    must: tuple = ()   # patterns that some line must match by the end
    never: tuple = ()  # patterns that no line may match
    allow: tuple = ()  # patterns of lines that `never` and the standing lists do not judge
    linux: bool = True
    allow_missing: bool = False
    image_error: str = ""  # mkimage must refuse with a message that matches; nothing is booted
    run_args: tuple = ()
    disks: tuple = ()  # of disks.Disk: made before the first boot, kept over the others


@dataclasses.dataclass
class Heart:
    """Waits until there were `at_least` beats. Then: each second of the guest's time had its beat, in
    order, and none came later than `late_ms` but for what this host itself was late."""
    name: str
    at_least: int
    late_ms: int = 4000
    within: float = 60


class Failed(Exception):
    """A case did not hold; the text says what."""


class Ended(Failed):
    """The machine is gone: nothing further can be tried on it."""


def children(pid):
    """All processes below `pid`."""
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            below = task.read_text().split()
        except OSError:
            continue
        for child in below:
            yield int(child)
            yield from children(int(child))


def waited_seconds(pid):
    """How long the threads below `pid` were ready to run and had no CPU (schedstat)."""
    total = 0
    for child in children(pid):
        for task in pathlib.Path(f"/proc/{child}/task").glob("*/schedstat"):
            try:
                total += int(task.read_text().split()[1])
            except (OSError, IndexError):
                pass
    return total / 1e9


class HostLag:
    """How late this host is in running the emulator, over time: a guest cannot be better."""

    PERIOD = 0.5

    def __init__(self, process):
        self.process = process
        self.samples = []  # (monotonic time, seconds lost so far)
        threading.Thread(target=self._sample, daemon=True).start()

    def _sample(self):
        overslept = 0
        while self.process.poll() is None:
            before = time.monotonic()
            self.samples.append((before, waited_seconds(self.process.pid) + overslept))
            time.sleep(self.PERIOD)
            overslept += max(0, time.monotonic() - before - 2 * self.PERIOD)

    def lost(self, start, end):
        """Seconds lost between two moments, generously: whole samples around them."""
        before = [lost for when, lost in self.samples if when <= start]
        after = [lost for when, lost in self.samples if when >= end]
        samples = [lost for _, lost in self.samples] or [0]
        return (after[0] if after else samples[-1]) - (before[-1] if before else samples[0])


class Machine:
    """One running emulator."""

    def __init__(self, case, platform, image, files, log):
        self.platform = platform
        self.patience = PATIENCE[platform]
        self.timeout = case.timeout * self.patience
        with_disks = [word for disk, file in zip(case.disks, files)
                      for word in ("--disk", f"{disk.kind}:{file},serial={disk.serial}")]
        self.command = [str(ROOT / "tools/run"), "-p", platform, "-t", str(self.timeout), "-m", case.memory,
                        "-c", str(case.cpus), *with_disks, *case.run_args, str(image)]
        self.log = log
        log.unlink(missing_ok=True)
        self.lines = []
        self.times = []  # when each line was complete, time.monotonic()
        self.problems = []
        self.on_host = []
        self.seen = 0
        self.news = threading.Condition()
        self.boot()

    def boot(self):
        """Starts the emulator; the transcript goes on."""
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, bufsize=0)
        self.partial = ""
        self.ended = False
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.lag = HostLag(self.process)

    def _read(self):
        with open(self.log, "ab") as log:
            while True:
                data = os.read(self.process.stdout.fileno(), 65536)
                if not data:
                    break
                log.write(data)
                log.flush()
                text = self.partial + data.decode(errors="replace")
                *whole, rest = text.split("\n")
                with self.news:
                    self.lines += [clean(x) for x in whole]
                    self.times += [time.monotonic()] * len(whole)
                    self.partial = rest
                    self.news.notify_all()
        with self.news:
            if self.partial:
                self.lines.append(clean(self.partial))
                self.times.append(time.monotonic())
            self.ended = True
            self.news.notify_all()

    def expect(self, pattern, within, unless=r"(?!)", prompt=False):
        """Moves past the first unseen line that matches."""
        regex = re.compile(pattern)
        bad = re.compile(unless)
        within *= self.patience
        deadline = time.monotonic() + within
        with self.news:
            while True:
                while self.seen < len(self.lines):
                    line = self.lines[self.seen]
                    self.seen += 1
                    if regex.search(line):
                        return line
                    if bad.search(line):
                        raise Failed(line)
                if prompt and self.seen == len(self.lines) and regex.search(clean(self.partial)):
                    self.seen += 1
                    return clean(self.partial)
                if self.ended:
                    raise Ended(f"the machine ended before a line matched /{pattern}/")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Failed(f"no line matched /{pattern}/ within {within:.0f} s")
                self.news.wait(left)

    def send(self, text):
        try:
            self.process.stdin.write(text.encode())
        except BrokenPipeError as gone:
            raise Ended(f"the machine ended before '{text.strip()}' could be typed") from gone

    def finish(self):
        """The exit code, once the machine has ended; tools/run ends it when time is up."""
        try:
            code = self.process.wait(self.timeout + 10)
        except subprocess.TimeoutExpired as late:
            raise Failed(f"still running {self.timeout + 10:.0f} s after the last step") from late
        self.reader.join(10)
        return code

    def cut_power(self):
        """Gives the emulator no chance to do anything more."""
        for child in children(self.process.pid):
            os.kill(child, signal.SIGKILL)
        self.finish()

    def close(self):
        for program in self.on_host:
            program.kill()
            program.wait()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()


def clean(line):
    """What a terminal shows of a line: without what was erased, colours and carriage returns."""
    line = line.rsplit("\x1b[K", 1)[-1]
    return re.sub(r"\x1b\[[0-9;?=]*[A-Za-z]", "", line).replace("\r", "").rstrip()


def build_image(case, folder):
    stick = folder / "stick"
    shutil.rmtree(folder, ignore_errors=True)
    stick.mkdir(parents=True)
    for path, content in case.files.items():
        target = stick / path
        if path.endswith("/"):
            target.mkdir(parents=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pathlib.Path):
            target.symlink_to(content.resolve())
        else:
            target.write_bytes(content.encode() if isinstance(content, str) else content)
    image = folder / "stick.img"
    command = [str(ROOT / "tools/mkimage"), str(stick), str(image)]
    if case.allow_missing:
        command.insert(1, "--allow-missing")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True, capture_output=True)
    if case.image_error:
        if done.returncode == 0 or not re.search(case.image_error, done.stderr):
            raise Failed(f"mkimage exited {done.returncode} and said: {done.stderr.strip()}")
    elif done.returncode != 0:
        raise Failed(f"mkimage: {done.stderr.strip() or done.stdout.strip()}")
    return image


def judge(case, platform, lines):
    allowed = (*case.allow, *LINUX_ALLOWED.get(platform, ()))
    never = list(case.never) + list(HYPERVISOR_TROUBLE)
    if case.linux:
        never += LINUX_TROUBLE
    for line in lines:
        if any(re.search(p, line) for p in allowed):
            continue
        for pattern in never:
            if re.search(pattern, line):
                raise Failed(f"/{pattern}/ must not appear: {line}")
    for pattern in case.must:
        if not any(re.search(pattern, line) for line in lines):
            raise Failed(f"no line matched /{pattern}/")


def expect_all(step, machine):
    deadline = time.monotonic() + step.within * machine.patience
    missing = list(step.patterns)
    while missing:
        left = (deadline - time.monotonic()) / machine.patience
        line = machine.expect("|".join(f"(?:{p})" for p in missing), left)
        missing = [p for p in missing if not re.search(p, line)]


def poll(step, machine):
    deadline = time.monotonic() + step.within * machine.patience
    while True:
        machine.send(step.text + "\r")
        try:
            return machine.expect(step.pattern, 1)
        except Ended:
            raise
        except Failed:
            if time.monotonic() > deadline:
                raise


def run_trial(trial, machine):
    try:
        run_steps(trial.steps, machine)
    except Ended as ended:
        raise Ended(f"{trial.name}: {ended}") from ended
    except Failed as failure:
        machine.problems.append(f"{trial.name}: {failure}")


def beats_of(name, machine):
    """[(number, ms late, when it came)] so far; machine.news is held."""
    beat = re.compile(rf"^{name}\| beat (\d+)(?: late (\d+) ms)?$")
    timed = zip(machine.lines, machine.times)
    return [(int(m[1]), int(m[2] or 0), when) for line, when in timed if (m := beat.match(line))]


def run_heart(step, machine):
    with machine.news:
        machine.news.wait_for(
            lambda: machine.ended or len(beats_of(step.name, machine)) >= step.at_least,
            step.within * machine.patience)
        beats = beats_of(step.name, machine)
    if len(beats) < step.at_least:
        raise Failed(f"{step.name}: only {len(beats)} beats")
    for (before, _, _), (number, late, when) in zip(beats, beats[1:]):
        if number != before + 1:
            raise Failed(f"{step.name}: beat {number} follows beat {before}")
        excuse = machine.lag.lost(when - late / 1000 - 1, when) if late > step.late_ms else 0
        if late > step.late_ms + excuse * 1000:
            raise Failed(f"{step.name}: beat {number} came {late} ms late, the host {excuse:.1f} s")


def run_check(step, machine):
    with machine.news:
        lines = list(machine.lines)
    try:
        step.fn(lines)
    except AssertionError as wrong:
        raise Failed(str(wrong)) from wrong


def run_boot(step, machine):
    code = machine.finish()
    if code != step.exit_code:
        raise Failed(f"exit code {code}, expected {step.exit_code}")
    machine.boot()


def run_steps(steps, machine):
    for step in steps:
        if isinstance(step, Expect):
            machine.expect(step.pattern, step.within, step.unless, step.prompt)
        elif isinstance(step, ExpectAll):
            expect_all(step, machine)
        elif isinstance(step, Poll):
            poll(step, machine)
        elif isinstance(step, Send):
            machine.send(step.text + step.end)
        elif isinstance(step, Check):
            run_check(step, machine)
        elif isinstance(step, Heart):
            run_heart(step, machine)
        elif isinstance(step, Idle):
            time.sleep(step.seconds)
        elif isinstance(step, OnHost):
            machine.on_host.append(subprocess.Popen(step.command, stdin=subprocess.DEVNULL,
                                                    stdout=subprocess.DEVNULL))
        elif isinstance(step, Boot):
            run_boot(step, machine)
        elif isinstance(step, PowerCut):
            time.sleep(random.uniform(0, step.within))
            machine.cut_power()
            machine.boot()
        elif isinstance(step, Trial):
            run_trial(step, machine)
        else:
            raise TypeError(f"{step!r} is no step")


def make_disks(case, folder):
    """What QEMU calls each disk, and the programs behind those that forget."""
    files = [disk.make(folder) for disk in case.disks]
    programs = {i: disks.Forgetful(files[i], files[i].with_suffix(".log"))
                for i, disk in enumerate(case.disks) if disk.forgets}
    return [programs[i].name if i in programs else file for i, file in enumerate(files)], programs.values()


def run_case(case, platform):
    """Runs one case; raises Failed. Returns the seconds it took."""
    started = time.monotonic()
    folder = WORK / f"{case.name}@{platform}"
    image = build_image(case, folder)
    if case.image_error:
        return time.monotonic() - started
    files, programs = make_disks(case, folder)
    machine = Machine(case, platform, image, files, folder / "serial.log")
    try:
        run_steps(case.steps, machine)
        code = machine.finish()
    except Failed as failure:
        machine.problems.append(str(failure))
    finally:
        machine.close()
        for program in programs:
            program.close()
    if machine.problems:
        raise Failed("; ".join(machine.problems))
    if code != case.exit_code:
        raise Failed(f"exit code {code}, expected {case.exit_code}")
    judge(case, platform, machine.lines)
    return time.monotonic() - started
