"""A W&B server on loopback that keeps what it is told: as much of one as clients of these tests ask for."""

import base64
import gzip
import json
import re
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "a" * 40
"""The one key that the server takes."""


def graph_id(name: str) -> str:
    """An id as W&B's are: text in base64."""
    return base64.b64encode(f"Artifact:{name}".encode()).decode()


def artifact_name(identity: str) -> str:
    """The name that is in an id."""
    return base64.b64decode(identity).decode().partition(":")[2]


PROJECT = {"id": "cA==", "internalId": "cA==", "name": "memlaw", "entity": {"name": "me"}}


def artifact(name: str) -> dict[str, Any]:
    """An artifact as the server describes it."""
    return {
        "__typename": "Artifact", "id": graph_id(name), "versionIndex": 0, "artifactType": {"name": "records"},
        "artifactSequence": {"__typename": "ArtifactSequence", "name": name, "project": PROJECT},
        "description": None, "metadata": None, "ttlDurationSeconds": 0, "ttlIsInherited": True, "tags": [],
        "historyStep": None, "state": "COMMITTED", "size": 1, "digest": "0", "commitHash": "0", "fileCount": 1,
        "createdAt": "2026-01-01T00:00:00", "updatedAt": None, "aliases": [],
    }  # fmt: skip


class KeptRun:
    """What the server knows of a run."""

    def __init__(self) -> None:
        self.created = 0
        self.config: dict[str, Any] = {}
        self.lines: dict[int, dict[str, Any]] = {}
        self.summary: dict[str, Any] = {}
        self.exit_code: int | None = None
        self.artifacts: list[str] = []
        self.used: list[str] = []
        self.preempting = False

    @property
    def steps(self) -> list[int]:
        """The `_step` of each line of history, in order."""
        return [self.lines[number]["_step"] for number in sorted(self.lines)]

    @property
    def losses(self) -> dict[int, float]:
        """The latest `loss_nats` of each step; a run that is uploaded again is appended to what is there."""
        return {line["_step"]: line["loss_nats"] for _, line in sorted(self.lines.items()) if "loss_nats" in line}


