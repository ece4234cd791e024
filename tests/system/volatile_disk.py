#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A disk with a write cache that forgets: serves a file to QEMU by NBD. What was written after the last flush
is lost when the client goes without saying so, as it does when it is killed; the file then has what it had.

usage: volatile_disk.py FILE SOCKET

Prints a line for each client that is gone: how many writes were lost. The protocol is NBD's fixed newstyle
negotiation with the default export, simple replies (the NBD project's doc/proto.md)."""
import os
import socket
import struct
import sys

INIT_MAGIC, OPTION_MAGIC, REPLY_MAGIC = b"NBDMAGIC", b"IHAVEOPT", 0x3E889045565A9
REQUEST_MAGIC, SIMPLE_REPLY_MAGIC = 0x25609513, 0x67446698
FIXED_NEWSTYLE, NO_ZEROES = 1, 2
OPTION_EXPORT_NAME, OPTION_ABORT, OPTION_GO = 1, 2, 7
REPLY_ACK, REPLY_INFO, REPLY_UNSUPPORTED = 1, 3, 0x80000001
HAS_FLAGS, SEND_FLUSH, SEND_FUA = 1, 4, 8
FLAGS = HAS_FLAGS | SEND_FLUSH | SEND_FUA
READ, WRITE, DISCONNECT, FLUSH = range(4)
COMMAND_FUA = 1
EINVAL = 22


class Gone(Exception):
    """The client closed the connection."""


class Cache:
    """The file, and what stood where something was written since the last flush."""

    def __init__(self, file):
        self.file = file
        self.size = os.fstat(file.fileno()).st_size
        self.before = []

    def read(self, offset, count):
        return os.pread(self.file.fileno(), count, offset)

    def write(self, offset, data):
        self.before.append((offset, self.read(offset, len(data))))
        os.pwrite(self.file.fileno(), data, offset)

    def flush(self):
        self.before.clear()

    def lose(self):
        """The power is gone. How many writes went with it."""
        lost = len(self.before)
        for offset, data in reversed(self.before):
            os.pwrite(self.file.fileno(), data, offset)
        self.before.clear()
        return lost


def receive(client, count):
    data = b""
    while len(data) < count:
        piece = client.recv(count - len(data))
        if not piece:
            raise Gone
        data += piece
    return data


def reply_option(client, option, kind, data=b""):
    client.sendall(struct.pack(">QLLL", REPLY_MAGIC, option, kind, len(data)) + data)


def negotiate(client, size):
    """Until the client may send requests; False: it wants nothing."""
    client.sendall(INIT_MAGIC + OPTION_MAGIC + struct.pack(">H", FIXED_NEWSTYLE | NO_ZEROES))
    zeroes = b"" if struct.unpack(">L", receive(client, 4))[0] & NO_ZEROES else bytes(124)
    while True:
        magic, option, length = struct.unpack(">8sLL", receive(client, 16))
        receive(client, length)
        if magic != OPTION_MAGIC:
            return False
        if option == OPTION_EXPORT_NAME:
            client.sendall(struct.pack(">QH", size, FLAGS) + zeroes)
            return True
        if option == OPTION_GO:
            reply_option(client, option, REPLY_INFO, struct.pack(">HQH", 0, size, FLAGS))
            reply_option(client, option, REPLY_ACK)
            return True
        reply_option(client, option, REPLY_ACK if option == OPTION_ABORT else REPLY_UNSUPPORTED)
        if option == OPTION_ABORT:
            return False


def perform(cache, command, flags, offset, data, length):
    """(error, data to send)"""
    if offset + length > cache.size:
        return EINVAL, b""
    if command == READ:
        return 0, cache.read(offset, length)
    if command == WRITE:
        cache.write(offset, data)
        if flags & COMMAND_FUA:
            cache.flush()
        return 0, b""
    if command == FLUSH:
        cache.flush()
        return 0, b""
    return EINVAL, b""


def serve(client, cache):
    """Returns once the client has said that it goes."""
    while True:
        magic, flags, command, handle, offset, length = struct.unpack(">LHHQQL", receive(client, 28))
        if magic != REQUEST_MAGIC or command == DISCONNECT:
            return
        data = receive(client, length) if command == WRITE else b""
        error, answer = perform(cache, command, flags, offset, data, length)
        client.sendall(struct.pack(">LLQ", SIMPLE_REPLY_MAGIC, error, handle) + answer)


def main():
    file, path = sys.argv[1:]
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(1)
    with open(file, "r+b") as disk:
        cache = Cache(disk)
        while True:
            client, _ = server.accept()
            try:
                with client:
                    if negotiate(client, cache.size):
                        serve(client, cache)
                cache.flush()
            except (Gone, ConnectionError):
                print(f"lost {cache.lose()} writes", flush=True)


if __name__ == "__main__":
    main()
