"""The web app's files, built into the package, and the page that says how to build them."""

from __future__ import annotations

import mimetypes
import re
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, Response

from morelli.server._problems import ProblemError, methods_at

STATIC = Path(__file__).parent / "static"
# Vite puts a hash of the content into the names of assets: such a file never changes.
_HASHED = re.compile(r"[-.][A-Za-z0-9_-]{8,}\.[a-z0-9]+$")
NOT_BUILT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Morelli</title>
<body style="font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem">
<h1>Morelli is running</h1>
<p>The app was not built: install Node and run <code>make app</code>, then reload this page.</p>
<p>The HTTP interface works without it: see <a href="/api/docs">its description</a>.</p>
</body></html>
"""
# Types that the machine's own table may lack or, on Windows, get wrong.
_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".svg": "image/svg+xml",
}


def mount_static(app: FastAPI, folder: Path = STATIC) -> None:
    """Serve the app at every address that is not the interface's; unknown pages are the app's own routes."""

    @app.get("/api/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(_docs(app))

    @app.get("/{path:path}", include_in_schema=False)
    async def page(request: Request, path: str) -> Response:
        if methods_at(request):
            raise HTTPException(405)
        if path == "api" or path.startswith("api/"):
            raise ProblemError(404, "not-found", f"There is nothing at {request.url.path}.")
        return _page(folder, path)


def _page(folder: Path, path: str) -> Response:
    root = folder.resolve()
    index = root / "index.html"
    try:
        file = (root / path).resolve()
        found = path != "" and file.is_relative_to(root) and file.is_file()
    except (OSError, ValueError):  # a NUL, or a name longer than the system takes
        found = False
    if found and file != index:
        suffix = file.suffix.lower()
        kind = _TYPES.get(suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        hashed = file.parent.name == "assets" and _HASHED.search(file.name)
        keep = "public, max-age=31536000, immutable" if hashed else "no-cache"
        return FileResponse(file, media_type=kind, headers={"Cache-Control": keep})
    if "." in path.rsplit("/", 1)[-1] and path != "index.html":
        # A missing asset is an error; the app's page in its place would be run as a script.
        raise ProblemError(404, "not-found", f"There is no file /{path}.")
    if not index.is_file():
        return HTMLResponse(NOT_BUILT)
    return FileResponse(index, media_type="text/html", headers={"Cache-Control": "no-cache"})


def _docs(app: FastAPI) -> str:
    """The interface as one plain page, without any script from elsewhere."""
    from html import escape

    rows = []
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            text = escape(operation.get("description") or operation.get("summary") or "")
            rows.append(
                f"<tr><td><b>{method.upper()}</b></td><td><code>{escape(path)}</code></td><td>{text}</td></tr>"
            )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Morelli: HTTP interface</title>'
        '<body style="font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto">'
        "<h1>Morelli’s HTTP interface</h1><p>For programs: "
        '<a href="/api/v1/openapi.json">OpenAPI description</a>.</p><table cellpadding="6">'
        + "".join(rows)
        + "</table></body></html>"
    )
