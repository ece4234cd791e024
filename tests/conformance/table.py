# SPDX-License-Identifier: Apache-2.0
"""What is expected of kvm-unit-tests' programs as guests of Bulkhead, and why not all of it passes.

The programs themselves are no part of this project: `make conformance KUT=DIR` takes a folder of
`.flat` files that somebody built. A test here is one run of one program. Where nothing else is said
it must end with status 0 and print no FAIL; `checks` is how many PASS lines it must have at least.
"""
import dataclasses

EVERYWHERE = ("qemu-svm", "bochs-svm", "bochs-vmx")
QEMU = ("qemu-svm",)
VMX = ("bochs-vmx",)
RYZEN = ("bochs-svm",)
BOCHS = (*RYZEN, *VMX)

# How a program ends (lib/report.c and lib/abort.c there): all passed, some failed, all skipped, aborted.
PASSED, FAILED, SKIPPED, ABORTED = 0, 1, 38, 63


@dataclasses.dataclass
class But:
    """A way in which a test may fall short, and why. `fails` are patterns of the FAIL lines that may
    come, `ends` is one of the guest's event line in place of a good end."""
    reason: str
    fails: tuple = ()
    ends: str = ""
    platforms: tuple = EVERYWHERE
    checks: int = -1  # that pass at least, where fewer do than elsewhere


@dataclasses.dataclass
class Test:
    name: str
    file: str = ""      # without .flat; default: the name
    args: str = ""
    cpus: int = 1
    memory: int = 256   # MiB
    seconds: int = 30   # of a machine like QEMU; Bochs gets more
    checks: int = 0
    keys: tuple = ()    # further lines of guest.conf
    alone: bool = False  # in a machine of its own
    but: tuple = ()
    left_out: dict = dataclasses.field(default_factory=dict)  # platform -> why it is not run there

    @property
    def program(self):
        return self.file or self.name


def nowhere(why):
    """For programs whose subject guests do not have."""
    return dict.fromkeys(EVERYWHERE, why)


def skips(reason):
    """It says itself that it has nothing to test."""
    return (But(reason, ends=rf"debug exit, status {SKIPPED}$"),)


# ---- what emulated CPUs themselves get wrong; each was seen without a hypervisor, too

QEMU_NONCANONICAL = "QEMU 7.2's CPU does not check that base addresses are canonical"
QEMU_STI_TRAP = "QEMU 7.2's CPU takes the single-step trap of STI at once"
QEMU_STACK_FAULT = "QEMU 7.2's CPU raises #GP for non-canonical stack addresses"
QEMU_FAULT_CODES = ("QEMU 7.2's CPU gives other page-fault error codes: a quarter of 19 million checks fails, "
                    "and printing that takes hours (tests/README.md has what was compared)")

BOCHS_MOV_SS = ("Bochs 2.7's CPUs lose breakpoints behind MOV SS, also where AMD's do not, and general detect "
                "sets BS there")
RYZEN_SPINS = {"bochs-svm": "more CPUs than the machine has wait for each other with interrupts off: Bochs' Ryzen "
                            "cannot take the CPU from them (docs/platforms.md)"}
MOVED_APIC = "a guest that moves its local APIC is stopped"


def apic(name, checks, keys=()):
    return Test(name, "apic", cpus=2, seconds=900, checks=checks, keys=keys,
                but=(But(MOVED_APIC, ends="moved the local APIC's registers"),))


def vmexit(name, args="", cpus=1):
    slow = "counts cycles for minutes there, and checks nothing"
    return Test(f"vmexit_{name}", "vmexit", args or name, cpus, seconds=60,
                left_out={"bochs-svm": slow, "bochs-vmx": slow})


def hyperv(name, program="", args="", checks=0):
    return Test(f"hyperv_{name}", f"hyperv_{program or name}", args, cpus=2, seconds=240, checks=checks,
                keys=("hyperv = on",))


