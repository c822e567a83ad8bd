"""The agent's page, its JSON, `/metrics` and health, over HTTP."""

from monitor.web.feed import Feed
from monitor.web.health import Health
from monitor.web.server import application, public_application
from monitor.web.sockets import Site, bind
from monitor.web.view import Doors, Post, Steering, View

__all__ = ["Doors", "Feed", "Health", "Post", "Site", "Steering", "View", "application", "bind", "public_application"]
