#!/usr/bin/python3
"""Container images: layouts and archives become subvolumes by chain id, and bundles."""
import gzip
import hashlib
import json
import os
import pathlib
import stat
import subprocess
import sys
import tarfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import imagerig  # noqa: E402
from imagerig import Rig  # noqa: E402
from machine import run  # noqa: E402
from ociimage import Image, Layer, entry, layout, sha, tar  # noqa: E402

CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")  # VFS_CAP_REVISION_2, cap_net_bind_service+ep


def rich():
    """A tree with one of everything."""
    return [entry("./", "dir", mode=0o751, mtime=5), entry("etc/", "dir", mtime=77), entry("etc/motd", data=b"hello", pax={"mtime": "1234567890.123456789"}),
            entry("usr/bin/", "dir"), entry("bin", "symlink", link="usr/bin"), entry("usr/bin/su", data=b"x" * 70000, mode=0o4755, uid=0, gid=42),
            entry("usr/bin/sux", "link", link="usr/bin/su"), entry("dev/null", "char", major=1, minor=3, mode=0o666), entry("dev/loop", "block", major=7, minor=300),
            entry("run/fifo", "fifo", mode=0o600, uid=7), entry("home/" + "n" * 200 + "/" + "m" * 120, data=b"long", uid=1000, gid=1000),
            entry("tmp/", "dir", mode=0o1777), entry("ping", data=b"elf", pax={"SCHILY.xattr.security.capability": CAPABILITY.decode("utf-8", "surrogateescape")}),
            entry("attr", data=b"a", pax={"SCHILY.xattr.user.colour": "blue", "SCHILY.xattr.trusted.overlay.opaque": "y"}),
            entry("zeros", data=b"\0" * (1 << 20) + b"end"), entry("dangling", "symlink", link="../../nowhere")]


def everything_that_a_layer_says_of_a_file_is_so():
    for btrfs in (True, False):
        for how in ("gzip", "zstd", None):
            with Rig(btrfs) as r:
                t = r.put(Image([Layer(rich(), how)]))
                look = lambda name: os.lstat(t / name)  # noqa: E731
                assert (look("").st_mode & 0o7777, look("").st_mtime) == (0o751, 5) and look("etc").st_mtime == 77
                assert look("etc/motd").st_mtime_ns == 1234567890123456789 and (t / "etc/motd").read_bytes() == b"hello"
                su = look("usr/bin/su")
                assert (su.st_mode & 0o7777, su.st_gid, su.st_nlink, su.st_ino) == (0o4755, 42, 2, look("usr/bin/sux").st_ino)
                null, loop, fifo = look("dev/null"), look("dev/loop"), look("run/fifo")
                assert stat.S_ISCHR(null.st_mode) and null.st_rdev == os.makedev(1, 3) and null.st_mode & 0o777 == 0o666
                assert stat.S_ISBLK(loop.st_mode) and loop.st_rdev == os.makedev(7, 300)
                assert stat.S_ISFIFO(fifo.st_mode) and fifo.st_uid == 7 and fifo.st_mtime == 1_600_000_000
                long = look("home/" + "n" * 200 + "/" + "m" * 120)
                assert (long.st_uid, long.st_gid, long.st_size) == (1000, 1000, 4)
                assert look("tmp").st_mode & 0o7777 == 0o1777 and os.readlink(t / "dangling") == "../../nowhere" and os.readlink(t / "bin") == "usr/bin"
                assert look("bin").st_mtime == 1_600_000_000
                assert os.getxattr(t / "ping", "security.capability") == CAPABILITY
                names = os.listxattr(t / "attr")
                assert "trusted.overlay.opaque" not in names and (not btrfs or os.getxattr(t / "attr", "user.colour") == b"blue")
                assert (t / "zeros").read_bytes() == b"\0" * (1 << 20) + b"end" and look("zeros").st_blocks * 512 < 1 << 19, "zeros are holes"


