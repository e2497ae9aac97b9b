# SPDX-License-Identifier: MIT
"""The original FuseDB package and this library, each reading the other's files.

One list of calls is played to both writers. Every file is then read by both
readers in every way that both have, and all answers must be equal. The library
is called through its public interface, by ctypes, as any program would. Run by
`make interop`, which installs the package; prints TAP.
"""

import ctypes
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

import fusedb
import msgpack

OK = 0
PLAIN = 1

sys.setrecursionlimit(10000)  # for documents 512 deep

# ---------------------------------------------------------------- our library


class Slice(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("len", ctypes.c_size_t)]

    def bytes(self):
        return ctypes.string_at(self.data, self.len) if self.len else b""


class Cursor(ctypes.Structure):  # its first two members, and room for the rest
    _fields_ = [("key", Slice), ("object", Slice), ("rest", ctypes.c_uint8 * 4096)]


class WriterOptions(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("flags", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("allocator", ctypes.c_void_p),
        ("env", ctypes.c_void_p),
        ("buffer", ctypes.c_uint64),
        ("temp_dir", ctypes.c_char_p),
    ]


Each = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, Slice, ctypes.c_uint64)
lib = ctypes.CDLL(os.path.join(os.environ["ANYKV_BUILD"], "libanykv.so"))
lib.akv_fused_close.argtypes = [ctypes.c_void_p]
lib.akv_fused_writer_free.argtypes = [ctypes.c_void_p]


def put(data):
    return Slice(ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p), len(data))


def fine(status):
    if status < 0:
        raise RuntimeError(f"status {status}")
    return status


class Writer:
    """With the methods of the original's writer that takes raw bytes."""

    def __init__(self, flags=0):
        opt = WriterOptions(ctypes.sizeof(WriterOptions), flags, buffer=256 << 20)
        self.w = ctypes.c_void_p()
        fine(lib.akv_fused_writer_new(ctypes.byref(opt), ctypes.byref(self.w)))

    def add_object_raw(self, data):
        return self.added(lib.akv_fused_add_object, data)

    def add_document(self, text):
        return self.added(lib.akv_fused_add_document, text)

    def added(self, call, data):
        number = ctypes.c_uint32()
        fine(call(self.w, put(data), ctypes.byref(number)))
        return number.value

    def add_key(self, key, number):
        fine(lib.akv_fused_add_key(self.w, put(key), ctypes.c_uint32(number)))

    def build(self, path):
        fine(lib.akv_fused_build(self.w, path.encode(), None))

    def __del__(self):
        lib.akv_fused_writer_free(self.w)


class Reader:
    """With the methods of the original's reader that gives raw bytes."""

    def __init__(self, path):
        self.path = path
        self.f = ctypes.c_void_p()
        fine(lib.akv_fused_open(path.encode(), None, ctypes.byref(self.f)))

    def get_raw(self, key):
        out = Slice()
        status = fine(lib.akv_fused_get(self.f, put(key), ctypes.byref(out)))
        return out.bytes() if status == OK else None

    def get_many(self, keys):
        n = len(keys)
        out, statuses = (Slice * n)(), (ctypes.c_int * n)()
        slices = (Slice * n)(*map(put, keys))
        fine(lib.akv_fused_get_many(self.f, ctypes.c_size_t(n), slices, out, statuses))
        return [o.bytes() if s == OK else None for o, s in zip(out, statuses)]

    def exists(self, key):
        return fine(lib.akv_fused_exists(self.f, put(key))) == OK

    def prefix(self, prefix):
        at, found = Cursor(), []
        fine(lib.akv_fused_cursor_prefix(self.f, put(prefix), ctypes.byref(at)))
        while fine(lib.akv_fused_cursor_next(ctypes.byref(at))) == OK:
            found.append((at.key.bytes(), at.object.bytes()))
        return found

    def objects_raw(self):
        found = []

        def each(_user, data, _offset):
            found.append(data.bytes())
            return 0

        fine(lib.akv_fused_objects(self.f, Each(each), None))
        return found

    def stats(self):
        return json.loads(command("fused", "info", self.path, "--json").stdout)

    def __del__(self):
        lib.akv_fused_close(self.f)


def command(*args):
    return subprocess.run([os.environ["ANYKV"], *args], capture_output=True, check=False)


# ----------------------------------------------------------------------- TAP

# The original prints progress on standard output, which is for TAP here.
tap = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
tests = failed = 0


def ok(name, good, why=""):
    global tests, failed
    tests += 1
    failed += not good
    tap.write(f"{'ok' if good else 'not ok'} {tests} - {name}\n")
    if not good and why:
        tap.write(f"# {why}\n")


