#!/usr/bin/python3
"""Images that were made to do harm, each as a test; and importers that are killed."""
import gzip
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import imagerig  # noqa: E402
from imagerig import Rig  # noqa: E402
from machine import run  # noqa: E402
from ociimage import Image, Layer, entry, layout, sha, tar  # noqa: E402


class Outside:
    """Files beside the store that a hostile image would like to have: they stay as they are."""

    def __init__(self, rig):
        self.dir = pathlib.Path(f"{rig.top}/outside")
        self.dir.mkdir()
        (self.dir / "secret").write_text("secret")
        self.before = self.look()

    def look(self):
        return sorted((str(p), os.lstat(p).st_mode, os.lstat(p).st_nlink, os.lstat(p).st_uid, p.read_bytes() if p.is_file() else b"") for p in self.dir.rglob("*"))

    def check(self):
        assert self.look() == self.before, self.look()


def refused(layers, why="", rig=None, status=1):
    """The import fails, says why, leaves nothing in the store, and nothing outside was touched."""
    with (rig or Rig()) as r:
        outside = Outside(r)
        got = r.rast("import", Image(layers).layout(f"{r.dir}/l", "evil:1"))
        assert got.status == status and why in got.err, (why, got)
        outside.check()
        assert r.json("list") == [] and r.left() == [n for n in r.left() if n.startswith("sha256-") and n.removesuffix(".json") in
                                                       [c.replace(":", "-") for c in Image(layers).chains()[:-1]]], r.left()


def contained(layers, look):
    """The import works, and what it made is all inside of the image's root."""
    with Rig() as r:
        outside = Outside(r)
        t = r.put(Image([make(r) if callable(make) else make for make in layers]), "odd:1")
        outside.check()
        look(t)


def dots_in_a_path_are_refused():
    for name in ("../x", "a/../../x", "./..", "a/b/../../../x", "/../x"):
        refused([Layer([entry("a/b/", "dir"), entry(name, data=b"x")])], "'..' in a path")


def an_absolute_path_counts_from_the_root_of_the_image():
    contained([Layer([entry("//etc///passwd", data=b"x"), entry("/./b/./c", data=b"y")])], lambda t: (t / "etc/passwd").read_bytes() + (t / "b/c").read_bytes())


def a_link_out_of_the_image_leads_nowhere_but_into_it():
    for link in ("/outside", "../../../../../../../../outside", "/proc/self/root", "/proc/self/cwd"):
        with Rig() as r:
            outside = Outside(r)
            image = Image([Layer([entry("outside/", "dir"), entry("proc/self/", "dir"), entry("d", "symlink", link=link), entry("d/secret", data=b"x")])])
            got = r.rast("import", image.layout(f"{r.dir}/l", "l:1"))
            outside.check()
            if got.status == 0:
                assert (r.tree(image) / "outside/secret").read_bytes() == b"x"
            else:
                assert "folder that it is in" in got.err and link.startswith("/proc"), got


def a_link_to_the_real_path_of_something_outside_is_not_followed():
    with Rig() as r:
        outside = Outside(r)
        for link in (str(outside.dir), f"{r.dir}/top/outside"):
            image = Image([Layer([entry("d", "symlink", link=link)]), Layer([entry("d/secret", data=b"x"), entry("d/new", data=b"x")])])
            r.rast("import", image.layout(f"{r.dir}/l", "l:1"))
            outside.check()


def a_file_does_not_go_through_a_link_of_its_own_name():
    def look(t):
        assert not (t / "secret").is_symlink() and (t / "secret").read_bytes() == b"mine" and (t / "dir").is_dir() and not (t / "dir").is_symlink()
    with Rig() as r:
        outside = Outside(r)
        image = Image([Layer([entry("secret", "symlink", link=str(outside.dir / "secret")), entry("secret", data=b"mine"), entry("dir", "symlink", link=str(outside.dir)),
                              entry("dir/", "dir", mode=0o777, uid=5)])])
        look(r.put(image))
        outside.check()


def a_hard_link_to_something_outside_is_refused():
    for link in ("../../outside/secret", "/outside/secret", "outside/secret", "d/secret", "/proc/1/environ", "", ".", "/"):
        refused([Layer([entry("d", "symlink", link="../../../../outside"), entry("h", "link", link=link)])], "hard link")


def a_hard_link_to_a_link_links_the_link():
    contained([Layer([entry("s", "symlink", link="/outside/secret"), entry("h", "link", link="s")])], lambda t: os.readlink(t / "h"))


