"""The agent's page, its JSON, `/metrics` and health, over HTTP."""

from monitor.web.health import Health
from monitor.web.server import FEED, application, public_application
from monitor.web.sockets import Site, bind
from monitor.web.view import Post, View

__all__ = ["FEED", "Health", "Post", "Site", "View", "application", "bind", "public_application"]
