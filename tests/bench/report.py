# SPDX-License-Identifier: Apache-2.0
"""The budget table: what was measured, beside its budget (docs/budgets.md). Pure."""
import dataclasses

# Operations of tests/bench/micro.c: text, budget in instructions or None.
OPERATIONS = (
    ("cpuid", "CPUID leaf 0", 500),
    ("cpuid-features", "CPUID leaf 1", 500),
    ("cpuid-xsave", "CPUID leaf 0xD", 500),
    ("cpuid-topology", "CPUID leaf 0xB", 500),
    ("out-0x80", "OUT to port 0x80", 600),
    ("in-pic", "IN from the 8259's mask", 600),
    ("in-rtc", "IN from the RTC", 600),
    ("in-nobody", "IN from a port of nobody", 600),
    ("pm-timer", "PM timer read", 600),
    ("wrmsr-tsc-adjust", "WRMSR TSC_ADJUST", 500),
    ("rdmsr-apic-base", "RDMSR APIC_BASE", 500),
    ("hypercall", "hypercall", 400),
    ("eoi-mmio", "LAPIC EOI by MMIO", None),
    ("x2apic-eoi", "LAPIC EOI by x2APIC MSR", 500),
    ("ioapic-read", "IOAPIC read (second-stage fault)", None),
    ("self-ipi", "self-IPI and its handler, xAPIC", None),
    ("x2apic-self-ipi", "self-IPI and its handler, x2APIC", None),
    ("ipi-other-cpu", "IPI to a vCPU that runs on another CPU, and its handler (Bochs, AMD-V)", 3000),
)
LOOPS = (("integer", "integer loop"), ("memory", "memory loop"), ("page-faults", "page-fault loop"))
BUDGET_EXITS = 4000
BUDGET_BOOT = 1.40e9
BUDGET_LOOP = 1.003
BUDGET_OVERHEAD = (256 + 64) << 10  # beyond page tables, one vCPU
BUDGET_EFI_BYTES = 1 << 20
BUDGET_START = 100e6
COLUMNS = ("bare", "Bulkhead", "KVM q35", "KVM microvm")
PAGE = 4096


@dataclasses.dataclass
class Row:
    what: str
    values: tuple  # of COLUMNS; None: does not exist or is not measured
    budget: float = None
    show: object = None  # number -> text

    def verdict(self):
        if self.budget is None:
            return ""
        value = self.values[1]
        if value <= self.budget:
            return "met"
        return f"MISSED by {(value / self.budget - 1) * 100:.1f} %"

    def missed(self):
        return self.verdict().startswith("MISSED")


def count(n):
    return f"{n:,.0f}"


def giga(n):
    return f"{n / 1e9:.3f} G"


def mega(n):
    return f"{n / 1e6:.1f} M"


def ratio(x):
    return f"{x:.4f}x"


def kib(n):
    return f"{n / 1024:,.0f} KiB"


def rows(m):
    """Rows from the measurements: one dict per column, keys as run.py fills them."""
    columns = [m.get(c, {}) for c in COLUMNS]

    def of(group, name):
        return tuple(c.get(group, {}).get(name) for c in columns)

    def direct(name):
        return tuple(c.get(name) for c in columns)

    bare_loops = m["bare"]["loops"]
    table = [Row("exits from the first guest instruction to init", direct("exits"), BUDGET_EXITS, count),
             Row("instructions from the first guest instruction to init", direct("boot"), BUDGET_BOOT, giga)]
    for name, text, budget in OPERATIONS:
        table.append(Row(f"{text}, instructions", of("micro", name), budget, count))
    for name, text in LOOPS:
        ratios = tuple(None if t is None else t / bare_loops[name] for t in of("loops", name))
        table.append(Row(f"{text}, against no hypervisor", ratios, BUDGET_LOOP, ratio))
    tables = m["Bulkhead"]["tables"] * PAGE
    table += [Row("memory per VM beyond its RAM", direct("overhead"), BUDGET_OVERHEAD + tables, kib),
              Row("`BOOTX64.EFI`", direct("efi-bytes"), BUDGET_EFI_BYTES, kib),
              Row("EFI entry to first guest instruction, instructions", direct("start"), BUDGET_START, mega)]
    return table


