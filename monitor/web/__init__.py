"""The agent's page, its JSON, `/metrics` and health, over HTTP."""

from monitor.web.health import Health
from monitor.web.server import Site, application, bind
from monitor.web.view import View

__all__ = ["Health", "Site", "View", "application", "bind"]
