#!/usr/bin/python3
"""Pulling images from a registry over HTTPS, with all that goes wrong on the way."""
import base64
import json
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import imagerig  # noqa: E402
from imagerig import Rig  # noqa: E402
from machine import run  # noqa: E402
from ociimage import Image, Layer, entry, sha  # noqa: E402
from registry import Registry, make_ca  # noqa: E402

NOWHERE = {"HOME": "/nonexistent", "XDG_RUNTIME_DIR": "/nonexistent", "REGISTRY_AUTH_FILE": ""}


def pull(rig, name, *args, ca=True, env=None):
    return rig.rast("pull", name, *(["--ca-file", f"{CA}/ca.pem"] if ca else []), "--registries", REGISTRIES, *args, env={**NOWHERE, **(env or {})})


def sample(text=b"1", arch="amd64"):
    return Image([Layer([entry("file", data=text), entry("noise", data=os.urandom(300000))]), Layer([entry("above", data=text)], "zstd")], arch=arch)


def auth_file(rig, entries):
    path = f"{rig.dir}/auth.json"
    pathlib.Path(path).write_text(json.dumps({"auths": entries}))
    return path


def basic(user):
    return {"auth": base64.b64encode(user.encode()).decode()}


def an_image_is_pulled_by_tag_by_digest_and_by_platform():
    with Rig() as r, Registry(CA) as reg:
        one, arm = sample(), sample(arch="arm64")
        digest = reg.add("group/app", "1.2", one, arm, index=True)
        got = pull(r, f"{reg.host}/group/app:1.2")
        assert got.status == 0 and got.out == f"{reg.host}/group/app:1.2\n", got
        assert sorted(os.listdir(r.tree(one))) == ["above", "file", "noise"]
        again = pull(r, f"{reg.host}/group/app@{digest}", "--platform", "linux/arm64")
        assert again.status == 0 and again.out == f"{reg.host}/group/app@{digest}\n" and r.tree(arm).exists()
        named = pull(r, f"{reg.host}/group/app@{sha(one.manifest)}", "--name", "short")
        assert named.out == "short:latest\n" and named.err.count("is here already") == 2 and r.ok("verify", "--content").out == ""
        assert len(reg.asked(one.layers[0].digest)) == 1, "a layer that is here is not fetched again"
        assert not [n for n in os.listdir(f"{r.store}/partial")], "downloads are gone when they are unpacked"
        missing = pull(r, f"{reg.host}/group/app:9")
        assert missing.status == 4 and "has no 9 of group/app" in missing.err, missing


def only_a_certificate_that_is_trusted_will_do():
    with Rig(False) as r, Registry(CA) as reg:
        reg.add("app", "latest", sample())
        refused = pull(r, f"{reg.host}/app", ca=False)
        assert refused.status == 4 and "not to be trusted" in refused.err and r.left() == [], refused
        other = pull(r, f"{reg.host.replace('localhost', '127.0.0.1')}/app")
        assert other.status != 0 and r.left() == [], "the certificate is for another name"
        assert pull(r, f"{reg.host}/app", "--tls-verify=no", ca=False).status == 0
        plain = pull(r, f"{reg.host}/app", "--tls-verify=perhaps")
        assert plain.status == 2


def who_asks_is_told_in_each_way_that_a_registry_may_want():
    with Rig(False) as r, Registry(CA) as reg:
        reg.add("app", "latest", sample())
        reg.user = "me:secret"
        for scheme in ("basic", "bearer"):
            reg.scheme = scheme
            assert pull(r, f"{reg.host}/app").status == 4
            wrong = pull(r, f"{reg.host}/app", "--auth-file", auth_file(r, {reg.host: basic("me:wrong")}))
            assert wrong.status == 4 and reg.host in wrong.err, wrong
            for entries in ({reg.host: basic("me:secret")}, {reg.host: basic("x:y"), reg.host + "/app": basic("me:secret")}):
                assert pull(r, f"{reg.host}/app", "--auth-file", auth_file(r, entries)).status == 0, (scheme, entries)
            r.ok("rm", f"{reg.host}/app")
        assert pull(r, f"{reg.host}/app", env={"REGISTRY_AUTH_FILE": auth_file(r, {reg.host: {"identitytoken": "id.tok"}})}).status == 0
        assert reg.asked("^/token") and any(m == "POST" for m, _, _ in reg.log)
        reg.user, reg.scheme = None, "anonymous"
        assert pull(r, f"{reg.host}/app").status == 0
        broken = pull(r, f"{reg.host}/app", "--auth-file", auth_file(r, {reg.host: {"auth": "x\r\nEvil: 1"}}))
        assert broken.status == 1 and "damaged" in broken.err


def a_password_is_not_sent_to_where_a_redirect_leads():
    with Rig(False) as r, Registry(CA) as reg, Registry(CA) as storage:
        image = sample()
        reg.add("app", "latest", image)
        reg.user, reg.scheme, reg.redirect = "me:secret", "basic", storage
        for layer in image.layers:
            storage.blobs[layer.digest] = reg.blobs.pop(layer.digest)
        assert pull(r, f"{reg.host}/app", "--auth-file", auth_file(r, {reg.host: basic("me:secret")})).status == 0
        assert len(storage.log) == 2 and not any("Authorization" in headers for _, _, headers in storage.log)
        assert "Basic" in reg.asked("manifests")[-1][2]["Authorization"]