class WandbServer:
    """A server in a thread.

    Attributes:
        runs: by id.
        asked: operations and paths, in order.
        refusals: so many further requests are answered with 429.
        delay_s: before each answer.
        dies_after: lines of history after which each file stream request is answered with 500; None is never.
    """

    def __init__(self) -> None:
        self.runs: defaultdict[str, KeptRun] = defaultdict(KeptRun)
        self.asked: list[str] = []
        self.refusals = 0
        self.delay_s = 0.0
        self.dies_after: int | None = None
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                time.sleep(server.delay_s)
                with server.lock:
                    code, answer = server.handle(self.path, self.headers.get("Authorization", ""), body)
                data = json.dumps(answer).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Close the port."""
        self._http.shutdown()
        self._http.server_close()

    def handle(self, path: str, authorization: str, body: bytes) -> tuple[int, Any]:
        """Status and JSON for a request."""
        if path.startswith("/upload/"):
            return 200, {}
        given = base64.b64decode(authorization.partition(" ")[2] or "").decode(errors="replace")
        if not given.endswith(f":{KEY}"):
            return 401, {"errors": [{"message": "wrong key"}]}
        if self.refusals > 0:
            self.refusals -= 1
            return 429, {"errors": [{"message": "rate limit exceeded"}]}
        if path.endswith("/file_stream"):
            return self._stream(path.split("/")[-2], json.loads(body))
        asked = json.loads(body or b"{}")
        found = re.search(r"(?:query|mutation)\s+(\w+)", asked.get("query", ""))
        operation = found[1] if found else "?"
        self.asked.append(operation)
        answer = getattr(self, f"_{operation}", lambda _: {})(asked.get("variables") or {})
        return 200, {"data": answer}

    def _stream(self, run: str, told: dict[str, Any]) -> tuple[int, Any]:
        self.asked.append(f"file_stream {run}")
        if self.dies_after is not None and sum(len(one.lines) for one in self.runs.values()) >= self.dies_after:
            return 500, {}
        kept = self.runs[run]
        for name, chunk in (told.get("files") or {}).items():
            for number, line in enumerate(chunk["content"]):
                if name == "wandb-history.jsonl":
                    kept.lines[chunk["offset"] + number] = json.loads(line)
                elif name == "wandb-summary.json":
                    kept.summary = json.loads(line)
        self.runs[run].preempting |= bool(told.get("preempting"))
        if told.get("complete"):
            kept.exit_code = told.get("exitcode")
        return 200, {}

    def _Viewer(self, _: Any) -> Any:
        return {"viewer": {"id": "u", "entity": "me", "username": "me", "email": "me@x", "flags": "{}",
                           "teams": {"edges": []}}}  # fmt: skip

    def _ServerFeaturesQuery(self, _: Any) -> Any:
        return {"serverInfo": {"features": []}}

    def _RunResumeStatus(self, asked: Any) -> Any:
        project = {"id": "p", "name": asked["project"], "entity": {"id": "e", "name": asked.get("entity") or "me"}}
        if asked["name"] not in self.runs:
            return {"model": {**project, "bucket": None}}
        kept = self.runs[asked["name"]]
        lines = [kept.lines[number] for number in sorted(kept.lines)]
        bucket = {
            "id": asked["name"], "name": asked["name"], "summaryMetrics": json.dumps(kept.summary), "displayName": "",
            "logLineCount": 0, "historyLineCount": len(lines), "eventsLineCount": 0,
            "historyTail": json.dumps([json.dumps(line) for line in lines[-1:]]), "eventsTail": "[]",
            "config": json.dumps(kept.config), "tags": [], "wandbConfig": json.dumps({"t": 1}),
        }  # fmt: skip
        return {"model": {**project, "bucket": bucket}}

    def _UpsertBucket(self, asked: Any) -> Any:
        name = asked.get("name") or asked.get("id")
        kept = self.runs[name]
        kept.created += 1
        kept.config.update(json.loads(asked.get("config") or "{}"))
        project = {"id": "p", "name": asked.get("project") or "memlaw", "entity": {"id": "e", "name": "me"}}
        bucket = {"id": name, "name": name, "displayName": asked.get("displayName") or name, "description": None,
                  "config": None, "sweepName": None, "project": project,
                  "historyLineCount": len(kept.lines)}  # fmt: skip
        return {"upsertBucket": {"bucket": bucket, "inserted": kept.created == 1}}

    def _ArtifactType(self, _: Any) -> Any:
        return {"project": {"artifact": None}}

    def _CreateArtifact(self, asked: Any) -> Any:
        told = asked.get("input") or asked
        name = told.get("artifactCollectionName") or "?"
        if told.get("runName") in self.runs:
            self.runs[told["runName"]].artifacts.append(name)
        sequence = {"id": "s", "latestArtifact": None}
        return {"createArtifact": {"artifact": {"id": graph_id(name), "state": "COMMITTED",
                                                "artifactSequence": sequence}}}  # fmt: skip

    def _ArtifactByID(self, asked: Any) -> Any:
        return {"artifact": artifact(artifact_name(asked["id"]))}

    def _ArtifactMembershipByName(self, asked: Any) -> Any:
        name = asked["name"].partition(":")[0]
        if not any(name in run.artifacts for run in self.runs.values()):
            return {"project": {"artifactCollectionMembership": None}}
        membership = {"__typename": "ArtifactCollectionMembership", "id": graph_id("membership"), "versionIndex": 0,
                      "createdAt": "2026-01-01T00:00:00", "aliases": [], "artifact": artifact(name),
                      "artifactCollection": {"__typename": "ArtifactSequence", "name": name,
                                             "project": PROJECT}}  # fmt: skip
        return {"project": {"artifactCollectionMembership": membership}}

    def _UseArtifact(self, asked: Any) -> Any:
        told = asked.get("input") or asked
        self.runs[told["runName"]].used.append(artifact_name(told["artifactID"]))
        return {"useArtifact": {"artifact": {"id": told["artifactID"], "digest": "", "description": "",
                                             "state": "COMMITTED", "createdAt": "", "metadata": None}}}  # fmt: skip

    def _CreateRunFiles(self, asked: Any) -> Any:
        files = [
            {"name": name, "uploadUrl": f"{self.url}/upload/{number}"} for number, name in enumerate(asked["files"])
        ]
        return {"createRunFiles": {"runID": asked["run"], "uploadHeaders": [], "files": files}}
