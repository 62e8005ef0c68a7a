"""Who may ask: the Host header, the origin of a browser's request, the token; and headers of every answer."""

from __future__ import annotations

import hmac
import ipaddress
import re
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from morelli.server._forwarding import is_forwarded
from morelli.server._problems import ProblemError
from morelli.server._settings import ServerSettings, is_loopback

COOKIE = "morelli-token"
OPEN_PATHS = frozenset({"/api/v1/health", "/api/v1/ready"})
"""What a probe may ask without a token; the answers hold nothing about images."""

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Inline styles place the marks of charts; inline scripts are not allowed.
CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "worker-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_HOST = re.compile(r"(?:\[(?P<number>[0-9a-f:.]+)\]|(?P<name>[^:\[\]/@]+))(?::\d*)?")
_HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class AccessMiddleware:
    """ASGI middleware before everything else."""

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app, self._settings = app, settings
        self._names = {name.lower() for name in ("localhost", settings.host, *settings.hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http" or is_forwarded(scope):
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        answer = self._refusal(scope, headers)
        await (answer or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        if not self._known_host(headers.get("host", "")):
            return ProblemError(
                421,
                "wrong-host",
                "The Host header names none of this server's addresses.",
                next="Use the address that the server printed, or let the operator declare this name.",
            ).response()
        if scope["method"] not in _SAFE_METHODS and _is_foreign(headers):
            return ProblemError(
                403,
                "foreign-origin",
                "The request comes from a page of another site.",
                next="Use Morelli's own page, or a program that sends no Origin header.",
            ).response()
        return self._token_refusal(scope, headers)

    def _known_host(self, host: str) -> bool:
        """Against DNS rebinding, where a foreign name is made to point here: names must be known ones.

        Numeric addresses cannot be rebound; they are taken wherever the server listens.
        """
        name = _host_name(host)
        if name in self._names or is_loopback(name):
            return True
        if is_loopback(self._settings.host):
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _token_refusal(self, scope: Scope, headers: Headers) -> Response | None:
        token = self._settings.token
        if token is None or scope["path"] in OPEN_PATHS:
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and _same(given.strip(), token):
            return None
        if _same(_cookie(headers.get("cookie", "")), token):
            return None
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        page = scope["method"] == "GET" and not scope["path"].startswith("/api/")
        if page and _same(query.pop("token", ""), token):
            return _with_cookie(scope["path"], query, token)
        return ProblemError(
            401,
            "token-needed",
            "This server asks for a token, and the request carries none or another.",
            next="Open the address with the token that the server printed when it started, or send the "
            "header Authorization: Bearer TOKEN.",
            headers={"WWW-Authenticate": 'Bearer realm="morelli"'},
        ).response()


def _same(given: str, token: str) -> bool:
    """Compared in constant time, so that answers' times do not tell the token."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _cookie(header: str) -> str:
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _with_cookie(path: str, query: dict[str, str], token: str) -> Response:
    """The same page without the token in its address, which would stay in the browser's history."""
    # A single leading slash: `//evil` would be another site.
    clean = "/" + path.lstrip("/\\")
    answer = RedirectResponse(f"{clean}?{urlencode(query)}" if query else clean, status_code=303)
    answer.set_cookie(COOKIE, token, httponly=True, samesite="strict", path="/")
    return answer


def _host_name(host: str) -> str:
    """The name in a Host header without its port."""
    found = _HOST.fullmatch(host.strip().lower())
    return "" if found is None else found["number"] or found["name"]


def _is_foreign(headers: Headers) -> bool:
    """True where a browser says that the request was made by a page of another site."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != headers.get("host", "").strip().lower()
    except ValueError:
        return True
