"""The Interactions API over HTTP, for any backend: `create_app(backend)` gives an ASGI app.

It knows the wire of the API and the `Backend` protocol, and no backend: what a request may hold and what is answered is the
backend's business. Listening on a socket is left to the caller (`interactions-bridge serve`, uvicorn).
"""

from .app import create_app

__all__ = ["create_app"]
