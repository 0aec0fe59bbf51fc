"""Check of the header `Host`, against DNS rebinding."""

import ipaddress
import re

from starlette.responses import JSONResponse

_HOST = re.compile(r"(\[[^\[\]]*\]|[^:]*)(?::[0-9]*)?")


class HostCheck:
    """ASGI middleware that refuses requests that were sent to other names.

    The page of another site can give its name the address of this server, and would
    then read replies as if they were its site's (DNS rebinding). Browsers still send
    its name as `Host`.

    Loopback hosts are accepted with any port: `localhost`, 127.0.0.0/8 and `[::1]`.

    Args:
        app: ASGI application.
        listens_on: Name or address that the server listens on, which is accepted too.
            If these are all addresses of the machine (`0.0.0.0`), any address is
            accepted, but no name: rebinding needs a name.
        allowed: Further names or addresses; `"*"` accepts all.
    """

    def __init__(self, app, listens_on, allowed):
        self._app = app
        self._accepted = {name.lower() for name in ("localhost", listens_on, *allowed)}
        address = _address(listens_on)
        self._any_address = address is not None and address.is_unspecified

    async def __call__(self, scope, receive, send):
        """Pass a request on, or answer it with 403."""
        if scope["type"] == "http":
            headers = [value for key, value in scope["headers"] if key == b"host"]
            hosts = [value.decode("latin-1") for value in headers]
            refused = [host for host in hosts if not self._accepts(host)]
            if refused or not hosts:
                await self._refuse(refused[0] if refused else "")(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _accepts(self, host):
        found = _HOST.fullmatch(host)
        if "*" in self._accepted:
            return True
        if not found:
            return False
        name = found[1].strip("[]").lower()
        address = _address(name)
        if address is not None and (address.is_loopback or self._any_address):
            return True
        return name in self._accepted

    def _refuse(self, host):
        names = ", ".join(sorted(self._accepted | {"127.0.0.1"}))
        text = (
            f"The request was sent to the host {host[:200]!r}, and this server is "
            f"{names}. Start it with --allowed-host NAME if it has another name too."
        )
        return JSONResponse({"error": text}, 403)


def _address(name):
    """Return the IP address that a name is, or None."""
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
