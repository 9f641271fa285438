"""A small server that speaks the Hub's API over HTTP, as huggingface_hub uses it."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import yaml  # which huggingface_hub needs

LARGE = (".safetensors", ".bin")


@dataclass
class Repository:
    """Its commits (id -> path -> content), its branches, and who may read it."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    private: bool = False
    gated: bool = False

    def commit(
        self, files: dict[str, bytes], branch: str = "main", deleted: Collection[str] = ()
    ) -> str:
        content = {**self.commits.get(self.refs.get(branch, ""), {}), **files}
        content = {path: data for path, data in content.items() if path not in deleted}
        seed = [
            len(self.commits),
            sorted((k, hashlib.sha1(v).hexdigest()) for k, v in content.items()),
        ]
        oid = hashlib.sha1(repr(seed).encode()).hexdigest()
        self.commits[oid] = content
        self.refs[branch] = oid
        return oid

    def resolve(self, revision: str) -> str | None:
        return revision if revision in self.commits else self.refs.get(revision)


class FakeHub(ThreadingHTTPServer):
    """Repositories, large files by their hash, tokens with what they may do, and a log."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.tokens = {"hf_reader": "read", "hf_writer": "write"}
        self.log: list[tuple[str, str, dict[str, str]]] = []
        self.messages: list[str] = []
        self.cut_after: int | None = None  # bytes of the next large file, then the line drops

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def elsewhere(self) -> str:
        """Another host, as large files have."""
        return self.url.replace("127.0.0.1", "localhost")

    def add(self, name: str, files: dict[str, bytes], **facts: bool) -> str:
        """Make a repository, or a new commit of one, and return the commit."""
        repository = self.repositories.setdefault(name, Repository())
        for key, value in facts.items():
            setattr(repository, key, value)
        self.large |= {hashlib.sha256(v).hexdigest(): v for v in files.values()}
        return repository.commit(files)

    def requests(self, method: str, pattern: str) -> list[dict[str, str]]:
        """Return the headers of the requests whose path matches."""
        return [h for m, path, h in self.log if m == method and re.search(pattern, path)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeHub

    def log_message(self, *words) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.answer()

    do_GET = do_POST = do_PUT = do_HEAD

    def answer(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        self.server.log.append((self.command, path, dict(self.headers)))
        routes = [
            (r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", self.info),
            (r"/api/models/([^/]+/[^/]+)/tree/([^/]+)/?", self.tree),
            (r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.file),
            (r"/large/([0-9a-f]{64})", self.large_file),
            (r"/api/repos/create", self.create),
            (r"/api/validate-yaml", self.validate),
            (r"/api/models/([^/]+/[^/]+)/preupload/(.+)", self.preupload),
            (r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", self.batch),
            (r"/api/models/([^/]+/[^/]+)/commit/(.+)", self.commit),
        ]
        # What is more particular comes later.
        for pattern, route in reversed(routes):
            if match := re.fullmatch(pattern, path):
                return route(*match.groups())
        return self.fail(404, "", "no such address")

    def reply(self, content: object, status: int = 200, **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def fail(self, status: int, code: str, message: str) -> None:
        self.reply({"error": message}, status, X_Error_Code=code, X_Error_Message=message)

    @property
    def right(self) -> str | None:
        """What the token allows: None without one, "" for one that is unknown."""
        header = self.headers.get("Authorization")
        return header and self.server.tokens.get(header.removeprefix("Bearer "), "")

    def opened(self, name: str, revision: str, *, files: bool = False):
        """Return a repository and a commit of it, or None where the answer was an error."""
        repository = self.server.repositories.get(name)
        if self.right == "":
            self.fail(401, "", "Invalid credentials in Authorization header")
        elif repository is None or (repository.private and not self.right):
            self.fail(404 if self.right else 401, "RepoNotFound", "Repository not found")
        elif files and repository.gated and not self.right:
            self.fail(401, "GatedRepo", "Access to this model is restricted")
        elif (commit := repository.resolve(revision)) is None:
            self.fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            return repository, commit
        return None

    def info(self, name: str, revision: str | None) -> None:
        if found := self.opened(name, revision or "main"):
            repository, commit = found
            siblings = [{"rfilename": path} for path in repository.commits[commit]]
            self.reply({
                "id": name, "modelId": name, "sha": commit, "private": repository.private,
                "gated": "auto" if repository.gated else False, "disabled": False,
                "downloads": 0, "likes": 0, "tags": [], "siblings": siblings,
            })  # fmt: skip

    def tree(self, name: str, revision: str) -> None:
        if found := self.opened(name, revision):
            repository, commit = found
            entries = []
            for path, data in repository.commits[commit].items():
                entry = {"type": "file", "path": path, "size": len(data), "oid": blob_id(data)}
                if path.endswith(LARGE):
                    oid = hashlib.sha256(data).hexdigest()
                    entry["lfs"] = {"oid": oid, "size": len(data), "pointerSize": 134}
                entries.append(entry)
            self.reply(entries)

    def file(self, name: str, revision: str, path: str) -> None:
        if found := self.opened(name, revision, files=True):
            repository, commit = found
            data = repository.commits[commit].get(path)
            if data is None:
                self.fail(404, "EntryNotFound", "Entry not found")
            elif path.endswith(LARGE):
                oid = hashlib.sha256(data).hexdigest()
                self.reply(
                    b"", 302, X_Repo_Commit=commit, X_Linked_Etag=f'"{oid}"',
                    X_Linked_Size=str(len(data)), Location=f"{self.server.elsewhere}/large/{oid}",
                )  # fmt: skip
            else:
                length = str(len(data))
                tag = f'"{blob_id(data)}"'
                self.reply(data, X_Repo_Commit=commit, ETag=tag, Content_Length=length)

    def large_file(self, oid: str) -> None:
        if self.command == "PUT":
            assert hashlib.sha256(self.body).hexdigest() == oid
            self.server.large[oid] = self.body
            return self.reply(b"")
        data = self.server.large[oid]
        start = int(re.sub(r"\D", "", self.headers.get("Range", "0")) or 0)
        rest = data[start:]
        headers = {"ETag": f'"{oid}"', "Content_Length": str(len(rest))}
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        if self.command == "GET" and self.server.cut_after is not None:
            rest, self.server.cut_after = rest[: self.server.cut_after], None
            self.close_connection = True
        return self.reply(rest, 206 if start else 200, **headers)

    def may_write(self) -> bool:
        if self.right == "write":
            return True
        if self.right:
            self.fail(403, "", "You don't have the rights to create a model here")
        else:
            self.fail(401, "", "Invalid credentials in Authorization header")
        return False

    def create(self) -> None:
        if self.may_write():
            wish = json.loads(self.body)
            name = f"{wish['organization']}/{wish['name']}"
            if name in self.server.repositories:
                message = "You already created this model repo"
                return self.reply({"error": message, "url": f"{self.server.url}/{name}"}, 409)
            private = wish.get("visibility") == "private" or wish.get("private") is True
            self.server.repositories[name] = Repository(private=private)
            self.server.add(name, {".gitattributes": b"*.safetensors filter=lfs\n"})
            self.reply({"url": f"{self.server.url}/{name}"})
        return None

    def validate(self) -> None:
        text = json.loads(self.body)["content"]
        good = text.startswith("---\n") and "\n---\n" in text
        if good:
            try:
                good = isinstance(yaml.safe_load(text.split("---\n")[1]), dict)
            except yaml.YAMLError:
                good = False
        wrong = [] if good else [{"message": "no metadata"}]
        self.reply({"errors": wrong, "warnings": []}, 200 if good else 400)

    def preupload(self, name: str, revision: str) -> None:
        if self.may_write() and self.opened(name, revision):
            files = json.loads(self.body)["files"]
            self.reply({"files": [
                {
                    "path": f["path"], "shouldIgnore": False, "oid": None,
                    "uploadMode": "lfs" if f["path"].endswith(LARGE) else "regular",
                }
                for f in files
            ]})  # fmt: skip

    def batch(self, name: str) -> None:
        if self.may_write() and self.opened(name, "main"):
            objects = []
            for wanted in json.loads(self.body)["objects"]:
                action = {"href": f"{self.server.url}/large/{wanted['oid']}"}
                new = wanted["oid"] not in self.server.large
                objects.append({**wanted, **({"actions": {"upload": action}} if new else {})})
            self.reply({"transfer": "basic", "objects": objects})

    def commit(self, name: str, revision: str) -> None:
        if self.may_write() and (found := self.opened(name, revision)):
            files, deleted = {}, []
            for line in self.body.splitlines():
                item = json.loads(line)
                value = item["value"]
                if item["key"] == "header":
                    self.server.messages.append(value["summary"])
                elif item["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif item["key"] == "lfsFile":
                    files[value["path"]] = self.server.large[value["oid"]]
                elif item["key"] == "deletedFile":
                    deleted.append(value["path"])
            oid = found[0].commit(files, revision, deleted)
            url = f"{self.server.url}/{name}/commit/{oid}"
            self.reply({"success": True, "commitOid": oid, "commitUrl": url})


def blob_id(data: bytes) -> str:
    """Return git's id of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def serve(hub: FakeHub) -> threading.Thread:
    """Serve in the background until ``hub.shutdown()``."""
    thread = threading.Thread(target=lambda: hub.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    return thread
