"""What an operator declares: where the server listens, what it may read and keep, what a request may cost."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from morelli.errors import UsageError
from morelli.inspection.answers import Precision

MIB = 1024 * 1024


@dataclass(frozen=True)
class RequestLimits:
    """What one request, and all of them together, may cost.

    Attributes:
        file_bytes: largest uploaded file.
        request_bytes: largest request body.
        files: most files in one request.
        pixels: largest width × height of an image.
        decode_seconds: processor time that decoding one image may take.
        body_seconds: how long a client may take to send its whole body.
        idle_seconds: how long it may send nothing while its body is not complete.
        answer_seconds: how long an image may wait for its answer.
        uploads_bytes: bodies held in memory at once, of all requests together.
        waiting: images that may wait for the encoder; more are told to come back (503).
        case_bytes: memory for cases, the least recently used of which are forgotten.
        case_seconds: how long a case that nobody asks for is remembered.
        jobs: jobs that may wait or run; finished ones are not counted.
        job_images: most images of one job.
        job_seconds: how long a finished job is remembered.
    """

    file_bytes: int = 64 * MIB
    request_bytes: int = 128 * MIB
    files: int = 64
    pixels: int = 120_000_000
    decode_seconds: float = 20.0
    body_seconds: float = 60.0
    idle_seconds: float = 15.0
    answer_seconds: float = 120.0
    uploads_bytes: int = 512 * MIB
    waiting: int = 128
    case_bytes: int = 512 * MIB
    case_seconds: float = 1800.0
    jobs: int = 8
    job_images: int = 100_000
    job_seconds: float = 6 * 3600.0

    def shared(self, workers: int) -> RequestLimits:
        """The limits of one of several workers: its share of what is held and waits."""
        if workers == 1:
            return self
        return replace(
            self,
            uploads_bytes=max(self.uploads_bytes // workers, self.request_bytes),
            waiting=max(1, self.waiting // workers),
            case_bytes=self.case_bytes // workers,
        )


@dataclass(frozen=True)
class ServerSettings:
    """Everything a server is started with; plain values, so that several workers can be given the same.

    Attributes:
        host: address to listen on. Any but a loopback address needs a token.
        port: port to listen on; 0 takes a free one.
        token: what requests must carry; None asks for none, which only a loopback address may.
        hosts: further names by which browsers reach this server (the `Host` header).
        roots: folders that paths in requests may lie in. None declared: no path is read.
        bundle: the detector, a bundle or an ensemble; the shipped one when None.
        beside: a second detector, which judges the same pictures and is shown beside the first.
        distilled: folder of the distilled map behind "why"; the shipped one, if there is one, when None.
        concepts: concept banks for additive evidence in words.
        reference: feature table with real images that concepts are measured from.
        atlases: atlases to browse; each is known by its folder's name without the suffix.
        reports: folders of written evaluation reports, likewise by name.
        collections: folder below which the app may read folders of images and into which it writes the
            feature tables and atlases that it builds from them; None: nothing is built, nothing written.
        keep: folder that ``keep=true`` may store uploads in; None: uploads are never kept.
        feedback: what verdicts marked wrong are added to, a feature table where its name ends in ``.lance``,
            else a file with one JSON a line; None: refused.
        encoder: hub id of the bundle's encoder, so that one that is not registered may be fetched.
        trust: root certificates (PEM) of trusted signers of Content Credentials; without them none is known.
        weights: the encoder's weights on this machine, as for `load_encoder`; for an ensemble, or with a
            detector beside, several.
        device: `cpu`, `cuda`, …; `auto` takes CUDA where there is one.
        offline: never fetch weights.
        precision: ``auto``, ``exact``, ``fast`` or ``fastest``, as for `morelli.load`.
        workers: processes; each loads the encoder, artefacts on disk are memory-mapped and shared.
        limits: what requests may cost.
    """

    host: str = "127.0.0.1"
    port: int = 8017
    token: str | None = None
    hosts: tuple[str, ...] = ()
    roots: tuple[Path, ...] = ()
    bundle: Path | None = None
    beside: Path | None = None
    distilled: Path | None = None
    concepts: tuple[Path, ...] = ()
    reference: Path | None = None
    atlases: tuple[Path, ...] = ()
    reports: tuple[Path, ...] = ()
    collections: Path | None = None
    keep: Path | None = None
    feedback: Path | None = None
    trust: Path | None = None
    encoder: str | None = None
    weights: Path | tuple[Path, ...] | None = None
    device: str = "auto"
    offline: bool = False
    precision: Precision = "auto"
    workers: int = 1
    limits: RequestLimits = field(default_factory=RequestLimits)

    def __post_init__(self) -> None:
        if not self.host or "\0" in self.host:
            raise UsageError("The address to listen on is empty or holds a null character; name one.")
        if not 0 <= self.port <= 65535:
            raise UsageError(f"There is no port {self.port}: ports are 0 to 65535, and 0 takes a free one.")
        if self.token is None and not is_loopback(self.host):
            raise UsageError(
                f"{self.host} can be reached from other machines, so requests must carry a token: give one, "
                "or leave the address at 127.0.0.1."
            )
        if self.token is not None and len(self.token) < 16:
            raise UsageError(
                "The token is shorter than 16 characters and could be guessed; give a longer one."
            )
        for name, paths in (("atlases", self.atlases), ("reports", self.reports)):
            names = [artefact_name(path) for path in paths]
            twice = sorted({one for one in names if names.count(one) > 1})
            if twice:
                raise UsageError(f"Two of the {name} are called {', '.join(twice)}; rename a folder.")
        if self.feedback is not None and self.feedback.suffix.lower() not in (".jsonl", ".ndjson", ".lance"):
            raise UsageError(
                f"The feedback file {self.feedback} ends in neither .jsonl nor .lance; choose one."
            )
        for root in self.roots:
            if not root.is_dir():
                raise UsageError(f"The root {root} is not a folder; name one that exists.")
        if self.collections is not None:
            if not self.collections.is_dir() or not os.access(self.collections, os.R_OK | os.W_OK | os.X_OK):
                raise UsageError(
                    f"{self.collections} is no folder that can be read and written; name one for collections."
                )
            if self.workers > 1:
                raise UsageError(
                    "Atlases are built by one process at a time: collections need a server with one worker."
                )

    @property
    def readable(self) -> tuple[Path, ...]:
        """The folders that files of an atlas's images may be shown from."""
        return self.roots if self.collections is None else (*self.roots, self.collections)

    def to_json(self) -> str:
        """The settings as one JSON text, for the workers."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> ServerSettings:
        """Read what `to_json` wrote."""
        data: Mapping[str, Any] = json.loads(text)
        values = {one.name: data[one.name] for one in fields(cls) if one.name in data}
        for name in ("roots", "concepts", "atlases", "reports"):
            values[name] = tuple(Path(path) for path in values[name])
        for name in (
            "bundle",
            "beside",
            "distilled",
            "reference",
            "collections",
            "keep",
            "feedback",
            "trust",
        ):
            values[name] = None if values[name] is None else Path(values[name])
        given = values["weights"]
        values["weights"] = tuple(map(Path, given)) if isinstance(given, list) else given and Path(given)
        values["hosts"] = tuple(values["hosts"])
        values["limits"] = RequestLimits(**values["limits"])
        return cls(**values)


def uvicorn_options(settings: ServerSettings) -> dict[str, Any]:
    """uvicorn's settings besides the application and the socket."""
    from morelli.server._protocol import IdleClosingProtocol

    return {
        "log_level": "warning",
        "access_log": False,  # addresses hold tokens and selections
        "server_header": False,
        "proxy_headers": False,  # nobody in front is trusted to name the client
        "timeout_keep_alive": 15,
        "timeout_graceful_shutdown": 10,
        "limit_concurrency": 512,
        "h11_max_incomplete_event_size": 256 * 1024,  # a selection as JSON in an address
        "http": IdleClosingProtocol,
        "ws": "none",
    }


def artefact_name(path: Path) -> str:
    """What an artefact is called in addresses: its folder's name without ``.atlas``.

    >>> artefact_name(Path("maps/faces.atlas"))
    'faces'
    """
    name = path.resolve().name
    return name.removesuffix(".atlas") or name


def is_loopback(host: str) -> bool:
    """True for an address that only this machine reaches.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("::ffff:127.0.0.1")
    (True, True, False, False)
    """
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    # Python 3.13 counts ::ffff:127.0.0.1, an address that no server here listens at, and older ones do not.
    return address.is_loopback and getattr(address, "ipv4_mapped", None) is None