def a_hard_link_to_a_folder_or_to_itself_is_refused():
    refused([Layer([entry("d/", "dir"), entry("h", "link", link="d")])], "hard link")
    refused([Layer([entry("d/a", data=b"1"), entry("d/a", "link", link="./d//a")])], "hard link to itself")


def writing_to_a_hard_link_s_name_makes_a_new_file():
    def look(t):
        assert (t / "a").read_bytes() == b"old" and (t / "b").read_bytes() == b"new"
    contained([Layer([entry("a", data=b"old"), entry("b", "link", link="a")]), Layer([entry("b", data=b"new")])], look)


def whiteouts_remove_nothing_outside():
    with Rig() as r:
        outside = Outside(r)
        image = Image([Layer([entry("d", "symlink", link=str(outside.dir)), entry("e", "symlink", link="../../outside")]),
                       Layer([entry("d/.wh.secret"), entry("d/.wh..wh..opq"), entry("e/.wh.secret"), entry(".wh.e")])])
        t = r.put(image)
        outside.check()
        assert not os.path.lexists(t / "e") and os.path.lexists(t / "d")
    for name in (".wh.", ".wh..", ".wh...", "a/.wh..."):
        refused([Layer([entry("a/b")]), Layer([entry(name)])], "a whiteout for a name that can't be")


def the_root_can_t_be_replaced():
    refused([Layer([entry("./", "symlink", link="/")])], "would replace the root")
    refused([Layer([entry(".", data=b"x")])], "would replace the root")


def a_file_can_t_be_a_folder_of_others():
    refused([Layer([entry("f", data=b"x"), entry("f/g", data=b"y")])], "folder that it is in")
    refused([Layer([entry("a", "symlink", link="b"), entry("b", "symlink", link="a"), entry("a/x", data=b"y")])], "folder that it is in")


def a_layer_that_is_not_what_it_should_be_never_shows():
    good = Layer([entry("a", data=b"1" * 5000)])
    for change in (lambda la: setattr(la, "blob", la.blob[:-20] + b"\0" * 20), lambda la: setattr(la, "blob", la.blob[:50]), lambda la: setattr(la, "diff", sha(b"other")),
                   lambda la: setattr(la, "digest", sha(b"other"))):
        bad = Layer([entry("b", data=b"2" * 5000)])
        blob = bad.blob
        change(bad)
        with Rig() as r:
            image = Image([good, bad])
            path = image.layout(f"{r.dir}/l", "x:1")
            if bad.digest == sha(b"other"):  # the file under its name is another one
                pathlib.Path(f"{path}/blobs/sha256/{bad.digest[7:]}").write_bytes(blob)
            got = r.rast("import", path)
            assert got.status == 1 and r.json("list") == [] and not r.tree(image).exists() and r.tree(Image([good])).exists(), got
            assert os.listdir(f"{r.store}/partial") == []


def what_follows_the_archive_s_end_counts_for_the_digest():
    layer = Layer(tar([entry("a", data=b"1")]) + b"more" * 1000)
    with Rig(False) as r:
        assert (r.put(Image([layer])) / "a").exists()
    layer.diff = sha(tar([entry("a", data=b"1")]))
    refused([layer], "diff id", Rig(False))


def bombs_are_bounded():
    zeros = gzip.compress(b"\0" * (200 << 20), 9, mtime=0)
    layer = Layer([entry("x")])
    layer.blob, layer.digest, layer.diff = zeros, sha(zeros), sha(b"\0" * (200 << 20))
    with Rig(False) as r:
        Image([layer]).layout(f"{r.dir}/l", "b:1")
        got = r.rast("import", f"{r.dir}/l", "--max-size", "50M")
        assert got.status == 1 and "--max-size" in got.err, got
    with Rig(size="200M") as r:  # the disk is too small: said, and nothing is left
        big = Layer([entry(f"f{i}", data=os.urandom(4 << 20)) for i in range(70)], None)
        got = r.rast("import", Image([big]).layout(f"{r.dir}/l", "b:1"))
        assert got.status == 1 and "No space left" in got.err and r.left() == [], got
    huge = entry("h", data=b"")
    huge.size = 1 << 50
    refused([Layer(huge.tobuf(2) + b"\0" * 2048)], "", Rig(False))
    sparse = entry("s", pax={"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,0", "GNU.sparse.size": str(1 << 60), "GNU.sparse.name": "s"})
    refused([Layer([sparse])], "more than a file may have", Rig(False))
    refused([Layer([entry("p", pax={"comment": "x" * (3 << 20)})])], "makes no sense", Rig(False))
    refused([Layer([entry("q", pax={f"SCHILY.xattr.user.{i}": "1" for i in range(1000)})])], "makes no sense", Rig(False))


