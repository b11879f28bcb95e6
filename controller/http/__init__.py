"""HTTP: the API, the dashboard, the probes and the metrics.

Invariant: thin. A route reads a request, asks `control`, and writes the answer; who may ask is settled before, in
`guard`.
"""

from controller.http.app import Application, create_app, create_probe_app
from controller.http.health import Health
from controller.http.server import serve_api

__all__ = ["Application", "Health", "create_app", "create_probe_app", "serve_api"]
