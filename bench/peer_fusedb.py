# SPDX-License-Identifier: MIT
"""FuseDB's own package, measured in Python: peer_fusedb.py FOLDER OBJECTS.

FOLDER/keys and FOLDER/missing hold a key a line, in the order of look-up. Prints
a line a workload: nanoseconds an operation, then its name as in suites.c.
"""

import sys
import time

import fusedb

folder = sys.argv[1]
objects_n = int(sys.argv[2])
with open(f"{folder}/keys") as f:
    keys = f.read().split("\n")
with open(f"{folder}/missing") as f:
    missing = f.read().split("\n")


def tell(workload, began, n):
    print(f"fusedb {(time.perf_counter() - began) * 1e9 / n:.1f} {workload}", flush=True)


began = time.perf_counter()
w = fusedb.FuseWriter()
ids = [w.add_object({"number": i, "text": "x" * 112}) for i in range(objects_n)]
for i, k in enumerate(keys):
    w.add_key(k, ids[i * 7919 % objects_n])
w.build(f"{folder}/python.fsdb")
tell("build", began, len(keys))
began = time.perf_counter()
db = fusedb.FuseReader(f"{folder}/python.fsdb")
tell("open", began, 1)
for workload, call, them in [
    ("get, present", db.get, keys),
    ("get, missing", db.get, missing),
    ("exists, present", db.exists, keys),
]:
    began = time.perf_counter()
    for k in them:
        call(k)
    tell(workload, began, len(them))
