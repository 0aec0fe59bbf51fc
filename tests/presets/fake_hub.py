"""A small server with the addresses of the Hugging Face Hub, for its real client."""

import base64
import contextlib
import hashlib
import http.server
import json
import re
import threading

COMMIT = "0" * 39 + "1"


class Handler(http.server.BaseHTTPRequestHandler):
    """Stores files of repositories in `server.files`, as bytes by `(repo, path)`.

    Text goes with the commit, as the Hub wants it. Other files are uploaded before it
    by the protocol of Git LFS, and the commit names them by their hash.
    """

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        """Print nothing."""

    def reply(self, content=b"", status=200, **headers):
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
            headers["Content-Type"] = "application/json"
        self.send_response(status)
        for name, value in {"Content-Length": len(content), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def do_PUT(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.objects[hashlib.sha256(content).hexdigest()] = content
        self.reply()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            names = asked.get("organization"), asked["name"]
            repo = "/".join(name for name in names if name)
            known = repo in self.server.repos
            self.server.repos.add(repo)
            self.reply({"url": f"{self.server.url}/{repo}"}, 409 if known else 200)
        elif self.path == "/api/validate-yaml":
            self.reply({"errors": [], "warnings": []})
        elif self.path.endswith("/preupload/main"):
            files = [file["path"] for file in json.loads(body)["files"]]
            texts = (".md", ".json", ".gitattributes")
            modes = {x: "regular" if x.endswith(texts) else "lfs" for x in files}
            self.reply(
                {
                    "files": [
                        {"path": x, "uploadMode": modes[x], "shouldIgnore": False}
                        for x in files
                    ]
                }
            )
        elif self.path.endswith("/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            for each in objects:
                href = f"{self.server.url}/upload/{each['oid']}"
                each["actions"] = {"upload": {"href": href, "header": {}}}
            self.reply({"transfer": "basic", "objects": objects})
        elif found := re.fullmatch("/api/models/(.+)/commit/main", self.path):
            for line in body.splitlines():
                entry = json.loads(line)
                value = entry["value"]
                if entry["key"] == "file":
                    content = base64.b64decode(value["content"])
                    self.server.files[found[1], value["path"]] = content
                elif entry["key"] == "lfsFile":
                    content = self.server.objects[value["oid"]]
                    self.server.files[found[1], value["path"]] = content
            url = f"{self.server.url}/{found[1]}/commit/{COMMIT}"
            self.reply({"success": True, "commitOid": COMMIT, "commitUrl": url})
        else:
            self.reply({"error": f"unknown: {self.path}"}, 500)

    def do_GET(self):
        path = self.path.partition("?")[0]
        if found := re.fullmatch("/api/models/(.+)/(revision|tree)/[^/]+", path):
            paths = [name for repo, name in self.server.files if repo == found[1]]
            if found[1] not in self.server.repos:
                self.reply({"error": "x"}, 404, X_Error_Code="RepoNotFound")
            elif found[2] == "tree":
                self.reply(
                    [
                        {
                            "type": "file",
                            "path": x,
                            "oid": hashlib.sha1(x.encode()).hexdigest(),
                            "size": len(self.server.files[found[1], x]),
                        }
                        for x in paths
                    ]
                )
            else:
                siblings = [{"rfilename": x} for x in paths]
                facts = {"id": found[1], "sha": COMMIT, "siblings": siblings}
                self.reply({**facts, "private": False, "tags": [], "downloads": 0})
        elif found := re.fullmatch("/(.+?)/resolve/[^/]+/(.+)", path):
            content = self.server.files.get((found[1], found[2]))
            if content is None:
                self.reply({"error": "x"}, 404, X_Error_Code="EntryNotFound")
            else:
                etag = f'"{hashlib.sha256(content).hexdigest()}"'
                self.reply(content, ETag=etag, X_Repo_Commit=COMMIT)
        else:
            self.reply({"error": f"unknown: {path}"}, 404)

    do_HEAD = do_GET


@contextlib.contextmanager
def fake_hub():
    """Serve an empty hub on a free port; yield the server, with `url` and `files`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{server.server_port}"
    server.repos, server.files, server.objects = set(), {}, {}
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