def lies_in_headers_are_errors():
    good = tar([entry("a", data=b"12345")])
    for n, (at, bytes_) in enumerate([(124, b"77777777777\0"), (148, b"0000000\0"), (108, b"notoctal"), (156, b"Z"), (136, b"\xff" * 11 + b"\x7f"), (124, b"\x80" + b"\xff" * 11),
                                      (124, b"\xff" * 12), (257, b"ustar\0")]):
        data = bytearray(good)
        data[at:at + len(bytes_)] = bytes_
        if at != 148:
            data[148:156] = b" " * 8
            data[148:156] = b"%06o\0 " % sum(data[:512])
        with Rig(False) as r:
            got = r.rast("import", Image([Layer(bytes(data))]).layout(f"{r.dir}/l", f"h:{n}"))
            assert (got.status == 0) == (at == 257 or bytes_[0] == 0xff and at == 136), (n, got)
    for bad in ("9" * 30 + " path=x\n", "5 a=b\n", "x", "12 path=\0ab\n", "99 path=x\n", "11 mtime=x\n", "30 GNU.sparse.numbytes=5\n", "20 uid=4294967295\n", "25 uid=99999999999999\n"):
        head = entry("PaxHeaders/x", data=bad.encode())
        head.type = b"x"
        head.size = len(bad)
        refused([Layer([head, entry("y", data=b"1")])], "", Rig(False))


def documents_that_lie_are_refused():
    image = Image([Layer([entry("a", data=b"1")])])
    m = json.loads(image.manifest)

    def attempt(change, why, text=None, status=1):
        doc = json.loads(image.manifest)
        if change:
            change(doc)
        data = text if text is not None else json.dumps(doc).encode()
        with Rig(False) as r:
            layout(f"{r.dir}/l", [{"mediaType": m["mediaType"], "digest": sha(data), "size": len(data), "annotations": {"org.opencontainers.image.ref.name": "x:1"}}],
                   [image.blobs(), {sha(data): data}])
            got = r.rast("import", f"{r.dir}/l")
            assert got.status == status and why in got.err and r.json("list") == [], (why, got)

    attempt(lambda d: d.update(manifests=[]), "a manifest and an index at once")
    attempt(lambda d: d.update(schemaVersion=1), "schemaVersion is not 2")
    attempt(lambda d: d.update(mediaType="application/vnd.oci.image.index.v1+json"), "is not that")
    attempt(lambda d: d.update(layers=[]), "no layers")
    attempt(lambda d: d["layers"][0].update(digest="sha256:../../../../etc/passwd"), "digest")
    attempt(lambda d: d["layers"][0].update(digest="md5:" + "0" * 32), "digest")
    attempt(lambda d: d["layers"][0].update(size=-1), "no size")
    attempt(lambda d: d["layers"][0].update(size=3), "the manifest says 3")
    attempt(lambda d: d["layers"][0].update(mediaType="application/vnd.oci.image.layer.v1.tar+gzip+encrypted"), "media type")
    attempt(lambda d: d["layers"].append(d["layers"][0]), "the configuration has 1 layers, the manifest 2")
    attempt(lambda d: d.update(layers=d["layers"] * 600), "more than 512")
    attempt(lambda d: d["config"].update(size=5 << 20), "more than the")
    attempt(None, "no JSON", b"{" * 100000)
    attempt(None, "no JSON", b'{"schemaVersion": 2, "schemaVersion": 2}')
    attempt(None, "neither", b"[]")
    foreign = json.dumps({"schemaVersion": 2, "manifests": [{"digest": sha(b"x"), "size": 1, "platform": {"os": "plan9", "architecture": "mips"}}]}).encode()
    attempt(None, "but for plan9/mips", foreign, 4)


def a_user_file_that_leads_out_of_the_image_is_not_read():
    with Rig() as r:
        outside = Outside(r)
        (outside.dir / "passwd").write_text("admin:x:77:77::/:/bin/sh\n")
        for link in (str(outside.dir / "passwd"), "../" * 8 + str(outside.dir / "passwd")[1:], "/proc/self/root" + str(outside.dir / "passwd")):
            r.put(Image([Layer([entry("etc/passwd", "symlink", link=link)])], {"User": "admin", "Cmd": ["x"]}), "u:1")
            assert r.rast("unpack", "u:1", f"{r.top}/b").status == 4
        r.put(Image([Layer([entry("etc/passwd", "fifo")])], {"User": "admin", "Cmd": ["x"]}), "u:1")
        assert "is not a file" in r.rast("unpack", "u:1", f"{r.top}/b", timeout=20).err
        r.put(Image([Layer([entry("etc/passwd", data=b"x" * (2 << 20))])], {"User": "admin", "Cmd": ["x"]}), "u:1")
        assert r.rast("unpack", "u:1", f"{r.top}/b").status == 1 and not os.path.exists(f"{r.top}/b")


