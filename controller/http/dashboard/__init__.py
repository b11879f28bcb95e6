"""The dashboard's files: a page, its script and its style, served from the package.

Invariant: they hold no data and need no token; the script asks the API, with the token that the user gives it. Nothing
is loaded from anywhere else, and the page may not be framed.
"""

from functools import partial
from importlib import resources
from typing import Final

from fastapi import APIRouter, Response

FILES: Final = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/dashboard.js": ("dashboard.js", "text/javascript; charset=utf-8"),
    "/dashboard.css": ("dashboard.css", "text/css; charset=utf-8"),
}
"""By path: file and media type."""
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)


def dashboard_router() -> APIRouter:
    router = APIRouter(include_in_schema=False)
    for path, (name, media_type) in FILES.items():
        content = resources.files(__name__).joinpath(name).read_bytes()
        router.add_api_route(path, partial(_serve, content, media_type), methods=["GET", "HEAD"])
    return router


async def _serve(content: bytes, media_type: str) -> Response:
    headers = {"content-security-policy": POLICY, "cache-control": "no-cache", "x-frame-options": "DENY"}
    return Response(content, media_type=media_type, headers=headers)