def equal(name, ours, theirs):
    ok(name, ours == theirs, f"here {ours!r:.300}, there {theirs!r:.300}")


def refuses(call, *args):
    try:
        call(*args)
    except (RuntimeError, ValueError, OSError):
        return True
    return False


# ---------------------------------------------------------------------- data

KEYS = [
    b"",
    b"a",
    b"a\0",
    b"a\0b",
    b"a\xff",
    b"b",
    b"\0",
    b"\0\0",
    b"\xff",
    b"\xff\xff",
    b"\xff\xfe",
    b"\x80",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xc0\xaf",
    "\u00e9".encode(),
    "e\u0301".encode(),
    "\uffff".encode(),
    "\U00010000".encode(),
    b"8.8.8.8",
    b"8.8.4.4",
    b"8.8.0.0/16",
    b"2001:db8::1",
    b"gmail.com",
    b"googlemail.com",
    b"k" * 255,
    b"k" * 256,
    b"k" * 4096,
    b"k" * 65534,
    b"k" * 65535,
    b"\xff" * 65535,
]
PREFIXES = [
    b"",
    b"a",
    b"a\0",
    b"8.8.",
    b"k",
    b"k" * 300,
    b"\xff",
    b"\xff" * 9,
    b"\xc3",
    b"zz",
    b"\0",
]


def documents():
    """Of every kind of MessagePack, around every border between its forms."""
    ints = [0, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1]
    ints += [-1, -32, -33, -128, -129, -32768, -32769, -(2**31), -(2**31) - 1, -(2**63)]
    sizes = [0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536]
    docs = [None, True, False, *ints]
    docs += [0.0, -0.0, 0.1, 1e308, 5e-324, float("inf"), float("-inf"), float("nan")]
    docs += ["s" * n for n in sizes] + [b"b" * n for n in sizes] + [[7] * n for n in sizes]
    docs += [{str(i): i for i in range(n)} for n in sizes]
    docs += ["\0", "\u00e9\U0001f40c\uffff", {"org": "Google", "asn": 15169, "nets": [{"a": None}]}]
    docs += [msgpack.ExtType(5, b"e" * n) for n in [0, 1, 2, 3, 4, 8, 16, 17, 255, 256, 65536]]
    docs += [msgpack.Timestamp(s, ns) for s, ns in [(0, 0), (2**33, 1), (2**35, 5), (-1, 9)]]
    deep = 0
    for _ in range(511):
        deep = [deep]
    return docs + [deep, {b"bytes": 1}]


def every_kind():
    """Calls for a writer: all keys, all documents, raw bytes that are none."""
    raw = [msgpack.packb(d, use_bin_type=True) for d in documents()]
    raw += [b"", b"\xca\x3f\x80\0\0", b"\x81\x01\x02", b"\xc1", os.urandom(70000)]
    objects = raw + raw[:3]  # equal ones stay two
    keys = KEYS + [b"doc:%04d" % i for i in range(len(objects))]
    calls = [("object", o) for o in objects]
    calls += [("key", k, i % len(objects)) for i, k in enumerate(keys)]
    calls += [("key", KEYS[3], 2), ("key", b"doc:0001", 0)]  # the last one counts
    return calls + [("object", b"\xa6orphan")]


def many(seed, keys_n, objects_n):
    """Random keys that share objects, of all lengths, some twice."""
    rng = random.Random(seed)
    calls = [
        ("object", msgpack.packb({"n": rng.randrange(objects_n), "s": "x" * rng.randrange(200)}))
        for _ in range(objects_n)
    ]
    for _ in range(keys_n):
        key = rng.choice(
            [
                b"%d.%d.%d.%d" % struct.unpack("4B", rng.randbytes(4)),
                b"host-%d.example.net" % rng.randrange(keys_n),
                rng.randbytes(rng.randrange(12)),
            ]
        )
        calls.append(("key", key, rng.randrange(objects_n)))
    return calls


def play(calls, writer):
    for call in calls:
        if call[0] == "object":
            writer.add_object_raw(call[1])
        else:
            writer.add_key(call[1], call[2])
    return writer


def contents(calls):
    """What a file made by the calls must hold, in order."""
    objects = [c[1] for c in calls if c[0] == "object"]
    return sorted({c[1]: objects[c[2]] for c in calls if c[0] == "key"}.items())


def same(a, b):
    """Equal, with NaN equal to itself."""
    return a == b or msgpack.packb(a) == msgpack.packb(b)