def each_layer_is_a_read_only_snapshot_of_the_one_below():
    a, b = Layer([entry("a", data=b"1"), entry("b", data=b"2")]), Layer([entry("a", data=b"new"), entry("c", data=b"3")])
    with Rig() as r:
        image = Image([a, b])
        t = r.put(image)
        assert {n: (t / n).read_bytes() for n in "abc"} == {"a": b"new", "b": b"2", "c": b"3"}
        lower = r.tree(Image([a]))
        assert sorted(os.listdir(lower)) == ["a", "b"] and (lower / "a").read_bytes() == b"1"
        shown = subprocess.run(["btrfs", "subvolume", "show", t], capture_output=True, text=True, check=True).stdout
        assert "readonly" in shown
        parent = next(line.split()[-1] for line in shown.splitlines() if "Parent UUID" in line)
        assert parent in subprocess.run(["btrfs", "subvolume", "show", lower], capture_output=True, text=True, check=True).stdout
        for path in (t, lower):
            try:
                (path / "x").write_bytes(b"")
                raise AssertionError("a layer could be written to")
            except OSError:
                pass


def whiteouts_hide_what_is_below_and_nothing_of_their_own_layer():
    below = Layer([entry("d/", "dir"), entry("d/one", data=b"1"), entry("d/two", data=b"2"), entry("d/sub/deep", data=b"3"), entry("e/f", data=b"4"), entry("g", data=b"5"),
                   entry("h/kept", data=b"6"), entry("h/gone", data=b"7")])
    above = Layer([entry("d/new", data=b"n"), entry("d/.wh..wh..opq"), entry("d/late", data=b"l"), entry(".wh.e"), entry("e/again", data=b"a"), entry(".wh.nothing"),
                   entry("g", data=b"own"), entry(".wh.g"), entry("no/such/.wh.thing"), entry("h/.wh.gone"), entry("h/.wh..wh.plnk/1.2", data=b"")])
    for btrfs in (True, False):
        with Rig(btrfs) as r:
            t = r.put(Image([below, above]))
            found = sorted(str(p.relative_to(t)) for p in t.rglob("*"))
            assert found == ["d", "d/late", "d/new", "e", "e/again", "g", "h", "h/kept"], found
            assert (t / "g").read_bytes() == b"own"


def things_replace_things_of_other_kinds():
    below = Layer([entry("a/x", data=b"1"), entry("b", data=b"2"), entry("c", "symlink", link="a"), entry("d/", "dir", mode=0o700, pax={"SCHILY.xattr.user.old": "1"})])
    above = Layer([entry("a", data=b"file"), entry("b/", "dir"), entry("b/in", data=b"3"), entry("c/", "dir"), entry("c/y", data=b"4"), entry("d/", "dir", mode=0o711)])
    with Rig() as r:
        t = r.put(Image([below, above]))
        assert (t / "a").read_bytes() == b"file" and (t / "b/in").read_bytes() == b"3" and not (t / "c").is_symlink() and (t / "c/y").read_bytes() == b"4"
        assert (t / "d").stat().st_mode & 0o777 == 0o711 and os.listxattr(t / "d") == []


def files_go_through_links_of_the_image_to_where_those_lead_in_it():
    with Rig() as r:
        t = r.put(Image([Layer([entry("usr/lib/", "dir", mtime=9), entry("lib", "symlink", link="usr/lib"), entry("abs", "symlink", link="/usr")]),
                         Layer([entry("lib/a", data=b"1"), entry("abs/lib/b", data=b"2"), entry("new/deep/c", data=b"3")])]))
        assert (t / "usr/lib/a").read_bytes() == b"1" and (t / "usr/lib/b").read_bytes() == b"2" and (t / "lib").is_symlink() and (t / "new/deep/c").exists()
        assert (t / "usr/lib").stat().st_mtime == 9, "a folder that the layer only passes through keeps its time"


