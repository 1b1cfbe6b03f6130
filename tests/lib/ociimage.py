"""Container images made by the tests themselves: layers as lists of entries, OCI layouts and docker archives of them.

    layer = Layer([File("etc/motd", b"hello"), Link("bin", "usr/bin"), ("usr/bin", "dir")])
    Image([layer], config={"Cmd": ["/bin/sh"]}).layout(path, "example.com/test:1")
"""
import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def sha(data, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


class Entry(tarfile.TarInfo):
    __slots__ = ("content",)


def entry(name, kind="file", data=b"", mode=None, uid=0, gid=0, mtime=1_600_000_000, link="", pax=None, major=0, minor=0):
    """A tarfile.TarInfo with its content."""
    t = Entry(name)
    t.type = {"file": tarfile.REGTYPE, "dir": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE, "link": tarfile.LNKTYPE, "char": tarfile.CHRTYPE,
              "block": tarfile.BLKTYPE, "fifo": tarfile.FIFOTYPE}[kind]
    t.mode = mode if mode is not None else 0o755 if kind == "dir" else 0o644
    t.uid, t.gid, t.mtime, t.linkname, t.devmajor, t.devminor = uid, gid, mtime, link, major, minor
    t.size = len(data) if kind == "file" else 0
    t.pax_headers = dict(pax or {})
    t.content = data
    return t


def tar(entries, form=tarfile.PAX_FORMAT):
    """Bytes of an archive. Entries are TarInfos or bytes, which are copied as they are."""
    out = io.BytesIO()
    for e in entries:
        if isinstance(e, bytes):
            out.write(e)
            continue
        out.write(e.tobuf(form, "utf-8", "surrogateescape"))
        out.write(e.content + b"\0" * (-len(e.content) % 512))
    return out.getvalue() + b"\0" * 1024


def compress(data, how):
    if how == "gzip":
        return gzip.compress(data, 6, mtime=0)
    if how == "zstd":
        return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return data


class Layer:
    def __init__(self, entries, compression="gzip", form=tarfile.PAX_FORMAT):
        self.tar = entries if isinstance(entries, bytes) else tar(entries, form)
        self.compression = compression
        self.blob = compress(self.tar, compression)
        self.diff, self.digest = sha(self.tar), sha(self.blob)

    @property
    def media(self):
        return LAYER + {"gzip": "+gzip", "zstd": "+zstd", None: ""}[self.compression]


class Image:
    def __init__(self, layers, config=None, arch="amd64", os_="linux", variant=None, config_text=None):
        self.layers, self.arch, self.os = layers, arch, os_
        doc = {"architecture": arch, "os": os_, "config": config or {}, "rootfs": {"type": "layers", "diff_ids": [layer.diff for layer in layers]}}
        if variant:
            doc["variant"] = variant
        self.variant = variant
        self.config = config_text or json.dumps(doc).encode()
        self.manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": CONFIG, "digest": sha(self.config), "size": len(self.config)},
                                    "layers": [{"mediaType": layer.media, "digest": layer.digest, "size": len(layer.blob)} for layer in layers]}).encode()

    def blobs(self):
        return {sha(self.config): self.config, sha(self.manifest): self.manifest, **{layer.digest: layer.blob for layer in self.layers}}

    def descriptor(self, name=None, platform=False):
        d = {"mediaType": MANIFEST, "digest": sha(self.manifest), "size": len(self.manifest)}
        if name:
            d["annotations"] = {"org.opencontainers.image.ref.name": name}
        if platform:
            d["platform"] = {"architecture": self.arch, "os": self.os, **({"variant": self.variant} if self.variant else {})}
        return d

    def chains(self):
        ids = [self.layers[0].diff]
        for layer in self.layers[1:]:
            ids.append(sha(f"{ids[-1]} {layer.diff}".encode()))
        return ids

    def layout(self, path, name=None):
        return layout(path, [self.descriptor(name)], [self.blobs()])

    def docker(self, path, tags):
        """What docker save wrote up to version 24."""
        files, names = {}, []
        for layer in self.layers:
            names.append(f"{layer.diff[7:]}/layer.tar")
            files[names[-1]] = layer.tar
        config = sha(self.config)[7:] + ".json"
        files[config] = self.config
        files["manifest.json"] = json.dumps([{"Config": config, "RepoTags": tags, "Layers": names}]).encode()
        with open(path, "wb") as f:
            f.write(tar([entry(name, data=data) for name, data in files.items()]))
        return path


def layout(path, descriptors, blobs):
    """An OCI layout in a folder. blobs: {digest: bytes} dictionaries."""
    for digests in blobs:
        for digest, data in digests.items():
            algorithm, value = digest.split(":")
            os.makedirs(f"{path}/blobs/{algorithm}", exist_ok=True)
            with open(f"{path}/blobs/{algorithm}/{value}", "wb") as f:
                f.write(data)
    with open(f"{path}/oci-layout", "w") as f:
        f.write('{"imageLayoutVersion": "1.0.0"}')
    with open(f"{path}/index.json", "w") as f:
        json.dump({"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors}, f)
    return path
