"""The shop: pages out of Postgres, orders that put a job into Redis, metrics for Prometheus.

Started by drive.py with three variables: SHOP_PORT, DATABASE_URL and REDIS_URL. `/_errors?share=0.1` makes a part of
the checkouts fail, as a bad release would.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from time import perf_counter

import asyncpg
import redis
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from rq import Queue

REQUESTS = Counter("http_requests", "Requests by path and status.", ["path", "status"])
DURATION = Histogram("http_request_duration_seconds", "How long requests took.", ["path"])

DATABASE = web.AppKey("database", asyncpg.Pool)
JOBS = web.AppKey("jobs", Queue)
ERRORS = web.AppKey("errors", list[float])

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every request is counted, whatever becomes of it."""
    began, status = perf_counter(), 500
    try:
        response = await handler(request)
        status = response.status
    except asyncio.CancelledError:
        status = 499
        raise
    except (asyncpg.PostgresError, OSError, TimeoutError):
        return web.Response(status=500, text="Something went wrong")
    else:
        return response
    finally:
        if not request.path.startswith(("/metrics", "/_")):
            REQUESTS.labels(request.path, str(status)).inc()
            DURATION.labels(request.path).observe(perf_counter() - began)


async def home(request: web.Request) -> web.Response:
    rows = await request.app[DATABASE].fetch("SELECT name FROM products_on_sale()")
    return web.Response(text="\n".join(row["name"] for row in rows) + "\nAdd to cart")


async def checkout(request: web.Request) -> web.Response:
    if random.random() < request.app[ERRORS][0]:  # noqa: S311  (luck, not secrets)
        return web.Response(status=502, text="The payment provider does not answer")
    order = await request.app[DATABASE].fetchval("INSERT INTO orders DEFAULT VALUES RETURNING id")
    if request.method == "POST":
        await asyncio.to_thread(request.app[JOBS].enqueue, "examples.saas.tasks.send_confirmation", order)
    return web.json_response({"order": order})


async def errors(request: web.Request) -> web.Response:
    request.app[ERRORS][0] = float(request.query["share"])
    return web.Response(text="so be it")


async def metrics(_request: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def connected(app: web.Application) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=2, max_size=10, command_timeout=20) as pool:
        app[DATABASE] = pool
        app[JOBS] = Queue("mail", connection=redis.Redis.from_url(os.environ["REDIS_URL"]))
        yield
        pool.terminate()


def main() -> None:
    app = web.Application(middlewares=[counted])
    app[ERRORS] = [0.0]
    app.cleanup_ctx.append(connected)
    app.router.add_get("/", home)
    app.router.add_route("*", "/checkout", checkout)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/_errors", errors)
    web.run_app(app, host="127.0.0.1", port=int(os.environ["SHOP_PORT"]), print=None, handler_cancellation=True)


if __name__ == "__main__":
    main()