def a_name_can_t_steer_the_terminal():
    with Rig(False) as r:
        got = r.rast("import", Image([Layer([entry("a\033[2J", data=b"x"), entry("a\033[2J/b", data=b"x")])]).layout(f"{r.dir}/l", "t:1"))
        assert got.status == 1 and "\033" not in got.err and "\\x1b" in got.err, got


def a_layout_s_files_don_t_lead_out_of_it():
    image = Image([Layer([entry("a", data=b"1")])])
    with Rig(False) as r:
        path = pathlib.Path(image.layout(f"{r.dir}/l", "x:1"))
        blob = path / "blobs/sha256" / image.layers[0].digest[7:]
        os.rename(blob, f"{r.dir}/kept")
        for target in (f"{r.dir}/kept", "../../../kept"):
            blob.symlink_to(target)
            got = r.rast("import", path)
            assert got.status == 1, got
            blob.unlink()
        os.mkfifo(blob)
        assert r.rast("import", path, timeout=20).status == 1
        archive = tar([entry("manifest.json", data=json.dumps([{"Config": "c", "RepoTags": ["x:1"], "Layers": ["l"]}]).encode()), entry("c", "symlink", link="c"),
                       entry("l", "link", link="../../etc/passwd")])
        pathlib.Path(f"{r.dir}/d.tar").write_bytes(archive)
        assert "too many links" in r.rast("import", f"{r.dir}/d.tar").err


def an_importer_that_is_killed_leaves_nothing_half():
    rng = random.Random(7)
    layers = [Layer([entry(f"l{n}/f{i}", data=rng.randbytes(20000)) for i in range(60)], None) for n in range(4)]
    image = Image(layers)
    want = {f"l{n}/f{i}" for n in range(4) for i in range(60)}
    for btrfs in (True, False):
        with Rig(btrfs) as r:
            path = image.layout(f"{r.dir}/l", "k:1")
            began = time.monotonic()
            r.ok("import", path)
            whole = time.monotonic() - began
            r.ok("rm", "k:1")
            kills = 0
            for round_ in range(12):
                p = subprocess.Popen(r.argv("import", path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(rng.uniform(0, whole * 1.1))
                p.send_signal(signal.SIGKILL)
                kills += p.wait() == -signal.SIGKILL
                for i in r.json("list"):
                    assert r.ok("verify", i["name"]).out == ""
                for n in range(4):  # a layer that has a record is whole
                    t = r.tree(Image(layers[:n + 1]))
                    if pathlib.Path(f"{t}.json").exists():
                        assert {str(f.relative_to(t)) for f in t.rglob("*") if f.is_file()} == {w for w in want if int(w[1]) <= n}
                if round_ % 4 == 3:
                    last = r.ok("import", path)
                    assert last.out == "k:1\n" and r.ok("verify", "--content").out == "" and os.listdir(f"{r.store}/partial") == []
                    t = r.tree(image)
                    assert {str(f.relative_to(t)) for f in t.rglob("*") if f.is_file()} == want
                    r.ok("rm", "k:1")
                    assert r.left() == []
            assert kills > 0


def a_layer_that_was_not_flushed_before_the_machine_lost_power_is_made_anew():
    image = Image([Layer([entry("a", data=b"1")]), Layer([entry("b", data=b"2")])])
    with Rig() as r:
        path = image.layout(f"{r.dir}/l", "p:1")
        r.ok("import", path)
        record = pathlib.Path(f"{r.tree(Image(image.layers[:1]))}.json")
        record.write_text(json.dumps({**json.loads(record.read_text()), "boot": "another"}))
        got = r.ok("import", path)
        assert "layer 1 of 2" in got.err and ": unpack" in got.err.splitlines()[0] and "boot" not in json.loads(record.read_text())


def two_importers_at_once_make_one_image():
    image = Image([Layer([entry(f"f{i}", data=os.urandom(50000)) for i in range(40)], None)])
    with Rig() as r:
        path = image.layout(f"{r.dir}/l", "two:1")
        both = [subprocess.Popen(r.argv("import", path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
        texts = [p.communicate(timeout=120)[1] for p in both]
        assert [p.returncode for p in both] == [0] * 3 and sum("unpack" in t for t in texts) == 1 and r.ok("verify").out == "", texts


imagerig.enter()
run([v for n, v in list(globals().items()) if callable(v) and v.__module__ == "__main__" and "_" in n])
