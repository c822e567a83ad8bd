"""The agent's page, its JSON, `/metrics` and health, over HTTP."""

from monitor.web.health import Health
from monitor.web.server import Site, application, bind
from monitor.web.view import Post, View

__all__ = ["Health", "Post", "Site", "View", "application", "bind"]
