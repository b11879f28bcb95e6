"""The dashboard's files: a page, its scripts and its styles, served from the package.

Invariant: they hold no data and need no token; the scripts ask the API, with the token that the user gives them.
Nothing is loaded from anywhere else, nothing stands inline, no text becomes markup, and the page may not be framed.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from fastapi import APIRouter, Request, Response

PAGE: Final = "page.html"
PREFIX: Final = "/dashboard/"
NOT_MODIFIED: Final = 304
MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
"""What is served, by suffix."""
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


@dataclass(frozen=True, slots=True)
class File:
    """One file as it is served."""

    content: bytes
    media_type: str
    tag: str
    """Changes with the content, so that a browser asks again after an upgrade and loads nothing twice before."""


def _walk(folder: Traversable, path: str) -> Iterator[tuple[str, File]]:
    for entry in folder.iterdir():
        suffix = entry.name[entry.name.rfind(".") :]
        if entry.is_dir():
            yield from _walk(entry, f"{path}{entry.name}/")
        elif suffix in MEDIA_TYPES:
            content = entry.read_bytes()
            tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            yield "/" if entry.name == PAGE else path + entry.name, File(content, MEDIA_TYPES[suffix], tag)


FILES: Final[Mapping[str, File]] = dict(_walk(resources.files(__name__), PREFIX))
"""By path."""


def dashboard_router() -> APIRouter:
    router = APIRouter(include_in_schema=False)
    for path, file in FILES.items():
        router.add_api_route(path, partial(_serve, file), methods=["GET", "HEAD"])
    return router


async def _serve(file: File, request: Request) -> Response:
    headers = {
        "content-security-policy": POLICY,
        "cache-control": "no-cache",
        "x-frame-options": "DENY",
        "etag": file.tag,
    }
    if request.headers.get("if-none-match") == file.tag:
        return Response(status_code=NOT_MODIFIED, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
