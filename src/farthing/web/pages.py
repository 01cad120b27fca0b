"""The built dashboard as files. Any address without a file is a page of the single-page application."""

import mimetypes
from pathlib import Path, PurePosixPath
from typing import Any

from litestar import Request, Response

from farthing.core.errors import NotFoundError

_IMMUTABLE = "public, max-age=31536000, immutable"
_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
_NOT_BUILT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Farthing: the dashboard is not built</title>
<body style="font: 15px/1.5 system-ui; max-width: 40rem; margin: 4rem auto; padding: 0 1rem">
<h1 style="font-size: 1.25rem">The dashboard is not built</h1>
<p>The control API works, but this installation has no dashboard files. An installed wheel contains them; in a
checkout, build them once:</p>
<pre>make ui</pre>
<p>Then load this page again. Meanwhile <code>farthing spend</code> and <code>farthing requests</code> show the
same figures.</p></body></html>"""


def serve(folder: Path, path: str, request: Request[Any, Any, Any]) -> Response[bytes]:
    """A file of the dashboard, or its first page for addresses that are no files.

    Files under ``assets/`` have a hash in their name and never change. Raises ``NotFoundError`` for a missing
    asset, because answering it with a page hides the mistake.
    """
    if not (folder / "index.html").is_file():
        return Response(_NOT_BUILT.encode(), status_code=503, media_type="text/html; charset=utf-8")
    parts = PurePosixPath(path.lstrip("/")).parts
    safe = not any(part.startswith(".") or "\\" in part or "\0" in part for part in parts)
    file = folder.joinpath(*parts) if safe else folder
    if file.is_file() and file.resolve().is_relative_to(folder.resolve()):
        return _file(file, immutable=bool(parts) and parts[0] == "assets", request=request)
    if parts and (parts[0] in ("assets", "api") or not safe):
        raise NotFoundError("file", path, remedy="Reload the page")
    return _file(folder / "index.html", immutable=False, request=request)


def _file(file: Path, *, immutable: bool, request: Request[Any, Any, Any]) -> Response[bytes]:
    headers = {"Cache-Control": _IMMUTABLE if immutable else "no-cache", "Vary": "Accept-Encoding"}
    accepted = {word.partition(";")[0].strip() for word in request.headers.get("accept-encoding", "").split(",")}
    packed = file
    for name, suffix in _ENCODINGS:
        smaller = file.with_name(file.name + suffix)
        if name in accepted and smaller.is_file():
            packed, headers["Content-Encoding"] = smaller, name
            break
    media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    if media_type.startswith("text/") or media_type.endswith("javascript"):
        media_type += "; charset=utf-8"
    return Response(packed.read_bytes(), media_type=media_type, headers=headers)
