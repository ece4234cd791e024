# SPDX-License-Identifier: Apache-2.0
"""Writes a GPT disk image with one FAT32 EFI system partition, from a tree of names and contents.

Every file is laid out in one piece and nothing depends on the clock, the user or the machine, so
the same input gives the same image, byte for byte. Unwritten parts stay holes in the file.
Sources: UEFI specification, "GUID Partition Table (GPT) Disk Layout"; Microsoft's FAT32 File
System Specification.
"""
import os
import struct
import time
import uuid
import zlib

SECTOR = 512
PARTITION_START = 2048
# Old emulated disks count in cylinders of 16 heads and 63 sectors: leave no partial one.
CYLINDER = 16 * 63
GPT_ENTRIES = 128
GPT_ENTRY_SECTORS = GPT_ENTRIES * 128 // SECTOR

ESP_TYPE = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
DISK_GUID = uuid.UUID("b01c4ead-0000-4000-8000-000000000001")
PARTITION_GUID = uuid.UUID("b01c4ead-0000-4000-8000-000000000002")
VOLUME_ID = 0xB01C4EAD
VOLUME_LABEL = b"BULKHEAD   "

RESERVED_SECTORS = 32
FSINFO_SECTOR = 1
BACKUP_BOOT_SECTOR = 6
# Fewer than 65,525 clusters would be FAT16; a little more keeps clear of sloppy drivers.
CLUSTERS_MIN = 65600
# Up to here a cluster is one sector; larger volumes get larger clusters instead of longer tables.
CLUSTERS_COMFORTABLE = 1 << 18
SPARE_BYTES = 1 << 20
FILE_MAX = (1 << 32) - 1
END_OF_CHAIN = 0x0FFFFFFF
# 2026-01-01 00:00.
DATE = (2026 - 1980) << 9 | 1 << 5 | 1

ATTR_VOLUME = 0x08
ATTR_DIRECTORY = 0x10
ATTR_ARCHIVE = 0x20
ATTR_LONG_NAME = 0x0F

FORBIDDEN = set('"*/:<>?\\|') | {chr(c) for c in range(32)} | {chr(127)}
SHORT_ALLOWED = set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'()-@^_`{}~")


class ImageError(Exception):
    """Input that has no place in an image; the text is for the person."""


class File:
    """Content from the host file `source`, or the bytes `data`."""

    def __init__(self, source=None, data=b""):
        self.source = source
        self.data = data
        self.size = len(data) if source is None else os.stat(source).st_size
        self.cluster = 0


class Folder:
    """Names to Files and Folders; name order is the order on the volume."""

    def __init__(self):
        self.entries = {}
        self.cluster = 0
        self.parent = None

    def add(self, name, item):
        check_name(name)
        if name.casefold() in (n.casefold() for n in self.entries):
            raise ImageError(f"two entries named {name!r} (FAT does not tell upper from lower case)")
        self.entries[name] = item
        if isinstance(item, Folder):
            item.parent = self
        return item


def check_name(name):
    if not name or set(name) & FORBIDDEN or name[-1] in " ." or len(name.encode("utf-16-le")) > 510:
        raise ImageError(f"{name!r} is not a name that FAT can hold")


# ---------------------------------------------------------------- directories

def short_name(name, taken):
    """The 11-byte alias of `name`, and whether a long name must stand beside it."""
    base, dot, ext = name.rpartition(".")
    if not dot or not base:
        base, ext = name, ""
    if (set(base) | set(ext)) <= SHORT_ALLOWED and len(base) <= 8 and len(ext) <= 3:
        plain = (base.ljust(8) + ext.ljust(3)).encode()
        if plain not in taken:
            return plain, False

    def squeeze(text):
        return "".join(c if c in SHORT_ALLOWED else "_" for c in text.upper() if c not in " .")

    for number in range(1, 1000000):
        tail = f"~{number}"
        alias = (squeeze(base)[:8 - len(tail)] + tail).ljust(8) + squeeze(ext)[:3].ljust(3)
        if alias.encode() not in taken:
            return alias.encode(), True
    raise ImageError(f"no alias left for {name!r}")


