"""TensorFlow Serving's REST paths, and the page."""

import functools
import pathlib

import fastapi
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from .errors import ServingError, invalid
from .hosts import HostCheck
from .models import VERSION

_PAGE = pathlib.Path(__file__).parent / "page"
_MEDIA_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def create_app(service, host, allowed_hosts):
    """Return the FastAPI application of a `Service`.

    Args:
        service: The `Service`.
        host: Name or address that the server listens on.
        allowed_hosts: Further hosts whose requests are accepted, see `HostCheck`.
    """
    app = fastapi.FastAPI(
        title="keras_genimg embedded server",
        lifespan=service.lifespan,
        openapi_url=None,  # No interactive docs: they load scripts from other hosts.
        redirect_slashes=False,
    )
    app.add_exception_handler(ServingError, _answer_error)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)
    app.add_exception_handler(Exception, _answer_bug)
    app.add_middleware(HostCheck, listens_on=host, allowed=allowed_hosts)

    async def predict(request: fastapi.Request):
        reply = await service.predict(request, **_named(request))
        return Response(reply, media_type="application/json")

    def get(path, function):
        async def answer(request: fastapi.Request):
            reply = function(**_named(request))
            return reply if isinstance(reply, Response) else JSONResponse(reply)

        app.add_api_route(path, answer, methods=["GET"])

    model = "/v1/models/{name}"
    for place in (model, model + "/versions/{version}", model + "/labels/{label}"):
        app.add_api_route(place + ":predict", predict, methods=["POST"])
        get(place, service.status)
        get(place + "/metadata", service.metadata)
        # The page needs this; TensorFlow Serving does not have it.
        get(place + "/assets/metadata", service.asset_metadata)
    get("/v1/models", service.models)
    for suffix, media_type in _MEDIA_TYPES.items():
        for file in _PAGE.glob(f"*{suffix}"):
            path = "/" if file.name == "index.html" else f"/page/{file.name}"
            content = file.read_bytes()
            page = functools.partial(Response, content, 200, _PAGE_HEADERS, media_type)
            get(path, page)
    return app


def _named(request):
    """Return the model and the version in a path, if it has them."""
    named = dict(request.path_params)
    if ":" in named.get("name", "") or ":" in named.get("label", ""):
        raise _malformed(request)
    if "version" in named:
        if not VERSION.fullmatch(named["version"]):
            raise _malformed(request)
        named["version"] = int(named["version"])
    return named


def _malformed(request):
    return invalid(
        f"Malformed request: {request.method} {request.url.path}. A request is POST "
        f"/v1/models/NAME[/versions/NUMBER|/labels/LABEL]:predict, or GET of such a "
        f"path without :predict, alone or with /metadata"
    )


async def _answer_error(request, error):
    content = {"error": error.message}
    return JSONResponse(content, error.status, headers=error.headers)


async def _answer_http_error(request, error):
    if request.url.path.startswith("/v1"):
        return await _answer_error(request, _malformed(request))
    content = {"error": f"{error.detail}: {request.method} {request.url.path}"}
    return JSONResponse(content, error.status_code)


async def _answer_nobody(request, error):
    return Response(status_code=499)


async def _answer_bug(request, error):
    content = {"error": f"Internal error, {type(error).__name__}: {error}"}
    return JSONResponse(content, 500)
