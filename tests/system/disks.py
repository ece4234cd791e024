# SPDX-License-Identifier: Apache-2.0
"""Disks of the machine for the cases: files with a partition table and what is on the partitions."""
import dataclasses
import os
import pathlib
import subprocess
import sys
import tempfile
import time

SECTOR = 512
MIB = 1 << 20
START = 1  # MiB before the first partition; as much behind the last one, for the second table
PIECE = 1 << 20


@dataclasses.dataclass
class Partition:
    label: str
    mib: int
    content: pathlib.Path | None = None  # what its first bytes are; None: zeros
    uuid: str = "R"  # R: one of sgdisk's making


@dataclasses.dataclass
class Disk:
    """Without partitions `mib` says how large it is, and `content` what its first bytes are."""
    kind: str  # as for tools/run --disk
    serial: str
    partitions: tuple = ()
    mib: int = 0
    content: pathlib.Path | None = None
    forgets: bool = False  # what was written after the last flush is lost with the power

    def make(self, folder):
        """Writes the disk's file; returns its path."""
        file = folder / f"{self.serial}.disk"
        size = self.mib or sum(p.mib for p in self.partitions) + 2 * START
        with open(file, "wb") as disk:
            disk.truncate(size * MIB)
            put(disk, 0, self.content)
            at = START
            for p in self.partitions:
                put(disk, at * MIB, p.content)
                at += p.mib
        if self.partitions:
            subprocess.run(["sgdisk", *self.table(), str(file)], check=True, capture_output=True)
        return file

    def table(self):
        arguments, at = [], START * MIB // SECTOR
        for number, p in enumerate(self.partitions, 1):
            end = at + p.mib * MIB // SECTOR
            arguments += ["-n", f"{number}:{at}:{end - 1}", "-c", f"{number}:{p.label}", "-u", f"{number}:{p.uuid}"]
            at = end
        return arguments


class Forgetful:
    """The program behind a disk that forgets."""
    PROGRAM = pathlib.Path(__file__).with_name("volatile_disk.py")
    START_SECONDS = 10

    def __init__(self, file, log):
        # Not beside the file: a socket's path has to be short.
        self.folder = tempfile.TemporaryDirectory(prefix="bulkhead-disk-")
        path = pathlib.Path(self.folder.name) / "nbd"
        with open(log, "wb") as out:
            self.process = subprocess.Popen([sys.executable, str(self.PROGRAM), str(file), str(path)],
                                            stdin=subprocess.DEVNULL, stdout=out)
        deadline = time.monotonic() + self.START_SECONDS
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.name = f"nbd:unix:{path}"

    def close(self):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def put(disk, offset, content):
    """Copies the file to the offset; holes stay holes."""
    if content is None:
        return
    with open(content, "rb") as source:
        end = os.fstat(source.fileno()).st_size
        at = 0
        while at < end and (at := next_data(source, at)) is not None:
            source.seek(at)
            piece = source.read(PIECE - at % PIECE)
            disk.seek(offset + at)
            disk.write(piece)
            at += len(piece)


def next_data(source, at):
    try:
        return os.lseek(source.fileno(), at, os.SEEK_DATA)
    except OSError:
        return None