def every_form_of_tar_is_read():
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        name = "d" * 90 + "/" + "f" * (60 if form == tarfile.USTAR_FORMAT else 160)
        link = "l" * (90 if form == tarfile.USTAR_FORMAT else 300)
        with Rig(False) as r:
            t = r.put(Image([Layer([entry(name, data=b"x" * 1000), entry("s", "symlink", link=link), entry("big", uid=(1 << 20), mtime=8_000_000_000)], form=form)]))
            assert (t / name).read_bytes() == b"x" * 1000 and os.readlink(t / "s") == link and (t / "big").stat().st_uid == 1 << 20


def sparse_files_come_out_as_gnu_tar_has_packed_them():
    with Rig() as r:
        os.makedirs(f"{r.dir}/src")
        with open(f"{r.dir}/src/sparse", "wb") as f:
            for at in (0, 3 << 20, 9 << 20, (20 << 20) - 10):
                f.seek(at)
                f.write(b"data%d" % at)
            for at in range(30, 60):  # more pieces than the first header holds
                f.seek(at << 20)
                f.write(b"more")
            f.truncate(64 << 20)
        want = hashlib.sha256(open(f"{r.dir}/src/sparse", "rb").read()).hexdigest()
        for n, form in enumerate((["--format=gnu"], ["--format=posix", "--sparse-version=0.0"], ["--format=posix", "--sparse-version=0.1"], ["--format=posix", "--sparse-version=1.0"])):
            data = subprocess.run(["tar", "-S", *form, "-C", f"{r.dir}/src", "-cf", "-", "sparse"], stdout=subprocess.PIPE, check=True).stdout
            assert len(data) < 8 << 20
            t = r.put(Image([Layer(data)]), f"sparse:{n}")
            assert hashlib.sha256((t / "sparse").read_bytes()).hexdigest() == want, form
            assert (t / "sparse").stat().st_blocks * 512 < 8 << 20


def concatenated_gzip_members_and_zstd_frames_are_one_stream():
    data = tar([entry("a", data=os.urandom(300000)), entry("b", data=b"2")])
    layers = []
    for how, pack in (("gzip", lambda d: gzip.compress(d, mtime=0)), ("zstd", lambda d: subprocess.run(["zstd", "-qc"], input=d, stdout=subprocess.PIPE, check=True).stdout)):
        layer = Layer(data, how)
        layer.blob = pack(data[:100000]) + (b"\x50\x2a\x4d\x18\x04\0\0\0skip" if how == "zstd" else b"") + pack(data[100000:])
        layer.digest = sha(layer.blob)
        layers.append(layer)
    for n, layer in enumerate(layers):
        with Rig(False) as r:
            assert (r.put(Image([layer]), f"c:{n}") / "b").read_bytes() == b"2"


def docker_archives_old_and_new_and_compressed_are_read():
    image = Image([Layer([entry("a", data=b"1")], None), Layer([entry("b", data=b"2")], None)])
    with Rig() as r:
        image.docker(f"{r.dir}/old.tar", ["web/app:1", "web/app:latest"])
        assert r.ok("import", f"{r.dir}/old.tar").out.split() == ["web/app:1", "web/app:latest"]
        assert sorted(os.listdir(r.tree(image))) == ["a", "b"]
        one = r.json("inspect", "web/app:1")[0]
        assert one["manifest"] == one["config"] == sha(image.config) and one["layers"] == image.chains()
        image.layout(f"{r.dir}/new", "new.example/app:2")
        subprocess.run(["tar", "-C", f"{r.dir}/new", "-czf", f"{r.dir}/new.tgz", "."], check=True)
        assert r.ok("import", f"{r.dir}/new.tgz").out.split() == ["new.example/app:2"]
        blob = f"{r.dir}/link.tar"  # docker before 1.10's successor: a layer that is a link to another one's file
        config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": [image.layers[0].diff] * 2}}).encode()
        files = [entry("x/layer.tar", data=image.layers[0].tar), entry("y/layer.tar", "symlink", link="../x/layer.tar"), entry("c.json", data=config),
                 entry("manifest.json", data=json.dumps([{"Config": "c.json", "RepoTags": None, "Layers": ["x/layer.tar", "y/layer.tar"]}]).encode())]
        pathlib.Path(blob).write_bytes(tar(files))
        assert "--name" in r.rast("import", blob).err
        r.ok("import", blob, "--name", "linked")
        assert [i["name"] for i in r.json("list")] == ["linked:latest", "new.example/app:2", "web/app:1", "web/app:latest"]


