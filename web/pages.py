"""The editor's page and its assets, and what a browser may do there.

One page serves every address that people see; it looks at the address itself. It is filled with a `<base>`, the prefix and
a fresh nonce for styles; scripts come only from our own origin.
"""

from __future__ import annotations

import mimetypes
import pathlib
import secrets
from typing import Final

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from snapshots.remotes.github_manifest import web_address
from web.compress import LEAST, accepts_gzip, packed
from web.errors import Unauthenticated
from web.services import Services

STATIC: Final = pathlib.Path(__file__).parent / "static"

FOR_EVER: Final = "public, max-age=31536000, immutable"
"""Names under assets/ carry a hash of their content."""
TEXT: Final = frozenset({".js", ".css", ".svg", ".json", ".map", ".txt", ".webmanifest"})
A_WHILE: Final = "public, max-age=3600"

NOT_BUILT: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Quire</title></head>
<body><h1>The editor is not built</h1>
<p>The server runs, and its API with it. The page has to be built once: <code>make serve</code> does it, or
<code>npm ci &amp;&amp; npm run build</code> in <code>web/editor</code>.</p></body></html>
"""


def policy(nonce: str, host: str, *, secure: bool, github: str) -> str:
    """Content-Security-Policy of the page. Older browsers do not count a socket of the own host as 'self'. A form goes to
    `github` when somebody makes the GitHub App."""
    socket = f"{'wss' if secure else 'ws'}://{host}"
    return "; ".join(
        (
            "default-src 'self'",
            "script-src 'self'",
            f"style-src 'self' 'nonce-{nonce}'",
            # The colours of remote cursors are attributes; they can paint, and nothing else.
            "style-src-attr 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            f"connect-src 'self' {socket}",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            f"form-action 'self' {github}",
            "frame-ancestors 'none'",
        )
    )


def filled(template: str, prefix: str, nonce: str) -> str:
    """Right after `<head>`, before anything whose address the base decides."""
    head = (
        f'<base href="{prefix}/"><meta name="quire-base" content="{prefix}"><meta name="quire-nonce" content="{nonce}">'
    )
    return template.replace("<head>", f"<head>{head}", 1)


class Pages:
    def __init__(self, static: pathlib.Path = STATIC) -> None:
        self._static = static
        self._packed: dict[pathlib.Path, tuple[int, bytes]] = {}
        """The editor's own files, few and all known when it is built."""

    def routes(self) -> list[Route]:
        return [
            Route("/", self.page),
            Route("/login", self.login),
            Route("/join/{secret}", self.page),
            Route("/p/{rest:file}", self.project),
            Route("/assets/{name:file}", self.asset),
            Route("/{name}", self.asset),
        ]

    async def page(self, request: Request, status: int = 200) -> Response:
        index = anyio.Path(self._static / "index.html")
        if not await index.is_file():
            return HTMLResponse(NOT_BUILT, 503)
        nonce = secrets.token_urlsafe(16)
        services: Services = request.app.state.services
        origin = services.settings.origin
        secure = (origin or request.url.scheme).startswith("https")
        host = origin.partition("://")[2] if origin else request.headers.get("host", "")
        headers = {
            "content-security-policy": policy(
                nonce, _harmless(host), secure=secure, github=web_address(services.settings.github_api)
            ),
            "cache-control": "no-cache",
            "cross-origin-opener-policy": "same-origin",
        }
        return HTMLResponse(filled(await index.read_text(), services.settings.prefix, nonce), status, headers)

    async def project(self, request: Request) -> Response:
        """404 for a project that whoever asks does not see. To nobody in particular all look alike: the page logs in."""
        services: Services = request.app.state.services
        name = request.path_params["rest"].partition("/")[0]
        try:
            access = await services.identity.authenticate(request)
        except Unauthenticated:
            return await self.page(request)
        seen = access.role_in(name) is not None and await services.store.project(name) is not None
        return await self.page(request, 200 if seen else 404)

    async def login(self, request: Request) -> Response:
        """A printed link sets the cookie and leads on; without a code it is a page like the others, which says with
        `ended` that a link was good no longer."""
        code = request.query_params.get("code")
        if code is None:
            return await self.page(request)
        services: Services = request.app.state.services
        try:
            cookie = await services.identity.redeem(code)
        except Unauthenticated:
            return RedirectResponse(services.settings.prefix + "/login?ended=1", 303)
        response = RedirectResponse(services.settings.prefix + "/", 303)
        services.identity.set_cookie(response, cookie)
        return response

    async def asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        below = request.scope["route"].path.startswith("/assets/")
        folder = self._static / "assets" if below else self._static
        file = folder / name
        outside = "\0" in name or not file.resolve().is_relative_to(folder.resolve())
        if outside or name == "index.html" or not await anyio.Path(file).is_file():
            raise HTTPException(404)
        headers = {"cache-control": FOR_EVER if below else A_WHILE}
        if file.suffix not in TEXT:
            return FileResponse(file, headers=headers)
        headers["vary"] = "accept-encoding"
        if "range" in request.headers or not accepts_gzip(request.headers.get("accept-encoding", "")):
            return FileResponse(file, headers=headers)
        content = await self._packed_once(file)
        if content is None:
            return FileResponse(file, headers=headers)
        kind = mimetypes.guess_type(file.name)[0] or "text/plain"
        return Response(content, media_type=kind, headers=headers | {"content-encoding": "gzip"})

    async def _packed_once(self, file: pathlib.Path) -> bytes | None:
        """Compressed when it is first asked for, and again when it has changed; None when it is too small for that."""
        stat = await anyio.Path(file).stat()
        if stat.st_size < LEAST:
            return None
        known = self._packed.get(file)
        if known is None or known[0] != stat.st_mtime_ns:
            known = self._packed[file] = (stat.st_mtime_ns, await packed(await anyio.Path(file).read_bytes()))
        return known[1]


def wants_page(request: Request) -> bool:
    """A person's browser at an address that is none: the page says so better than JSON does."""
    path = request.scope["path"].removeprefix(request.scope["root_path"])
    ours = path.startswith(("/api/", "/assets/", "/sync/", "/git/"))
    return request.method == "GET" and not ours and "text/html" in request.headers.get("accept", "")


def _harmless(host: str) -> str:
    """A Host header goes into a policy only if it could be one."""
    return host if host and all(char.isalnum() or char in "-.:[]" for char in host) else "localhost"
