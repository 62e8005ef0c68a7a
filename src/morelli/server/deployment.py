"""Judging on many machines: `detect` of the HTTP interface as an application of Ray Serve.

serve run morelli.server.deployment:application token=... bundle=/shared/my-bundle

Each replica is the server of this program with its encoder loaded once; requests that arrive together share
its batches. Answers are those of `morelli serve`. Cases stay in the replica that judged them, and the next
request may reach another one, so that only what needs no case is served.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morelli import extras
from morelli.encoders.cluster import require_ray
from morelli.errors import MorelliError, UsageError
from morelli.server._settings import ServerSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from morelli.server._state import ServerState

SERVED = frozenset({"health", "ready", "info", "detect", "openapi.json"})
"""What is answered below /api/v1."""
TAKEN = (
    *("host", "token", "hosts", "workers", "device", "offline"),
    *("bundle", "beside", "distilled", "concepts", "reference", "trust", "encoder", "weights"),
)
"""The settings that a deployment may have; the others belong to cases, folders and files."""
PATHS = frozenset({"bundle", "beside", "distilled", "reference", "trust", "weights"})
STALLED_SECONDS = 120.0
"""A picture that has waited so long for the encoder says that the replica is stuck."""


def deployed_settings(arguments: Mapping[str, Any]) -> ServerSettings:
    """The settings of every replica, from the arguments of the application.

    Unlike `morelli serve`, a deployment is reached from other machines, so that it needs a token: `token`, or
    the environment variable `MORELLI_TOKEN`. `host: 127.0.0.1` says that it is not.

    Raises:
        UsageError: an unknown argument, or no token.

    Example:
        >>> deployed_settings({"token": "0123456789abcdef", "hosts": "lab.example.org"}).hosts
        ('lab.example.org',)
    """
    unknown = sorted(set(arguments) - set(TAKEN))
    if unknown:
        raise UsageError(
            f"a deployment knows no argument {', '.join(unknown)}; give some of {', '.join(TAKEN)}"
        )
    values: dict[str, Any] = {name: Path(one) if name in PATHS else one for name, one in arguments.items()}
    values["hosts"] = _several(values.get("hosts", ()))
    values["concepts"] = tuple(Path(one) for one in _several(values.get("concepts", ())))
    values["host"] = values.get("host", "0.0.0.0")
    values["token"] = values.get("token") or os.environ.get("MORELLI_TOKEN") or None
    values["workers"] = int(values.get("workers", 1))
    values["offline"] = str(values.get("offline", False)).lower() in ("true", "1")
    return ServerSettings(**values)


def _several(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def application(arguments: dict[str, Any]) -> Any:
    """The application for `serve run` and for the `import_path` of a Serve configuration.

    Args:
        arguments: names and values of settings as `ServerSettings` has them: `token`, `hosts`, `bundle`,
            `beside`, `distilled`, `concepts`, `reference`, `trust`, `encoder`, `weights`, `device`,
            `offline`, and `workers`, the replicas that share one machine's cores. The number of replicas and
            their resources are for the Serve configuration.

    Returns:
        A bound deployment named `judge`.

    Raises:
        UsageError: Ray Serve is not installed, an unknown argument, no token.
    """
    settings = deployed_settings(arguments)
    require_ray()
    try:
        from ray import serve
    except ImportError:
        raise UsageError(extras.missing("The deployment needs Ray Serve", "ray")) from None
    # More requests at once than a batch holds, so that the next batch waits already; few enough that a queue
    # grows in the proxy, where autoscaling sees it, and not in the replica.
    deployment = serve.deployment(
        serve.ingress()(Replica),
        name="judge",
        max_ongoing_requests=32,
        health_check_period_s=10,
        health_check_timeout_s=30,
        graceful_shutdown_timeout_s=30,
    )
    return deployment.bind(settings.to_json())


class Replica:
    """A replica: the server's application, and whether it can judge."""

    def __init__(self, settings: str) -> None:
        self._settings = ServerSettings.from_json(settings)
        self._inner: Any = None

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """What Ray Serve asks a replica for once it is constructed."""
        from morelli.server._app import create_app

        self._inner = create_app(self._settings)
        return StatelessRoutes(self._inner)

    async def check_health(self) -> None:
        """Wait until the encoder is loaded; then raise where it could not be, or no longer answers.

        Ray Serve asks before a replica gets its first request, so that none meets one that still loads, and
        starts another in the place of one that fails three times.
        """
        await asyncio.to_thread(_check, self._inner.state.morelli)


def _check(state: ServerState) -> None:
    state.wait()
    if state.problem is not None:
        raise state.problem
    if state.queue.oldest > STALLED_SECONDS:
        raise MorelliError(f"a picture has waited for the encoder for {state.queue.oldest:.0f} s")


class StatelessRoutes:
    """The part of an application that needs no memory of earlier requests; the rest is answered 404."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI call."""
        from morelli.server._problems import ProblemError

        known = {f"/api/v1/{name}" for name in SERVED}
        if scope["type"] != "http" or scope["path"] in known:
            await self._app(scope, receive, send)
            return
        refusal = ProblemError(
            404,
            "not-in-a-deployment",
            "A deployment judges pictures and remembers none of them.",
            next="POST /api/v1/detect here; open the picture in `morelli serve` to see why.",
        )
        await refusal.response()(scope, receive, send)