TESTS = (
    # ---- interrupt controllers and timers
    apic("x2apic", checks=44),
    apic("xapic", checks=37, keys=("x2apic = off",)),
    Test("ioapic", cpus=4, checks=30, left_out=RYZEN_SPINS),
    Test("eventinj", checks=13),
    Test("tscdeadline_latency", left_out=nowhere("measures for ever; nothing to pass")),
    Test("tsc", checks=3),
    Test("tsc_adjust", checks=6),
    Test("hpet_read_test", cpus=4, seconds=600, checks=2, keys=("hpet = on",), left_out=RYZEN_SPINS),
    # ---- several CPUs
    Test("smptest", cpus=2, checks=1),
    Test("smptest3", "smptest", cpus=3, checks=1, left_out=RYZEN_SPINS),
    # ---- what exits cost; no checks, but each must end
    vmexit("cpuid"),
    vmexit("vmcall"),
    vmexit("mov_from_cr8"),
    vmexit("mov_to_cr8"),
    vmexit("inl_pmtimer", "inl_from_pmtimer"),
    vmexit("ipi", cpus=2),
    vmexit("ipi_halt", cpus=2),
    vmexit("ple_round_robin"),
    vmexit("tscdeadline"),
    vmexit("tscdeadline_immed"),
    vmexit("cr0_wp", "toggle_cr0_wp", cpus=2),
    vmexit("cr4_pge", "toggle_cr4_pge", cpus=2),
    # ---- CPU
    Test("access", "access_test", seconds=600, left_out={"qemu-svm": QEMU_FAULT_CODES}),
    # QEMU 7.2 forgets breakpoints at a VM exit without taking them out of its own list: those that a guest
    # left armed stop whichever guest comes to the same address.
    Test("debug", checks=13, seconds=10, alone=True,
         left_out={"bochs-svm": "an exit of a single-stepped instruction ends Bochs' Ryzen "
                                "(docs/platforms.md)"},
         but=(But(QEMU_STI_TRAP, (r"STI blocking$",), "no end in time", QEMU),
              But(BOCHS_MOV_SS, (r"MOVSS blocking and DR7\.GD=1$",
                                 r"^MOV SS \+ watchpoint \+ (int \$1|INT3)$"), platforms=VMX))),
    Test("emulator", checks=148,
         but=(But(QEMU_STACK_FAULT, (r"non-canonical r[sb]p-based access",), platforms=QEMU),
              But(BOCHS_MOV_SS, (r"#DB occurred after MOV SS$",), platforms=RYZEN))),
    Test("idt_test", checks=4),
    Test("la57", checks=11,
         but=(But(QEMU_NONCANONICAL, (r"value (ff)?aa.* did NOT fail as expected$",),
                  "triple fault", QEMU),)),
    Test("lam", checks=15),
    Test("memory", checks=6,
         but=(But("Bochs' Ryzen has no CLWB", platforms=RYZEN, checks=5),)),
    Test("msr", checks=7,
         but=(But(QEMU_NONCANONICAL, (r"WRMSR\(MSR_FS_BASE, 0xaa",), "triple fault", QEMU),)),
    Test("pcid", checks=2),
    Test("pks", but=skips("protection keys for supervisor pages are not offered")),
    Test("pku", checks=7,
         but=(But("Bochs' CPUs of that age have no protection keys", ends=rf"status {SKIPPED}$",
                  platforms=BOCHS),)),
    Test("rdpru", checks=1),
    Test("realmode", checks=127),
    Test("rmap_chain", checks=1),
    Test("s3"),
    Test("setjmp", checks=10),
    Test("sieve", seconds=300),
    Test("smap", checks=18),
    Test("syscall", checks=2,
         but=(But("Intel's CPUs have no SYSCALL in compatibility mode", ends=rf"status {ABORTED}$",
                  platforms=VMX),
              But("Bochs 2.7's CPU single-steps SYSCALL otherwise", (r"^syscall TF handling$",),
                  platforms=RYZEN, checks=1))),
    Test("umip", checks=21,
         but=(But("Bochs' CPUs of that age have no UMIP", platforms=BOCHS, checks=11),)),
    Test("xsave", checks=386),
    # ---- paravirtual
    Test("hypercall", checks=2),
    Test("kvmclock_test", args="1000000", cpus=2, seconds=120),
    hyperv("synic", checks=1),
    hyperv("connections", checks=7),
    hyperv("stimer", checks=12),
    hyperv("stimer_direct", "stimer", "direct", checks=8),
    hyperv("clock", checks=3),
    # ---- what guests do not have
    Test("asyncpf", memory=1024, but=skips("asynchronous page faults are not offered")),
    Test("cet", but=skips("control-flow enforcement is not offered")),
    Test("pmu", but=(But("guests have no performance counters, and AMD's are not announced",
                         (r".",), rf"status ({SKIPPED}|{ABORTED})$"),)),
    Test("pmu_lbr", but=skips("guests have no performance counters")),
    Test("pmu_pebs", but=skips("guests have no performance counters")),
    Test("tsx-ctrl", but=skips("TSX is hidden")),
    Test("vmx", but=skips("no virtualization within guests")),
    Test("svm", but=skips("no virtualization within guests")),
    Test("svm_npt", but=skips("no virtualization within guests")),
    Test("intel-iommu", left_out=nowhere("guests have no IOMMU")),
    Test("vmware_backdoors", left_out=nowhere("the VMware interface is not offered")),
    Test("init", left_out=nowhere("resets until somebody ends it; not run by its own project either")),
    Test("dummy"),
)
