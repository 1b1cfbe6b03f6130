"""A registry for tests: OCI distribution-spec over TLS, with a certificate authority of its own, and faults on demand."""
import base64
import http.server
import json
import re
import ssl
import subprocess
import threading
import urllib.parse

from ociimage import INDEX, sha


def make_ca(folder, host="localhost"):
    """ca.pem, and a certificate for host signed by it."""
    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=folder)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test", "-days", "30")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem", "-out", "csr.pem", "-subj", f"/CN={host}")
    with open(f"{folder}/ext", "w") as f:
        f.write(f"subjectAltName=DNS:{host}")
    openssl("x509", "-req", "-in", "csr.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "cert.pem", "-days", "30", "-extfile", "ext")


class Registry(http.server.ThreadingHTTPServer):
    """blobs: {digest: bytes}; tags: {(repository, tag): digest}. What was asked is in log: (method, path, headers)."""
    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("localhost", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.host = f"localhost:{self.server_address[1]}"
        self.blobs, self.tags, self.log = {}, {}, []
        self.user = None        # "user:password" that is wanted
        self.scheme = "bearer"  # or basic
        self.redirect = None    # another Registry that has the blobs
        self.cut = {}           # digest: how many bytes are sent before the connection breaks, once each
        self.ranges = True
        self.lie = {}           # digest: other bytes
        self.status = {}        # regular expression on the path: [statuses to answer with first]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def add(self, repository, tag, *images, index=False):
        for image in images:
            self.blobs.update(image.blobs())
        top = images[0].manifest
        if index:
            top = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [i.descriptor(platform=True) for i in images]}).encode()
            self.blobs[sha(top)] = top
        self.tags[repository, tag] = sha(top)
        return sha(top)

    def asked(self, pattern):
        return [entry for entry in self.log if re.search(pattern, entry[1])]

    def handle_error(self, *_):
        """A client that has gone, or doesn't trust us, is part of the tests."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def allowed(self):
        s = self.server
        got = self.headers.get("Authorization", "")
        if not s.user and s.scheme != "anonymous":
            return True
        if s.scheme == "basic" and got == "Basic " + base64.b64encode(s.user.encode()).decode():
            return True
        if s.scheme in ("bearer", "anonymous") and got == "Bearer t0ken":
            return True
        if s.scheme == "basic":
            self.answer(401, WWW_Authenticate='Basic realm="here"')
        else:
            self.answer(401, b"no", WWW_Authenticate=f'Bearer realm="https://{s.host}/token?x=1",service="svc \\"quoted\\"",scope="repository:app:pull"')
        return False

    def token(self):
        s = self.server
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        good = s.scheme == "anonymous" or self.headers.get("Authorization") == "Basic " + base64.b64encode(s.user.encode()).decode()
        if query.get("scope") != ["repository:app:pull"] or query.get("service") != ['svc "quoted"']:
            self.answer(400)
        elif not good:
            self.answer(401)
        else:
            self.answer(200, b'{"token": "t0ken", "expires_in": 60}')

    def do_POST(self):  # OAuth2: an identity token is exchanged
        body = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.log.append(("POST", self.path, dict(self.headers)))
        good = body.get("refresh_token") == ["id.tok"] and body.get("grant_type") == ["refresh_token"]
        self.answer(200 if good else 401, b'{"access_token": "t0ken"}' if good else b"")

    def do_GET(self):
        s = self.server
        s.log.append(("GET", self.path, dict(self.headers)))
        for pattern, statuses in s.status.items():
            if re.search(pattern, self.path) and statuses:
                self.answer(statuses.pop(0))
                return
        if self.path.startswith("/token"):
            self.token()
            return
        if not self.allowed():
            return
        found = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/([^/]+)", self.path)
        if not found:
            self.answer(404)
            return
        repository, kind, ref = found.groups()
        digest = s.tags.get((repository, ref), ref if ":" in ref else None)
        if kind == "blobs" and s.redirect and digest not in s.blobs:
            self.answer(307, Location=f"https://{s.redirect.host}{self.path}")
        elif digest not in s.blobs:
            self.answer(404, b'{"errors": [{"code": "NOT_FOUND"}]}')
        else:
            self.blob(digest, s.lie.get(digest, s.blobs[digest]))

    def blob(self, digest, data):
        s = self.server
        begin = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        at = int(begin[1]) if begin and s.ranges else 0
        if at >= len(data) > 0:
            self.answer(416)
            return
        self.send_response(206 if at else 200)
        self.send_header("Content-Length", str(len(data) - at))
        self.end_headers()
        cut = s.cut.pop(digest, None)
        self.wfile.write(data[at:] if cut is None else data[at:at + cut])
        if cut is not None:
            self.wfile.flush()
            self.connection.shutdown(2)
            self.close_connection = True
