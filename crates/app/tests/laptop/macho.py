"""macho.py ARCH FILE: whether the loader and the kernel of a Mac would take this program, as far as it can be read in the file:
processor, oldest system, entry, every library one that each Mac has, every symbol in one library, and a signature whose hashes
are those of the file. Says nothing, or one sentence, with exit code 65."""

import hashlib
import struct
import sys

ARCHES = {"aarch64": 0x0100000C, "x86_64": 0x01000007}
OLDEST = 11 << 16
SYMTAB, LOAD_DYLIB, DYLINKER, SIGNATURE = 0x2, 0xC, 0xE, 0x1D
BUILD_VERSION, MAIN, WEAK_DYLIB, REEXPORT, RPATH = 0x32, 0x80000028, 0x80000018, 0x8000001F, 0x8000001C
TWO_LEVELS, PIE, EXECUTE, MACOS = 0x80, 0x200000, 2, 1
OURS = ("/usr/lib/libSystem.B.dylib", "/usr/lib/libiconv.2.dylib", "/usr/lib/libobjc.A.dylib")
FRAMEWORKS = "/System/Library/Frameworks/"


class Refused(Exception):
    pass


def must(held, why):
    if not held:
        raise Refused(why)


def text(b, at):
    return b[at : b.index(b"\0", at)].decode()


def commands(b):
    """Pairs of a load command and where it begins."""
    count, at, found = struct.unpack_from("<I", b, 16)[0], 32, []
    for _ in range(min(count, 1000)):
        kind, size = struct.unpack_from("<2I", b, at)
        must(size >= 8, "a load command is empty")
        found.append((kind, at))
        at += size
    return found


def word(b, at, nth):
    return struct.unpack_from("<I", b, at + 4 * nth)[0]


def libraries(b, found):
    names = [text(b, at + word(b, at, 2)) for kind, at in found if kind in (LOAD_DYLIB, WEAK_DYLIB, REEXPORT)]
    for name in names:
        must(name in OURS or name.startswith(FRAMEWORKS), f"it wants {name}, which not every Mac has")
    must(OURS[0] in names, f"it does not load {OURS[0]}")
    must(RPATH not in dict(found), "it looks for libraries in a folder of its own")
    return names


def symbols(b, at, names):
    """Every symbol from elsewhere names one of the libraries: neither any of them nor whichever has it."""
    first, count, strings = struct.unpack_from("<3I", b, at + 8)
    wanted = 0
    for n in range(count):
        name, kind, _, more, _ = struct.unpack_from("<IBBHQ", b, first + 16 * n)
        if kind & 0xE0 or kind & 0x0E or not kind & 1:
            continue
        wanted += 1
        must(1 <= more >> 8 <= len(names), f"the symbol {text(b, strings + name)} is of no library")
    must(wanted, "it takes no symbol from any library")


def signature(b, at):
    """Every page's hash in the code directory: the kernel ends a program for arm64 where one differs."""
    start = word(b, at, 2)
    kind, _, count = struct.unpack_from(">3I", b, start)
    must(kind == 0xFADE0CC0, "its signature is none")
    places = dict(struct.unpack_from(">2I", b, start + 12 + 8 * n) for n in range(min(count, 100)))
    must(0 in places, "its signature has no hashes")
    d = start + places[0]
    kind, _, _, _, hashes, _, _, slots, limit = struct.unpack_from(">9I", b, d)
    size, how, _, page = struct.unpack_from(">4B", b, d + 36)
    must(kind == 0xFADE0C02 and (size, how) == (32, 2), "its signature is not by SHA-256")
    must(limit == start, "its signature does not cover the file")
    for n in range(slots):
        page_of = b[n << page : min((n + 1) << page, limit)]
        held = b[d + hashes + 32 * n : d + hashes + 32 * (n + 1)]
        must(hashlib.sha256(page_of).digest() == held, f"page {n} is not the one that was signed")
    must(slots == (limit + (1 << page) - 1) >> page, "its signature leaves pages out")


def look(arch, b):
    must(b[:4] == b"\xcf\xfa\xed\xfe", "it is no program for macOS of 64 bits")
    _, processor, _, kind, _, _, flags = struct.unpack_from("<7I", b, 0)
    must(processor == ARCHES[arch], f"it is not for {arch}")
    must(kind == EXECUTE, "it is no program")
    must(flags & TWO_LEVELS and flags & PIE, "its symbols are not bound to libraries, or its place is fixed")
    found = commands(b)
    one = dict(found)
    for kind, what in ((MAIN, "entry"), (SYMTAB, "symbols"), (BUILD_VERSION, "system"), (DYLINKER, "loader")):
        must(kind in one, f"it names no {what}")
    platform, oldest = struct.unpack_from("<2I", b, one[BUILD_VERSION] + 8)
    must((platform, oldest) == (MACOS, OLDEST), f"it is not for macOS 11.0, but for {platform}: {oldest >> 16}.{oldest >> 8 & 255}")
    must(text(b, one[DYLINKER] + word(b, one[DYLINKER], 2)) == "/usr/lib/dyld", "its loader is another")
    symbols(b, one[SYMTAB], libraries(b, found))
    # Intel's Macs run what is not signed, and Apple's own linker leaves it so.
    must(SIGNATURE in one or arch == "x86_64", "it is not signed")
    if SIGNATURE in one:
        signature(b, one[SIGNATURE])


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ARCHES:
        sys.exit(f"macho.py takes {' or '.join(ARCHES)} and a file")
    try:
        with open(sys.argv[2], "rb") as f:
            look(sys.argv[1], f.read())
    except (Refused, OSError, struct.error, ValueError) as why:
        print(f"laptop: no Mac would run {sys.argv[2]}: {why}", file=sys.stderr)
        sys.exit(65)


main()