def the_right_image_of_several_is_taken():
    images = {(arch, variant): Image([Layer([entry(arch + (variant or ""), data=b"1")])], arch=arch, variant=variant) for arch, variant in
              (("amd64", None), ("arm64", "v8"), ("arm", "v6"), ("arm", "v7"))}
    with Rig() as r:
        index = json.dumps({"schemaVersion": 2, "manifests": [i.descriptor(platform=True) for i in images.values()] +
                            [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": sha(b"attestation"), "size": 11, "platform": {"os": "unknown", "architecture": "unknown"}}]}).encode()
        nested = [{"mediaType": "application/vnd.oci.image.index.v1+json", "digest": sha(index), "size": len(index), "annotations": {"org.opencontainers.image.ref.name": "example.com/multi:1"}}]
        layout(f"{r.dir}/multi", nested, [i.blobs() for i in images.values()] + [{sha(index): index}])
        for want, (arch, variant) in {"linux/amd64": ("amd64", None), "linux/arm64": ("arm64", "v8"), "linux/arm/v7": ("arm", "v7"), "linux/arm/v6": ("arm", "v6")}.items():
            r.ok("import", f"{r.dir}/multi", "--platform", want)
            assert os.listdir(r.tree(images[arch, variant])) == [arch + (variant or "")]
        missing = r.rast("import", f"{r.dir}/multi", "--platform", "linux/s390x")
        assert missing.status == 4 and "linux/amd64, linux/arm64/v8" in missing.err, missing
        assert r.rast("import", f"{r.dir}/multi", "--platform", "s390x").status == 1
        a, b = images["amd64", None], Image([Layer([entry("b", data=b"b")])])
        layout(f"{r.dir}/two", [a.descriptor("x/a:1"), b.descriptor("x/b:1")], [a.blobs(), b.blobs()])
        assert "--ref chooses one" in r.rast("import", f"{r.dir}/two", "--name", "n").err
        assert r.ok("import", f"{r.dir}/two", "--ref", "x/b:1", "--name", "n").out == "n:latest\n" and r.json("inspect", "n")[0]["layers"] == b.chains()
        assert r.ok("import", f"{r.dir}/two").out.split() == ["x/a:1", "x/b:1"]


def sha512_is_as_good_as_sha256():
    layer = Layer([entry("a", data=b"1")])
    layer.diff, layer.digest = sha(layer.tar, "sha512"), sha(layer.blob, "sha512")
    with Rig(False) as r:
        assert (r.put(Image([layer])) / "a").exists()
        layer.diff = "sha512:" + "0" * 128
        wrong = r.rast("import", Image([layer]).layout(f"{r.dir}/wrong", "w:1"))
        assert wrong.status == 1 and "diff id" in wrong.err


def layers_are_shared_and_collected_when_nobody_needs_them():
    base, a, b = Layer([entry("base", data=b"0")]), Layer([entry("a", data=b"1")]), Layer([entry("b", data=b"2")])
    with Rig() as r:
        one, two = Image([base, a]), Image([base, b])
        r.put(one, "one:1")
        r.put(two, "two:1")
        again = r.ok("import", one.layout(f"{r.dir}/again", "again:1"))
        assert again.err.count("is here already") == 2
        assert len([n for n in os.listdir(f"{r.store}/layers") if not n.endswith(".json")]) == 3
        r.ok("rm", "one:1")
        assert r.tree(one).exists(), "another name needs it"
        removed = json.loads(r.ok("rm", "again:1", "--json").out)
        assert removed["layers"] == 1 and not r.tree(one).exists() and r.tree(two).exists()
        r.ok("rm", "two:1", "--keep-layers")
        assert r.tree(two).exists() and r.json("list") == []
        os.makedirs(f"{r.store}/partial/rubbish/x")
        pathlib.Path(f"{r.store}/partial/blob-sha256-{'0' * 64}").write_bytes(b"x")
        assert json.loads(r.ok("gc", "--json").out) == {"layers": 2, "blobs": 2, "downloads": 2} and r.left() == []
        gone = r.rast("rm", "two:1")
        assert gone.status == 4 and "there is no image 'two:1'" in gone.err
        r.put(one, "one:1")
        near = r.rast("inspect", "onne:1")
        assert near.status == 4 and "did you mean 'one:1'" in near.err


def what_was_changed_since_is_found():
    with Rig() as r:
        t = r.put(Image([Layer(rich())]), "a:1")
        assert r.ok("verify", "--content").out == ""
        subprocess.run(["btrfs", "property", "set", "-ts", t, "ro", "false"], check=True)
        (t / "etc/motd").chmod(0o600)
        found = r.rast("verify")
        assert found.status == 1 and "have been changed" in found.out, found
        (t / "etc/motd").chmod(0o644)
        assert "not read-only any more" in r.rast("verify").out
        subprocess.run(["btrfs", "property", "set", "-ts", t, "ro", "true"], check=True)
        assert r.ok("verify", "a:1").out == ""
        for blob in os.listdir(f"{r.store}/blobs"):
            path = pathlib.Path(f"{r.store}/blobs/{blob}")
            before = path.read_bytes()
            path.write_bytes(before.replace(b"linux", b"lunix").replace(b"schema", b"schemo"))
            assert r.rast("verify").status == 1 and json.loads(r.rast("verify", "--json").out)[0]["image"] == "a:1"
            path.write_bytes(before)
        record = next(pathlib.Path(f"{r.store}/layers").glob("*.json"))
        text = record.read_text()
        record.write_text("{")
        assert "a layer is missing" in r.rast("verify").out
        record.write_text(text)


def a_bundle_has_the_image_s_configuration_and_a_root_of_its_own():
    passwd = b"root:x:0:0::/root:/bin/sh\nwww:x:33:44::/srv/www:/bin/sh\n"
    group = b"root:x:0:\nwww:x:44:\nadm:x:4:www,other\naudio:x:29:other\nextra:x:99:www\n"
    config = {"Entrypoint": ["/bin/serve", "-x"], "Cmd": ["--all"], "Env": ["A=1", "HOME_=2", "bad"], "User": "www", "WorkingDir": "/srv", "StopSignal": "SIGQUIT",
              "ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "Labels": {"maker": "me"}, "Volumes": {"/data": {}}}
    with Rig() as r:
        t = r.put(Image([Layer([entry("etc/passwd", data=passwd), entry("etc/group", data=group)])], config), "b:1")
        r.ok("unpack", "b:1", f"{r.top}/bundle", "--hostname", "box")
        c = json.loads(pathlib.Path(f"{r.top}/bundle/config.json").read_text())
        p = c["process"]
        assert p["args"] == ["/bin/serve", "-x", "--all"] and p["cwd"] == "/srv" and p["user"] == {"uid": 33, "gid": 44, "additionalGids": [4, 99]}
        assert p["env"][:2] == ["A=1", "HOME_=2"] and "HOME=/srv/www" in p["env"] and any(e.startswith("PATH=") for e in p["env"]) and "bad" not in p["env"]
        assert p["capabilities"]["effective"] == [] and "CAP_CHOWN" in p["capabilities"]["bounding"] and c["hostname"] == "box" and c["root"]["path"] == "rootfs"
        notes = c["annotations"]
        assert notes["org.opencontainers.image.stopSignal"] == "SIGQUIT" and notes["maker"] == "me" and set(notes["org.opencontainers.image.exposedPorts"].split(",")) == {"80/tcp", "53/udp"}
        (pathlib.Path(f"{r.top}/bundle/rootfs/new")).write_text("writable")
        assert not (t / "new").exists() and subprocess.run(["btrfs", "subvolume", "show", f"{r.top}/bundle/rootfs"], capture_output=True, check=False).returncode == 0
        assert r.rast("unpack", "b:1", f"{r.top}/bundle").status == 1
        r.ok("unpack", "b:1", f"{r.dir}/elsewhere", "--user", "7:adm", "--", "/bin/other", "arg")  # another file system: a copy
        c = json.loads(pathlib.Path(f"{r.dir}/elsewhere/config.json").read_text())
        assert c["process"]["args"] == ["/bin/other", "arg"] and c["process"]["user"] == {"uid": 7, "gid": 4}
        assert pathlib.Path(f"{r.dir}/elsewhere/rootfs/etc/passwd").read_bytes() == passwd
        for user in ("nobody", "www:nogroup"):
            wrong = r.rast("unpack", "b:1", f"{r.top}/x", "--user", user)
            assert wrong.status == 4 and not os.path.exists(f"{r.top}/x"), wrong
        assert not [n for n in os.listdir(r.top) if "partial" in n]


def a_copy_off_btrfs_has_all_that_the_layer_has():
    with Rig(False) as r:
        image = Image([Layer(rich()), Layer([entry("more", data=b"m")])])
        t = r.put(image, "c:1")
        lower = r.tree(Image(image.layers[:1]))
        describe = lambda top: {str(p.relative_to(top)): (s.st_mode, s.st_uid, s.st_gid, s.st_mtime_ns, s.st_rdev, 0 if p.is_dir() else s.st_size, s.st_nlink if not p.is_dir() else 0,  # noqa: E731
                                                         0 if p.is_dir() else s.st_blocks) for p in top.rglob("*") for s in [os.lstat(p)] if p.name != "more"}
        assert describe(t) == describe(lower) and os.lstat(t / "usr/bin/su").st_ino == os.lstat(t / "usr/bin/sux").st_ino
        assert os.getxattr(t / "ping", "security.capability") == CAPABILITY and (t / "more").exists()


def what_was_asked_wrongly_is_answered_with_how_to_ask():
    with Rig(False) as r:
        assert r.ok("list").out.startswith("NAME") and r.json("list") == [] and r.ok("gc").status == 0
        assert r.rast("import").status == 2 and r.rast("inspect").status == 2 and r.rast("unpack", "x").status == 2
        assert r.rast("rm", "x").status == 4
        os.mkdir(f"{r.dir}/empty")
        assert "neither an OCI layout" in r.rast("import", f"{r.dir}/empty").err
        pathlib.Path(f"{r.dir}/text").write_text("no tar" * 200)
        assert "no tar archive" in r.rast("import", f"{r.dir}/text").err
        assert r.rast("import", "/dev/null", "--name", "x").status == 1 and r.rast("import", f"{r.dir}/missing").status == 4
        for name in ("UPPER", "a b", "a:", "../x", "a@sha256:12", "-a", "a//b", "a" * 300, "x/" * 3):
            bad = r.rast("import", Image([Layer([entry("a")])]).layout(f"{r.dir}/l"), "--name", name)
            assert bad.status == 1 and "image" in bad.err, (name, bad)
        assert r.rast("import", f"{r.dir}/l", "--name", "a", "--max-size", "many").status == 2


imagerig.enter()
run([everything_that_a_layer_says_of_a_file_is_so, each_layer_is_a_read_only_snapshot_of_the_one_below, whiteouts_hide_what_is_below_and_nothing_of_their_own_layer,
     things_replace_things_of_other_kinds, files_go_through_links_of_the_image_to_where_those_lead_in_it, every_form_of_tar_is_read,
     sparse_files_come_out_as_gnu_tar_has_packed_them, concatenated_gzip_members_and_zstd_frames_are_one_stream, docker_archives_old_and_new_and_compressed_are_read,
     the_right_image_of_several_is_taken, sha512_is_as_good_as_sha256, layers_are_shared_and_collected_when_nobody_needs_them, what_was_changed_since_is_found,
     a_bundle_has_the_image_s_configuration_and_a_root_of_its_own, a_copy_off_btrfs_has_all_that_the_layer_has, what_was_asked_wrongly_is_answered_with_how_to_ask])