# --------------------------------------------------------------------- tests


def compare(name, path, want):
    """Every answer of both readers over one file."""
    theirs, ours = fusedb._RustReader(path, verify=True), Reader(path)
    keys = [k for k, _ in want]
    absent = {k + b"~" for k in keys[:1000] if len(k) < 65535} | {b"nowhere"}
    absent = sorted(absent.difference(keys))
    equal(
        f"{name}: all entries, read there",
        [(bytes(k), bytes(v)) for k, v in theirs.items_raw_bytes()],
        want,
    )
    equal(f"{name}: all entries, read here", ours.prefix(b""), want)
    ok(f"{name}: each get there", all(theirs.get_raw(k) == v for k, v in want))
    ok(f"{name}: each get here", all(ours.get_raw(k) == v for k, v in want))
    equal(
        f"{name}: get_many",
        ours.get_many(keys + absent),
        [v for _, v in want] + [None] * len(absent),
    )
    ok(f"{name}: each key exists in both", all(theirs.exists(k) and ours.exists(k) for k in keys))
    ok(f"{name}: no other does", not any(theirs.exists(k) or ours.exists(k) for k in absent))
    for p in PREFIXES:
        here = [(k.decode("utf-8", "replace"), v) for k, v in ours.prefix(p)]
        equal(f"{name}: prefix {p[:9]!r}", here, [(k, bytes(v)) for k, v in theirs.prefix_raw(p)])
    equal(f"{name}: keys", [k.decode("utf-8", "replace") for k in keys], theirs.keys())
    equal(f"{name}: objects", ours.objects_raw(), [bytes(o) for o in theirs.objects_raw()])
    stats = dict(theirs.stats())
    equal(f"{name}: stats", {k: ours.stats()[k] for k in stats}, stats)
    ok(f"{name}: verified there", theirs.verify() is True)
    checked = command("verify", path)
    ok(f"{name}: verified here", checked.returncode == 0, checked.stderr)


def both_ways(name, calls):
    play(calls, fusedb._RustWriter()).build(f"{name}-theirs.fsdb")
    play(calls, Writer(PLAIN)).build(f"{name}-plain.fsdb")
    play(calls, Writer()).build(f"{name}-ours.fsdb")
    with open(f"{name}-theirs.fsdb", "rb") as theirs, open(f"{name}-plain.fsdb", "rb") as plain:
        ok(f"{name}: a plain file has the bytes of the original's", plain.read() == theirs.read())
    compare(f"{name}, theirs", f"{name}-theirs.fsdb", contents(calls))
    compare(f"{name}, ours", f"{name}-ours.fsdb", contents(calls))
    section = Reader(f"{name}-ours.fsdb").stats()["section"]
    equal(f"{name}: and ours has a hash section", section, "used" if contents(calls) else "none")


def test_documents():
    docs = documents()
    w = Writer()
    for i, d in enumerate(docs):
        w.add_key(b"%04d" % i, w.add_object_raw(msgpack.packb(d, use_bin_type=True)))
    w.build("documents.fsdb")
    with fusedb.FuseReader("documents.fsdb") as db:
        ok(
            "documents of every kind are read there",
            all(same(db.get("%04d" % i), d) for i, d in enumerate(docs)),
        )
        ok("by bytes as well", all(same(db.get(b"%04d" % i), d) for i, d in enumerate(docs)))
        got = db.items()
        ok(
            "and listed",
            len(got) == len(docs) and all(same(v, docs[i]) for i, (_, v) in enumerate(got)),
        )
        equal(
            "and found by a prefix",
            [k for k, _ in db.prefix("000")],
            ["%04d" % i for i in range(10)],
        )


def plain_json(d):
    """Whether JSON can say it, and would be read as the same kind."""
    if isinstance(d, list):
        return all(map(plain_json, d))
    if isinstance(d, dict):
        return all(isinstance(k, str) and plain_json(v) for k, v in d.items())
    if isinstance(d, float):
        return d == d and abs(d) != float("inf")
    return d is None or isinstance(d, (bool, int, str))


def test_json():
    docs = [d for d in documents() if plain_json(d)]
    theirs, ours = fusedb.FuseWriter(), Writer(PLAIN)
    for i, d in enumerate(docs):
        theirs.add("%04d" % i, d)
        ours.add_key(b"%04d" % i, ours.add_document(json.dumps(d).encode()))
    theirs.build("json-theirs.fsdb")
    ours.build("json-ours.fsdb")
    with open("json-theirs.fsdb", "rb") as a, open("json-ours.fsdb", "rb") as b:
        ok(f"{len(docs)} documents added as JSON become the original's bytes", a.read() == b.read())


