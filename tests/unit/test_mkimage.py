#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/mkimage: what a person gets for good and bad folders. The image is read back by a small FAT
reader of its own, and checked by fsck.fat and sgdisk where they are installed."""
import contextlib
import importlib.machinery
import importlib.util
import io
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("mkimage", str(ROOT / "tools" / "mkimage"))
mkimage = importlib.util.module_from_spec(importlib.util.spec_from_loader("mkimage", loader))
loader.exec_module(mkimage)


class Fat32:
    """Just enough of a FAT32 reader: {path: bytes}, folders end in '/'."""

    def __init__(self, image):
        self.data = image
        assert image[512:520] == b"EFI PART"
        first, last = struct.unpack_from("<QQ", image, 1024 + 32)
        self.base = first * 512
        b = image[self.base:self.base + 512]
        self.per_cluster, reserved, fats = struct.unpack_from("<BHB", b, 13)
        self.sectors, self.fat_sectors = struct.unpack_from("<LL", b, 32)
        assert self.sectors == last - first + 1
        self.fat = self.base + reserved * 512
        self.start = self.fat + fats * self.fat_sectors * 512
        self.clusters = (self.sectors - reserved - fats * self.fat_sectors) // self.per_cluster

    def chain(self, cluster):
        out = b""
        size = self.per_cluster * 512
        while cluster < 0x0FFFFFF8:
            at = self.start + (cluster - 2) * size
            out += self.data[at:at + size]
            cluster = struct.unpack_from("<L", self.data, self.fat + cluster * 4)[0]
        return out

    def tree(self, cluster=2, path=""):
        found, long_name = {}, b""
        folder = self.chain(cluster)
        for at in range(0, len(folder), 32):
            e = folder[at:at + 32]
            if e[0] == 0:
                break
            if e[11] == 0x0F:
                long_name = e[1:11] + e[14:26] + e[28:32] + long_name
                continue
            if e[11] & 8 or e[0:1] == b".":
                continue
            name = (long_name.decode("utf-16-le").split("\0")[0] if long_name else
                    (e[:8].decode().rstrip() + "." + e[8:11].decode().rstrip()).rstrip("."))
            long_name = b""
            first = struct.unpack_from("<H", e, 20)[0] << 16 | struct.unpack_from("<H", e, 26)[0]
            size = struct.unpack_from("<L", e, 28)[0]
            if e[11] & 0x10:
                found[path + name + "/"] = None
                found.update(self.tree(first, path + name + "/"))
            else:
                found[path + name] = self.chain(first)[:size] if size else b""
        return found


class MkImage(unittest.TestCase):
    def setUp(self):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="test-mkimage-"))
        self.addCleanup(shutil.rmtree, self.top)
        self.dir = self.top / "in"
        self.out = self.top / "out.img"
        self.efi = self.top / "boot.efi"
        self.efi.write_bytes(b"MZ efi")
        self.write("in/web/vmlinuz", b"kernel")

    def write(self, path, data):
        path = self.top / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def make(self, *options):
        self.printed = io.StringIO()
        with contextlib.redirect_stderr(self.printed), contextlib.redirect_stdout(io.StringIO()):
            return mkimage.main([*options, "--efi", str(self.efi), str(self.dir), str(self.out)])

    def image(self, *options):
        self.assertEqual(self.make(*options), 0, getattr(self, "printed", None))
        return Fat32(self.out.read_bytes()).tree()

    def refused(self, *texts):
        self.assertEqual(self.make(), 1)
        for text in texts:
            self.assertIn(text, self.printed.getvalue())
        self.assertEqual(sorted(p.name for p in self.top.iterdir()
                                if p.name.startswith(("out", ".out"))), [])

    def test_layout(self):
        self.write("in/bulkhead.conf", "console = all\n")
        (self.dir / "empty").mkdir()
        self.write("in/.hidden", "x")
        self.write("in/web/.swp", "x")
        self.assertEqual(self.image(), {
            "EFI/": None, "EFI/BOOT/": None, "EFI/BOOT/BOOTX64.EFI": b"MZ efi",
            "bulkhead/": None, "bulkhead/bulkhead.conf": b"console = all\n",
            "bulkhead/empty/": None, "bulkhead/web/": None, "bulkhead/web/vmlinuz": b"kernel"})

    def test_long_and_foreign_names(self):
        names = ["a-long-name-beyond-8.3.image", "Ünïcode näme", "UPPER.TXT", "lower.txt",
                 "exactly13char", "a" * 200, ".".join("abc"), "with space", "😀"]
        for name in names:
            self.write(f"in/g/{name}", name)
        tree = self.image()
        for name in names:
            self.assertEqual(tree[f"bulkhead/g/{name}"], name.encode())

    def test_many_entries_in_a_folder(self):
        for i in range(300):
            self.write(f"in/g/file-number-{i}.dat", str(i))
        tree = self.image()
        for i in range(300):
            self.assertEqual(tree[f"bulkhead/g/file-number-{i}.dat"], str(i).encode())

    def test_host_files_are_copied_and_named(self):
        self.write("host/linux-6.1.bin", b"K" * 1000)
        self.write("in/shared.cpio", b"I" * 513)
        disk = self.write("elsewhere/root.img", b"D" * 512)
        self.write("in/web/guest.conf", "# a comment = kept\nkernel = ../../host/linux-6.1.bin\r\n"
                   f"initrd=shared.cpio\n  disk = {disk}  \ncmdline = kernel=/x a=b # c\n")
        tree = self.image()
        self.assertEqual(tree["bulkhead/web/guest.conf"].decode(),
                         "# a comment = kept\nkernel = linux-6.1.bin\r\ninitrd = shared.cpio\n"
                         "disk = root.img\ncmdline = kernel=/x a=b # c\n")
        self.assertEqual(tree["bulkhead/web/linux-6.1.bin"], b"K" * 1000)
        self.assertEqual(tree["bulkhead/web/shared.cpio"], b"I" * 513)
        self.assertEqual(tree["bulkhead/web/root.img"], b"D" * 512)

    def test_modules_keep_their_words(self):
        self.write("host/one.bin", b"1")
        self.write("in/two", b"2")
        self.write("in/web/guest.conf", "module = ../../host/one.bin  a b=c \nmodule = two\n")
        tree = self.image()
        self.assertEqual(tree["bulkhead/web/guest.conf"], b"module = one.bin  a b=c\nmodule = two\n")
        self.assertEqual(tree["bulkhead/web/one.bin"], b"1")
        self.assertEqual(tree["bulkhead/web/two"], b"2")

    def test_floppies_are_files_too(self):
        self.write("host/boot.flp", b"F" * 512)
        self.write("in/web/guest.conf", "floppy = ../../host/boot.flp, readonly\n")
        tree = self.image()
        self.assertEqual(tree["bulkhead/web/guest.conf"], b"floppy = boot.flp, readonly\n")
        self.assertEqual(tree["bulkhead/web/boot.flp"], b"F" * 512)

    def test_disks_keep_their_options(self):
        self.write("host/root.img", b"D" * 512)
        self.write("in/web/guest.conf", "disk = ../../host/root.img , overlay=1M,iops=5\n"
                   "disk = partition:root, readonly\ndisk=disk:S1\n")
        tree = self.image()
        self.assertEqual(tree["bulkhead/web/guest.conf"],
                         b"disk = root.img , overlay=1M,iops=5\n"
                         b"disk = partition:root, readonly\ndisk=disk:S1\n")
        self.assertEqual(tree["bulkhead/web/root.img"], b"D" * 512)

    def test_roms_of_cards_are_copied(self):
        rom = self.write("host/card.rom", b"R" * 512)
        self.write("in/web/guest.conf", f"net = lan, model=e1000, rom = {rom} , isolated\nnet=lan\nnet = rom, mac=x\n")
        tree = self.image()
        self.assertEqual(tree["bulkhead/web/guest.conf"],
                         b"net = lan, model=e1000, rom = card.rom , isolated\nnet=lan\nnet = rom, mac=x\n")
        self.assertEqual(tree["bulkhead/web/card.rom"], b"R" * 512)

    def test_shared_files_are_there_once(self):
        self.write("in/images/debian.img", b"D" * 512)
        text = b"disk = /images/debian.img, overlay\nkernel =/images/debian.img\n"
        self.write("in/web/guest.conf", text)
        self.write("in/db/guest.conf", text)
        tree = self.image()
        self.assertEqual(tree["bulkhead/web/guest.conf"], text)
        self.assertEqual(tree["bulkhead/images/debian.img"], b"D" * 512)
        self.assertNotIn("bulkhead/db/debian.img", tree)

    def firmware_with(self, conf, *files):
        """What \\bulkhead\\firmware\\ has with a guest of that configuration and these files."""
        self.write("host/stock.bin", b"F")
        self.write("in/disk/guest.conf", conf)
        for name in files:
            self.write(f"in/disk/{name}", b"D" * 512)
        with unittest.mock.patch.object(mkimage, "FIRMWARE", (str(self.top / "host/stock.bin"), "/nowhere/x.fd")):
            tree = self.image()
        return [name for name in tree if name.startswith("bulkhead/firmware/") and not name.endswith("/")]

    def test_firmware_goes_with_who_needs_it(self):
        stock = ["bulkhead/firmware/stock.bin"]
        self.assertEqual(self.firmware_with("firmware = bios\nkernel = vmlinuz\n", "vmlinuz"), stock)
        self.assertEqual(self.firmware_with("memory = 1G\n", "vmlinuz", "root.img"), [])
        self.assertEqual(self.firmware_with("firmware = none\n", "root.img"), [])

    def test_a_disk_alone_needs_firmware(self):
        self.assertEqual(self.firmware_with("# firmware = none\n", "root.img"), ["bulkhead/firmware/stock.bin"])

    def test_a_rom_alone_needs_firmware(self):
        self.write("in/disk/my.rom", b"R" * 512)
        self.assertEqual(self.firmware_with("net = lan, rom=my.rom\nnet = lan\n"), ["bulkhead/firmware/stock.bin"])
        self.assertEqual(self.firmware_with("net = lan\n"), [])

    def test_firmware_of_ones_own_stays(self):
        self.write("in/firmware/mine.fd", b"M")
        self.assertEqual(self.firmware_with("", "root.img"), ["bulkhead/firmware/mine.fd"])

    def test_file_in_the_folder_is_there_once(self):
        self.write("in/web/guest.conf", "kernel = vmlinuz\ninitrd = vmlinuz")
        tree = self.image()
        self.assertEqual(tree["bulkhead/web/guest.conf"], b"kernel = vmlinuz\ninitrd = vmlinuz")
        self.assertEqual(tree["bulkhead/web/vmlinuz"], b"kernel")

    def test_links_are_followed(self):
        target = self.write("host/k", b"linked")
        (self.dir / "web" / "kernel").symlink_to(target)
        self.assertEqual(self.image()["bulkhead/web/kernel"], b"linked")

    def test_rubbish_config_is_copied_as_it_is(self):
        rubbish = bytes(range(256)) * 3
        self.write("in/web/guest.conf", rubbish)
        self.assertEqual(self.image()["bulkhead/web/guest.conf"], rubbish)

    def test_missing_file_is_named(self):
        self.write("in/web/guest.conf", "memory = 1G\nkernel = no-such-kernel\n")
        self.refused("web/guest.conf:2: kernel: no such file: no-such-kernel")

    def test_missing_absolute_file_and_folder(self):
        self.write("in/web/guest.conf", "disk = /no/such/disk\n")
        self.refused("guest.conf:1: disk: no such file: /no/such/disk")
        self.write("in/web/guest.conf", "initrd = .\n")
        self.refused("guest.conf:1: initrd:")
        self.write("in/web/guest.conf", "kernel =\n")
        self.refused("guest.conf:1: kernel: names no file")

    def test_dangling_link(self):
        (self.dir / "web" / "initrd").symlink_to("/no/such")
        self.refused("web/initrd")

    def test_missing_input(self):
        self.efi.unlink()
        self.refused("boot.efi", "--efi")
        self.efi.write_bytes(b"x")
        shutil.rmtree(self.dir)
        self.refused("no such folder")

    def test_two_files_of_one_name(self):
        self.write("a/same", b"1")
        self.write("b/same", b"2")
        self.write("in/web/guest.conf", "kernel = ../../a/same\ninitrd = ../../b/same\n")
        self.refused("guest.conf:2: initrd: two different files named same")

    def test_names_that_fat_cannot_hold(self):
        for name in ("a:b", "dot.", "x" * 256, "A"):
            shutil.rmtree(self.dir)
            self.write("in/web/a", "x")
            try:
                self.write(f"in/web/{name}", "x")
            except OSError:
                continue  # not a name for this file system either
            self.refused(name)

    def test_allow_missing(self):
        self.write("in/web/guest.conf", "kernel = gone/linux\ninitrd =\n")
        tree = self.image("--allow-missing")
        self.assertEqual(tree["bulkhead/web/guest.conf"], b"kernel = linux\ninitrd = \n")
        self.assertNotIn("bulkhead/web/linux", tree)

    def test_failure_keeps_the_old_image(self):
        self.out.write_bytes(b"old")
        self.write("in/web/guest.conf", "kernel = gone\n")
        self.assertEqual(self.make(), 1)
        self.assertEqual(self.out.read_bytes(), b"old")

    def test_same_input_same_image(self):
        self.write("in/web/zz", os.urandom(5000))
        self.image()
        first = self.out.read_bytes()
        for path in self.dir.rglob("*"):
            os.utime(path, (1, 1))
        self.image()
        self.assertEqual(first, self.out.read_bytes())

    def test_gpt_checksums_and_size(self):
        self.image()
        data = self.out.read_bytes()
        self.assertEqual(len(data) % (512 * 16 * 63), 0)
        for at in (512, len(data) - 512):
            header = bytearray(data[at:at + 92])
            crc = struct.unpack_from("<L", header, 16)[0]
            header[16:20] = bytes(4)
            self.assertEqual(zlib.crc32(header), crc)
            own, other = struct.unpack_from("<QQ", header, 24)
            self.assertEqual((own * 512, other * 512), (at, 512 + len(data) - 512 - at))
            entries_at = struct.unpack_from("<Q", header, 72)[0] * 512
            self.assertEqual(zlib.crc32(data[entries_at:entries_at + 16384]),
                             struct.unpack_from("<L", header, 88)[0])

    def test_volume_is_fat32_and_small(self):
        self.image()
        fat = Fat32(self.out.read_bytes())
        self.assertGreaterEqual(fat.clusters, 65525)
        self.assertLess(self.out.stat().st_size, 36 << 20)
        self.assertLess(self.out.stat().st_blocks * 512, 2 << 20)

    def test_large_sparse_file(self):
        disk = self.write("in/web/disk.img", b"")
        with open(disk, "r+b") as f:
            f.truncate(300 << 20)
            f.seek(299 << 20)
            f.write(b"end")
        self.assertEqual(self.make(), 0)
        self.assertLess(self.out.stat().st_blocks * 512, 8 << 20)
        with open(self.out, "rb") as f:
            f.seek(2048 * 512 + 13)
            self.assertGreater(f.read(1)[0], 1)

    def test_other_programs_agree(self):
        self.write("in/web/ä long name", b"x" * 70000)
        self.image()
        volume = self.top / "volume"
        volume.write_bytes(self.out.read_bytes()[2048 * 512:])
        path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
        for tool, command in (("fsck.fat", ["-n", str(volume)]), ("sgdisk", ["-v", str(self.out)])):
            program = shutil.which(tool, path=path)
            if program:
                done = subprocess.run([program, *command], capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done.stdout)
                if tool == "sgdisk":
                    self.assertIn("No problems found", done.stdout)


if __name__ == "__main__":
    unittest.main()
