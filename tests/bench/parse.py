# SPDX-License-Identifier: Apache-2.0
"""Reads what the measured machines print. Pure: text in, numbers out; a number that is not there
raises Missing, so that a measurement which could not be made is never a zero."""
import collections
import re

MARK = 0xB007B007  # tests/bench/init.c
# Of SVM exit codes ("SVM Intercept Exit Codes", AMD's manual, volume 2) as kinds of Bulkhead.
SVM_KINDS = {0x65: "cr", 0x60: "host-irq", 0x64: "irq-window", 0x72: "cpuid", 0x78: "hlt", 0x7B: "io", 0x77: "pause",
             0x7C: "msr", 0x400: "nested-fault", 0x81: "hypercall", 0x8D: "xsetbv"}
ESCAPES = re.compile(r"\x1b\[[0-9;?=]*[A-Za-z]")


class Missing(Exception):
    """A number that a run should have printed."""


def clean(text):
    return [line.rstrip() for line in ESCAPES.sub("", text.replace("\r", "")).split("\n")]


def guest_lines(lines, name):
    """The lines of one guest, from Bulkhead's `console = all`."""
    prefix = f"{name}| "
    return [line[len(prefix):] for line in lines if line.startswith(prefix)]


def section(lines, name):
    """The lines between `== NAME` and the next `== `."""
    try:
        start = lines.index(f"== {name}") + 1
    except ValueError:
        raise Missing(f"no section '{name}'") from None
    end = next((i for i in range(start, len(lines)) if lines[i].startswith("== ")), len(lines))
    return lines[start:end]


def micro(lines):
    """{operation: median ticks beyond the frame, or None when the machine has no such thing}."""
    medians = {}
    for line in lines:
        words = line.split()
        if words[:2] == ["BENCH", "op"] and len(words) == 6:
            medians[words[2]] = int(words[3])
        elif words[:2] == ["BENCH", "none"] and len(words) == 3:
            medians[words[2]] = None
    if "nothing" not in medians or "BENCH end" not in lines:
        raise Missing("the payload did not finish")
    frame = medians.pop("nothing")
    return {name: None if ticks is None else ticks - frame for name, ticks in medians.items()}


def _one(lines, pattern, what):
    for line in lines:
        if match := re.search(pattern, line):
            return match
    raise Missing(what)


def ticks_per_instruction(lines):
    match = _one(lines, r"^BENCH tsc (\d+) (\d+)$", "no line about the unit")
    return int(match[2]) / (2 * int(match[1]))


def init_tick(lines):
    return int(_one(lines, r"^BENCH init (\d+)$", "no mark of the guest's init")[1])


def loops(lines):
    found = {m[1]: int(m[2]) for line in lines if (m := re.match(r"BENCH loop (\S+) (\d+)$", line))}
    if not found or "BENCH end" not in lines:
        raise Missing("the loops did not finish")
    return found


def stats(lines, name):
    """The last `stats NAME` of Bulkhead's monitor as {key: number or text}."""
    blocks = [i for i, line in enumerate(lines) if line.endswith(f"name {name}")]
    if not blocks:
        raise Missing(f"no stats of {name}")
    found = {}
    for line in lines[blocks[-1] + 1:]:
        match = re.fullmatch(r"([a-z0-9_.-]+) (\S+)", line)
        if not match:
            break
        found[match[1]] = int(match[2]) if match[2].isdigit() else match[2]
    return found


Exit = collections.namedtuple("Exit", "kind detail")


def trace(lines):
    """(exits so far, the last ones), from the last `trace NAME`; guests' lines between are skipped."""
    heads = [(i, m) for i, line in enumerate(lines) if (m := re.search(r"vCPU 0: (\d+) exits, the last", line))]
    if not heads:
        raise Missing("no trace")
    at, head = heads[-1]
    entries = [Exit(m[1], m[2].strip()) for line in lines[at + 1:]
               if (m := re.match(r"\s+-\s*\d+ us  rip 0x[0-9a-f]+ (\S+)(.*)$", line))]
    return int(head[1]), entries


def exits_to_mark(found_stats, total, entries):
    """Exits by kind up to and without the mark. `stats` and `trace` are of one paused moment."""
    at = next((i for i, e in enumerate(entries)
               if e.kind == "cpuid" and e.detail.startswith(f"leaf 0x{MARK:x} ")), None)
    if at is None:
        raise Missing("the mark is not in the trace")
    if total != found_stats.get("vcpu0.exits"):
        raise Missing("stats and trace are of different moments")
    prefix = "vcpu0.exits."
    kinds = collections.Counter({k[len(prefix):]: n for k, n in found_stats.items() if k.startswith(prefix)})
    kinds.subtract(e.kind for e in entries[at:])
    kinds["msr"] = kinds.pop("rdmsr", 0) + kinds.pop("wrmsr", 0)
    return collections.Counter({k: n for k, n in kinds.items() if n > 0})