def test_refusals():
    for name, writer in [("here", Writer()), ("there", fusedb._RustWriter())]:
        number = writer.add_object_raw(b"\x01")
        ok(
            f"a key of 65,536 bytes is refused {name}",
            refuses(writer.add_key, b"k" * 65536, number),
        )
        ok("and an object that is not there", refuses(writer.add_key, b"k", number + 1))
    with open("every kind-theirs.fsdb", "rb") as f:
        data = f.read()
    differ = []
    for cut in [0, 4, 39, 40, 41, len(data) // 2, len(data) - 1]:
        with open("cut.fsdb", "wb") as f:
            f.write(data[:cut])
        if not (refuses(fusedb._RustReader, "cut.fsdb", True) and refuses(Reader, "cut.fsdb")):
            differ.append(cut)
    equal("a file cut short is refused by both", differ, [])
    for at in [0, 4, 40, len(data) // 2, len(data) - 1]:
        with open("flip.fsdb", "wb") as f:
            f.write(data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :])
        if not (refuses(fusedb._RustReader, "flip.fsdb", True) and refuses(Reader, "flip.fsdb")):
            differ.append(at)
    equal("and one with a flipped bit", differ, [])


def merge_here(sources, output):
    """By the library, with next to no memory, so that it spills."""
    opt = WriterOptions(ctypes.sizeof(WriterOptions), PLAIN, buffer=1 << 20)
    paths = (ctypes.c_char_p * len(sources))(*[s.encode() for s in sources])
    n = ctypes.c_size_t(len(sources))
    fine(lib.akv_fused_merge(paths, n, output.encode(), ctypes.byref(opt), None))


def same_bytes(*paths):
    files = [open(p, "rb") for p in paths]
    data = [f.read() for f in files]
    for f in files:
        f.close()
    return all(d == data[0] for d in data)


def merges(name, sources):
    fusedb.merge(*sources, output="merge-theirs.fsdb")
    merge_here(sources, "merge-ours.fsdb")
    made = command("fused", "merge", "-o", "merge-command.fsdb", "--plain", *sources)
    ok(f"merge of {name}: by the command", made.returncode == 0, made.stderr)
    ok(
        f"merge of {name}: the same bytes by the original, the library and the command",
        same_bytes("merge-theirs.fsdb", "merge-ours.fsdb", "merge-command.fsdb"),
    )


def test_merge():
    """Keys and objects of the sources overlap; some keys are no text, some
    objects are twice, or no key leads to them; sources are both writers'."""
    play(many(2, 30000, 2000) + [("key", b"\xff\xfe", 7)], Writer()).build("part-ours.fsdb")
    play([("object", b"\xa6orphan"), *many(1, 20000, 5000)], fusedb._RustWriter()).build(
        "part-theirs.fsdb"
    )
    kinds, ours, theirs = "every kind-theirs.fsdb", "part-ours.fsdb", "part-theirs.fsdb"
    merges("nothing", [])
    merges("an empty file", ["nothing-theirs.fsdb"])
    merges("one file", [kinds])
    merges("two files", [ours, theirs])
    merges("two files, the other way round", [theirs, ours])
    merges("files of all kinds of keys", [kinds, ours, "many-plain.fsdb", theirs])
    merges("the same, the other way round", [theirs, "many-plain.fsdb", ours, kinds])
    merges("a file with itself", [ours, ours])
    merges("files, one of them twice", [kinds, ours, kinds])
    fusedb.merge(ours, theirs, output="merge-theirs.fsdb")
    merge_here([ours, theirs], theirs)
    ok("merge onto a source", same_bytes("merge-theirs.fsdb", theirs))


def test_reload():
    fusedb._RustWriter().build("live.fsdb")
    os.utime("live.fsdb", (1, 1))
    live = fusedb.ReloadableFuseReader("live.fsdb")
    w = Writer()
    w.add_key(b"k", w.add_object_raw(msgpack.packb({"v": 1})))
    w.build("live.fsdb")
    ok(
        "the original reloads a file of ours in the place of its own",
        live.reload() and live.get("k") == {"v": 1},
    )


def main():
    both_ways("nothing", [])
    both_ways("every kind", every_kind())
    both_ways("many", many(1, 100000, 5000))
    test_documents()
    test_json()
    test_refusals()
    test_merge()
    test_reload()


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    main()
    os.chdir("/")
tap.write(f"1..{tests}\n")
sys.exit(1 if failed else 0)