def long_name_entries(name, alias):
    checksum = 0
    for byte in alias:
        checksum = ((checksum >> 1) | (checksum << 7) & 0xFF) + byte & 0xFF
    units = name.encode("utf-16-le")
    if len(units) % 26:
        units = (units + b"\0\0").ljust(-(-(len(units) + 2) // 26) * 26, b"\xff")
    pieces = [units[i:i + 26] for i in range(0, len(units), 26)]
    out = b""
    for number in range(len(pieces), 0, -1):
        piece = pieces[number - 1]
        order = number | (0x40 if number == len(pieces) else 0)
        out += (struct.pack("<B10sBBB", order, piece[:10], ATTR_LONG_NAME, 0, checksum) +
                piece[10:22] + b"\0\0" + piece[22:])
    return out


def short_entry(alias, attributes, cluster, size):
    return struct.pack("<11sBBBHHHHHHHL", alias, attributes, 0, 0, 0, DATE, DATE, cluster >> 16,
                       0, DATE, cluster & 0xFFFF, size)


def folder_bytes(folder):
    """The folder's content; needs the clusters of what is in it, but not for its length."""
    out = b""
    if folder.parent is None:
        out += short_entry(VOLUME_LABEL, ATTR_VOLUME, 0, 0)
    else:
        up = 0 if folder.parent.parent is None else folder.parent.cluster
        out += short_entry(b".          ", ATTR_DIRECTORY, folder.cluster, 0)
        out += short_entry(b"..         ", ATTR_DIRECTORY, up, 0)
    taken = set()
    for name, item in folder.entries.items():
        alias, needs_long = short_name(name, taken)
        taken.add(alias)
        if needs_long:
            out += long_name_entries(name, alias)
        is_folder = isinstance(item, Folder)
        out += short_entry(alias, ATTR_DIRECTORY if is_folder else ATTR_ARCHIVE, item.cluster,
                           0 if is_folder else item.size)
    return out


def walk(folder):
    """The folder and everything in it, each before its content."""
    yield folder
    for item in folder.entries.values():
        if isinstance(item, Folder):
            yield from walk(item)
        else:
            yield item


# ---------------------------------------------------------------- the volume

class Layout:
    """Where everything lies on the volume: assigns a cluster to each item of the tree."""

    def __init__(self, root):
        items = [(item, self.item_size(item)) for item in walk(root)]
        total = sum(size for _, size in items) + SPARE_BYTES
        self.sectors_per_cluster = 1
        while (total // (self.sectors_per_cluster * SECTOR) > CLUSTERS_COMFORTABLE and
               self.sectors_per_cluster < 64):
            self.sectors_per_cluster *= 2
        self.cluster_bytes = self.sectors_per_cluster * SECTOR
        self.next_cluster = 2
        self.chains = []
        for item, size in items:
            self.place(item, size)
        self.clusters = max(self.next_cluster - 2 + SPARE_BYTES // self.cluster_bytes, CLUSTERS_MIN)
        self.fat_sectors = -(-(self.clusters + 2) * 4 // SECTOR)
        self.data_start = RESERVED_SECTORS + 2 * self.fat_sectors
        self.sectors = self.data_start + self.clusters * self.sectors_per_cluster

    @staticmethod
    def item_size(item):
        if isinstance(item, Folder):
            return max(len(folder_bytes(item)), 1)
        if item.size > FILE_MAX:
            raise ImageError(f"{item.source}: larger than the 4 GiB that FAT32 allows")
        return item.size

    def place(self, item, size):
        count = -(-size // self.cluster_bytes)
        if count:
            item.cluster = self.next_cluster
            self.chains.append((self.next_cluster, count))
            self.next_cluster += count

    def fat(self):
        table = bytearray(struct.pack("<LL", 0x0FFFFFF8, END_OF_CHAIN))
        for first, count in self.chains:
            table += struct.pack(f"<{count}L", *range(first + 1, first + count), END_OF_CHAIN)
        return bytes(table)

    def offset(self, cluster):
        return (self.data_start + (cluster - 2) * self.sectors_per_cluster) * SECTOR


def boot_sector(layout):
    bpb = struct.pack("<3s8sHBHBHHBHHHLL", b"\xeb\x58\x90", b"BULKHEAD", SECTOR,
                      layout.sectors_per_cluster, RESERVED_SECTORS, 2, 0, 0, 0xF8, 0, 63, 16,
                      PARTITION_START, layout.sectors)
    bpb += struct.pack("<LHHLHH12sBBBL11s8s", layout.fat_sectors, 0, 0, 2, FSINFO_SECTOR,
                       BACKUP_BOOT_SECTOR, b"", 0x80, 0, 0x29, VOLUME_ID, VOLUME_LABEL, b"FAT32   ")
    return bpb.ljust(510, b"\0") + b"\x55\xaa"


def fsinfo_sector(layout):
    free = layout.clusters - (layout.next_cluster - 2)
    return (b"RRaA".ljust(484, b"\0") + b"rrAa" + struct.pack("<LL", free, layout.next_cluster) +
            b"\0" * 14 + b"\x55\xaa")


class Progress:
    """A line on standard error every two seconds while a large image is written."""

    def __init__(self, total, say):
        self.total, self.done, self.say = total, 0, say
        self.next_line = time.monotonic() + 1.5

    def add(self, count):
        self.done += count
        if time.monotonic() >= self.next_line:
            self.next_line += 2
            self.say(f"writing: {self.done >> 20} of {self.total >> 20} MiB")


def copy_content(out, base, item, progress):
    if item.source is None:
        out.seek(base)
        out.write(item.data)
        return
    zeros = bytes(1 << 20)
    with open(item.source, "rb") as source:
        done = 0
        while done < item.size:
            piece = source.read(min(len(zeros), item.size - done))
            if not piece:
                raise ImageError(f"{item.source}: became shorter while it was read")
            if piece != zeros[:len(piece)]:
                out.seek(base + done)
                out.write(piece)
            done += len(piece)
            progress.add(len(piece))


def write_volume(out, base, root, layout, say):
    def put(sector, data):
        out.seek(base + sector * SECTOR)
        out.write(data)

    for sector in (0, BACKUP_BOOT_SECTOR):
        put(sector, boot_sector(layout))
        put(sector + FSINFO_SECTOR, fsinfo_sector(layout))
    fat = layout.fat()
    put(RESERVED_SECTORS, fat)
    put(RESERVED_SECTORS + layout.fat_sectors, fat)
    files = [item for item in walk(root) if isinstance(item, File)]
    progress = Progress(sum(item.size for item in files), say)
    for item in walk(root):
        if isinstance(item, Folder):
            out.seek(base + layout.offset(item.cluster))
            out.write(folder_bytes(item))
        elif item.size:
            copy_content(out, base + layout.offset(item.cluster), item, progress)


# ---------------------------------------------------------------- the disk

def gpt_header(own, other, entries_at, last_usable, entries):
    fields = struct.pack("<8sLLLLQQQQ16sQLLL", b"EFI PART", 0x10000, 92, 0, 0, own, other,
                         2 + GPT_ENTRY_SECTORS, last_usable, DISK_GUID.bytes_le, entries_at,
                         GPT_ENTRIES, 128, zlib.crc32(entries))
    return fields[:16] + struct.pack("<L", zlib.crc32(fields)) + fields[20:]


def write_gpt(out, sectors, partition_sectors):
    last = sectors - 1
    last_usable = last - GPT_ENTRY_SECTORS - 1
    name = "EFI system partition".encode("utf-16-le")
    entries = struct.pack("<16s16sQQQ72s", ESP_TYPE.bytes_le, PARTITION_GUID.bytes_le,
                          PARTITION_START, PARTITION_START + partition_sectors - 1, 0, name)
    entries = entries.ljust(GPT_ENTRIES * 128, b"\0")
    protective = struct.pack("<B3sB3sLL", 0, b"\x00\x02\x00", 0xEE, b"\xff\xff\xff", 1,
                             min(last, 0xFFFFFFFF))
    out.seek(0)
    out.write((bytes(446) + protective).ljust(510, b"\0") + b"\x55\xaa")
    out.write(gpt_header(1, last, 2, last_usable, entries).ljust(SECTOR, b"\0"))
    out.write(entries)
    out.seek((last - GPT_ENTRY_SECTORS) * SECTOR)
    out.write(entries)
    out.write(gpt_header(last, 1, last - GPT_ENTRY_SECTORS, last_usable, entries).ljust(SECTOR, b"\0"))


def write_image(out, root, say=lambda text: None):
    """Writes the tree below `root` to the empty, seekable file `out`; returns its size in bytes."""
    layout = Layout(root)
    sectors = PARTITION_START + layout.sectors + GPT_ENTRY_SECTORS + 1
    sectors = -(-sectors // CYLINDER) * CYLINDER
    out.truncate(sectors * SECTOR)
    write_volume(out, PARTITION_START * SECTOR, root, layout, say)
    write_gpt(out, sectors, layout.sectors)
    return sectors * SECTOR