def a_download_that_breaks_goes_on_where_it_ended():
    for ranges in (True, False):
        with Rig(False) as r, Registry(CA) as reg:
            image = sample()
            reg.add("app", "latest", image)
            reg.ranges = ranges
            reg.cut[image.layers[0].digest] = 100000
            got = pull(r, f"{reg.host}/app")
            asked = reg.asked(image.layers[0].digest)
            assert got.status == 0 and len(asked) == 2 and asked[1][2]["Range"].startswith("bytes=") and asked[1][2]["Range"] != "bytes=0-", (got, asked)


def a_pull_that_was_killed_keeps_what_it_has():
    with Rig(False) as r, Registry(CA) as reg:
        image = sample()
        reg.add("app", "latest", image)
        reg.status["manifests"] = []
        part = image.layers[0].blob[:123456]
        r.ok("import", sample(b"other").layout(f"{r.dir}/other", "o:1"))
        pathlib.Path(f"{r.store}/partial/blob-{image.layers[0].digest.replace(':', '-')}").write_bytes(part)
        assert pull(r, f"{reg.host}/app").status == 0
        assert reg.asked(image.layers[0].digest)[0][2]["Range"] == "bytes=123456-"
        again = sample(b"2")
        reg.add("app", "2", again)
        partial = pathlib.Path(f"{r.store}/partial/blob-{again.layers[0].digest.replace(':', '-')}")
        partial.write_bytes(b"x" * 1000)  # what is there is wrong: found out, thrown away
        bad = pull(r, f"{reg.host}/app:2")
        assert bad.status == 1 and not partial.exists(), bad
        assert pull(r, f"{reg.host}/app:2").status == 0


def what_is_not_what_its_digest_says_is_refused():
    with Rig(False) as r, Registry(CA) as reg:
        image = sample()
        digest = reg.add("app", "latest", image)
        lies = [(digest, image.manifest.replace(b"2", b"3", 1)), (sha(image.config), image.config.replace(b"linux", b"linus")), (image.layers[0].digest, image.layers[0].blob[:-9] + b"x" * 9),
                (image.layers[1].digest, image.layers[1].blob + b"more"), (image.layers[1].digest, b"")]
        for what, lie in lies:
            reg.lie = {what: lie}
            got = pull(r, f"{reg.host}/app@{digest}")
            assert got.status == 1 and r.json("list") == [], (what, got)
        reg.lie = {}
        assert pull(r, f"{reg.host}/app@{digest}").status == 0


def errors_that_pass_are_tried_again_and_others_not():
    with Rig(False) as r, Registry(CA) as reg:
        image = sample()
        reg.add("app", "latest", image)
        reg.status[image.layers[0].digest] = [503]
        assert pull(r, f"{reg.host}/app").status == 0
        reg.status = {"manifests": [403]}
        private = pull(r, f"{reg.host}/app")
        assert private.status == 4 and "may be private" in private.err, private


def mirrors_are_asked_first_and_the_registry_when_they_fail():
    with Rig(False) as r, Registry(CA) as reg, Registry(CA) as mirror:
        image = sample()
        reg.add("app", "latest", image)
        mirror.add("app", "latest", image)
        del mirror.blobs[image.layers[1].digest]
        path = pathlib.Path(f"{r.dir}/registries.ini")
        path.write_text(f"[default]\nregistry = {reg.host}\n[{reg.host}]\nmirrors = {mirror.host} localhost:1\nca-file = {CA}/ca.pem\n[{mirror.host}]\nca-file = {CA}/ca.pem\n")
        got = r.rast("pull", "app", "--registries", path, env=NOWHERE)
        assert got.status == 0 and got.out == f"{reg.host}/app:latest\n", got
        assert mirror.asked("manifests") and not reg.asked("manifests") and reg.asked(image.layers[1].digest) and not reg.asked(image.layers[0].digest)
        assert pull(r, f"{reg.host}/app", "--mirror", "localhost:1").status == 0
        for text, why in (("[x]\nfoo = 1\n", "can't be"), ("[default]\nmirrors = x\n", "registry is the one"), ("[x]\ntls-verify = perhaps\n", "can't be")):
            path.write_text(text)
            wrong = r.rast("pull", "app", "--registries", path, env=NOWHERE)
            assert wrong.status == 1 and why in wrong.err and ":2" in wrong.err, wrong
        nowhere = pull(r, "app")
        assert nowhere.status == 1 and "names no registry" in nowhere.err


imagerig.enter()
with tempfile.TemporaryDirectory(prefix="rast-ca-") as CA:
    make_ca(CA)
    REGISTRIES = f"{CA}/registries.ini"
    pathlib.Path(REGISTRIES).write_text("")
    run([an_image_is_pulled_by_tag_by_digest_and_by_platform, only_a_certificate_that_is_trusted_will_do, who_asks_is_told_in_each_way_that_a_registry_may_want,
         a_password_is_not_sent_to_where_a_redirect_leads, a_download_that_breaks_goes_on_where_it_ended, a_pull_that_was_killed_keeps_what_it_has,
         what_is_not_what_its_digest_says_is_refused, errors_that_pass_are_tried_again_and_others_not, mirrors_are_asked_first_and_the_registry_when_they_fail])