def kvm_kind(code):
    if code < 0x20:
        return "cr"
    if code < 0x40:
        return "dr"
    return "exception" if code < 0x60 else SVM_KINDS.get(code, "other")


def kvm_kinds(lines):
    """Exits by kind from tracefs' histogram of kvm_exit; the same names as Bulkhead's."""
    kinds = collections.Counter()
    for line in lines:
        if match := re.match(r"\{ exit_reason:\s+(\d+) \} hitcount:\s+(\d+)$", line):
            kinds[kvm_kind(int(match[1]))] += int(match[2])
    if not kinds:
        raise Missing("no histogram of KVM's exits")
    return kinds


def kvm_ports(lines):
    """[(port, count)], most frequent first, from the histogram of kvm_pio."""
    found = [(int(m[1], 16), int(m[2])) for line in lines
             if (m := re.match(r"\{ port:\s+([0-9a-f]+) \} hitcount:\s+(\d+)$", line))]
    return sorted(found, key=lambda pair: -pair[1])


def kvm_start(lines):
    """The guest's TSC at its first instruction: the host's at the first entry, plus the offset."""
    entry = _one(lines, r"(\d+): kvm_entry: vcpu", "no first entry in KVM's trace")
    offset = _one(lines, r"kvm_write_tsc_offset: .*next=(\d+)", "no TSC offset in KVM's trace")
    return (int(entry[1]) + int(offset[1])) % (1 << 64)


def start_ticks(lines, name):
    """From EFI's entry to a guest's start in host ticks, without the reading of files."""
    started = stats(lines, name).get("started_ticks")
    if started is None:
        raise Missing(f"no started_ticks of {name}")
    match = _one(lines, r"start: (\d+) thousand ticks from EFI to here, (\d+) of them reading files"
                        r" \(tick (\d+)\)", "no line about the start")
    to_here, reading, here = (int(x) for x in match.groups())
    return started - here + (to_here - reading) * 1000


def memory_kib(lines):
    return int(_one(lines, r"^BENCH memory (\d+) KiB$", "no memory of the VMM")[1])


Io = collections.namedtuple("Io", "operations ticks exits")


def io(lines):
    """{name: Io} of tests/bench/io.c: exits are those between a measurement's beginning and the next one's,
    less what `nothing` needs for being begun and reported."""
    ready, exits, measured = [], {}, {}
    for line in (re.sub(r"^\w+\| ", "", line) for line in lines):
        if match := re.match(r"BENCH ready (\S+)$", line):
            ready.append(match[1])
            exits[match[1]] = 0
        elif (match := re.match(r"(?:BENCH|vcpu0\.)\s?exits (\d+)$", line)) and ready:
            exits[ready[-1]] += int(match[1])
        elif match := re.match(r"BENCH io (\S+) (\d+) (\d+)$", line):
            measured[match[1]] = int(match[2]), int(match[3])
    if ready[-1:] != ["end"] or set(measured) != set(ready[:-1]):
        raise Missing("disk and network did not finish")
    between = {name: exits[after] - exits[name] for name, after in zip(ready, ready[1:])}
    return {name: Io(operations, ticks, max(between[name] - between["nothing"], 0))
            for name, (operations, ticks) in measured.items() if name != "nothing"}


Firmware = collections.namedtuple("Firmware", "ticks kinds")


def firmware(lines, name):
    """A guest's whole run, from `stats NAME` of Bulkhead's monitor after its end."""
    found = stats(lines, name)
    prefix = "past.exits."
    kinds = collections.Counter({k[len(prefix):]: n for k, n in found.items() if k.startswith(prefix)})
    kinds["msr"] = kinds.pop("rdmsr", 0) + kinds.pop("wrmsr", 0)
    if "past.ticks" not in found or sum(kinds.values()) != found.get("past.exits"):
        raise Missing(f"no run of {name} that is over")
    return Firmware(found["past.ticks"], +kinds)


def kvm_firmware(lines, name):
    """The same from the first entry to the write that ends the guest, in KVM's trace."""
    ticks = section(lines, f"ticks-{name}")
    entry = _one(ticks, r"(\d+): kvm_entry: vcpu", f"no first entry of {name} in KVM's trace")
    end = _one(ticks, r"(\d+): kvm_pio: pio_write at 0xf4 ", f"{name} did not reach GRUB")
    return Firmware(int(end[1]) - int(entry[1]), kvm_kinds(section(lines, f"exits-{name}")))