def backends(micro_by_column):
    """The operations on every backend: the same guest, the same Bulkhead, another CPU. `micro` dicts by
    column; lines of a table."""
    head = ["instructions", *micro_by_column]
    body = []
    for name, text, _ in OPERATIONS:
        values = [m.get(name) for m in micro_by_column.values()]
        body.append([text, *("-" if v is None else count(v) for v in values)])
    return grid(head, body)


def cell(row, value):
    return "-" if value is None else row.show(value)


def markdown(table):
    """The table's lines, its columns padded so that it reads well as plain text too."""
    head = ["what", *COLUMNS, "budget", "verdict"]
    body = [[r.what, *(cell(r, v) for v in r.values), cell(r, r.budget), r.verdict()] for r in table]
    return grid(head, body, left=(0, len(head) - 1))


def grid(head, body, left=(0,)):
    """A Markdown table; the columns in `left` stand to the left, the others to the right."""
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    rule = ["-" * (w + 2) if i in left else "-" * (w + 1) + ":" for i, w in enumerate(widths)]

    def join(cells):
        return "| " + " | ".join(c.ljust(w) if i in left else c.rjust(w)
                                 for i, (c, w) in enumerate(zip(cells, widths))) + " |"

    return [join(head), "|" + "|".join(rule) + "|", *(join(line) for line in body)]


def histogram(kinds_by_column):
    """One line per exit kind, most frequent under Bulkhead first."""
    names = sorted({k for kinds in kinds_by_column.values() for k in kinds},
                   key=lambda k: [-kinds.get(k, 0) for kinds in kinds_by_column.values()])
    head = "exit kind".ljust(16) + "".join(c.rjust(14) for c in kinds_by_column)
    return [head] + [k.ljust(16) + "".join(f"{kinds.get(k, 0):14,}" for kinds in kinds_by_column.values())
                     for k in names]


# Of tests/bench/io.c. What Bulkhead's may be of KVM's: half, in instructions and in exits.
IO_OPERATIONS = (
    ("read-4k", "disk, 4 KiB read at random places"),
    ("write-4k", "disk, 4 KiB written at random places"),
    ("read-4k-16", "the same, 16 reads open at all times"),
    ("write-4k-16", "the same, 16 writes open at all times"),
    ("read-128k", "disk, 128 KiB read in sequence"),
    ("write-128k", "disk, 128 KiB written in sequence"),
    ("tcp-request", "network, TCP byte there and back"),
    ("udp-request", "network, UDP byte there and back"),
    ("tcp-bulk", "network, TCP bulk, of 1 KiB"),
)
BUDGET_IO = 0.5


def share(part, whole):
    """`part` of `whole`; nothing of nothing is nothing."""
    return part / whole if whole else float(part > 0)


def io_table(bulkhead, kvm):
    """Lines of a table: both `{name: parse.Io}`, per operation; all guests together."""
    body = []
    for name, text in IO_OPERATIONS:
        cells, shares = [], []
        for field, show in (("ticks", "{:,.0f}"), ("exits", "{:,.2f}")):
            each = [getattr(m[name], field) / m[name].operations for m in (bulkhead, kvm)]
            shares.append(share(*each))
            cells += [show.format(x) for x in each] + [f"{shares[-1]:.2f}x"]
        body.append([text, *cells, "met" if max(shares) <= BUDGET_IO else "MISSED"])
    return grid(["per operation", "Bulkhead, instructions", "KVM", "", "Bulkhead, exits", "KVM", "", "half"], body,
                left=(0, 7))


FIRMWARES = (("bios", "SeaBIOS"), ("uefi", "OVMF"))
BUDGET_FIRMWARE = 0.5


def firmware_table(bulkhead, kvm):
    """Lines of a table: both `{name: parse.Firmware}`; at most half of KVM's exits are allowed."""
    body = []
    for name, text in FIRMWARES:
        exits = [sum(m[name].kinds.values()) for m in (bulkhead, kvm)]
        ticks = [m[name].ticks for m in (bulkhead, kvm)]
        body.append([f"{text} to GRUB", *map(count, exits), f"{share(*exits):.2f}x",
                     *map(mega, ticks), f"{share(*ticks):.2f}x",
                     "met" if share(*exits) <= BUDGET_FIRMWARE else "MISSED"])
    return grid(["from the reset vector", "Bulkhead, exits", "KVM", "", "Bulkhead, instructions", "KVM", "", "half"],
                body, left=(0, 7))
