"""The Faust app of a plant: command line, supervision, timers, web pages, and agents for what comes at a low rate.

`streamgauge worker plant.py` runs it; for those who know Faust, so does
``STREAMGAUGE_PLANT=plant.py faust -A stream_processors.faust_app:app worker``. The hot path is not an agent but the
service `FoldService`, since a stock agent acknowledges what it failed to do and costs some 70 µs an event.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import faust
import mode
from aiohttp.web import SockSite
from faust.web import Request, Response, View
from faust.web.drivers.aiohttp import Web
from mode.supervisors import CrashingSupervisor

from contracts.definition import Feed
from contracts.errors import SettingsError
from contracts.plant import load_plant
from contracts.record_reader import RecordReader
from contracts.records import Alert
from contracts.settings import KafkaSettings, Servers
from contracts.topics import topic_name
from feature_store.history_files import configured_history
from stream_processors.runner.fold_service import FoldService
from stream_processors.runner.metrics import WorkerMetrics
from stream_processors.topics import ensure_topics

_ALERTS = RecordReader[Alert](Alert)
PLANT_VARIABLE = "STREAMGAUGE_PLANT"
UNUSED_PAGES = ("web_router_enabled", "web_tables_enabled")  # settings that older versions of Faust lack
LOOPBACK = "127.0.0.1"  # pages tell what a plant does and ask for no password: other machines see them only where told so
LINGER_SECONDS = 3.0  # 0.5 s are usual; with this and a last checkpoint it ends within the 10 s that supervisors give


class PlantApp(faust.App):
    """A Faust app whose folds join their group while Faust's own consumer joins its, and end first.

    As an extra service they would wait for Faust's consumer. Of the rest nothing holds what matters, so its end is not waited for long.
    """

    make_folds: Callable[..., FoldService]
    folds: FoldService | None = None  # None before the start, and where the app only sends
    ends_process = False  # it is all that its process does
    pages: socket.socket | None = None  # listens already; where there is none, Faust opens one on its web_port

    def _new_web(self) -> Any:
        return _PagesOnSocket(self, self.pages) if self.pages is not None else super()._new_web()

    def on_init_dependencies(self) -> Iterable[mode.ServiceT]:
        """What Faust starts, and the folds: before its tables, which wait a second, and after the rest, so that they end first."""
        faust_own = list(super().on_init_dependencies())
        if self.producer_only or self.client_only:
            return faust_own
        self.folds = self.make_folds(loop=self.loop, beacon=self.beacon)
        tables = faust_own.index(self.tables)
        return [*faust_own[:tables], self.folds, *faust_own[tables:]]

    async def on_stop(self) -> None:
        """Checkpoints before anything that could wait for a broker that is gone."""
        folds = self.folds
        if folds is not None:
            await folds.stop()
        if self.ends_process:
            _end_within(LINGER_SECONDS, lambda: int(self.crashed or (folds is not None and folds.crashed)))
        await super().on_stop()


class _PagesOnSocket(Web):
    """Faust's web server on a socket that is open already."""

    def __init__(self, app: PlantApp, pages: socket.socket) -> None:
        super().__init__(app)
        self._pages = pages

    def _create_site(self) -> SockSite:
        return SockSite(self._runner, self._pages)


def make_app(
    feeds: list[Feed],
    plant: str,
    servers: Servers,
    web_port: int = 6066,
    web_bind: str = LOOPBACK,
    data: Path | None = None,
    history: str | None = None,
    pages: socket.socket | None = None,
) -> PlantApp:
    """The app with its fold service, alert agents and pages.

    Args:
        plant: names the consumer group.
        history: where full copies of checkpoints go.
        pages: a listening socket that the pages are served on; `web_bind` and `web_port` say where that is.
    """
    for feed in feeds:
        ensure_topics(feed, servers.kafka)  # before the alert agents ask for theirs: a broker may create what is asked for, in its own way
    metrics = WorkerMetrics()
    app = bare_app(plant, servers, web_port, web_bind, data, metrics, pages)
    app.make_folds = partial(FoldService, feeds, servers, plant, metrics, history)
    for feed in feeds:
        _watch_alerts(app, feed, metrics)
    return app


def bare_app(
    plant: str,
    servers: Servers,
    web_port: int = 6066,
    web_bind: str = LOOPBACK,
    data: Path | None = None,
    metrics: WorkerMetrics | None = None,
    pages: socket.socket | None = None,
) -> PlantApp:
    """The app and its pages, without folds and agents. Of Faust's own pages, those of tables and routes are not served."""
    unused: dict[str, Any] = {name: False for name in UNUSED_PAGES if hasattr(faust.Settings, name)}
    app = PlantApp(
        f"streamgauge-{plant}-control",
        broker=[f"kafka://{server}" for server in servers.kafka.servers],
        broker_credentials=_credentials(servers.kafka),
        broker_session_timeout=6,  # the embedded broker holds a join for half of it
        broker_heartbeat_interval=2,
        topic_disable_leader=True,  # no topic of Faust's own: its leader election needs one for every worker
        topic_allow_declare=False,
        store="memory://",
        datadir=str(data or Path.cwd() / ".streamgauge"),
        web_port=web_port,
        web_bind=web_bind,
        web_host=web_bind,
        web_cors_options=None,
        value_serializer="raw",
        key_serializer="raw",
        processing_guarantee="at_least_once",
        autodiscover=False,
        **unused,
    )
    app.pages = pages
    _pages(app, metrics or WorkerMetrics())
    return app


def _end_within(seconds: float, code: Callable[[], int]) -> None:
    """Ends the process after so many seconds, unless it has ended before."""

    def shown(raised: threading.ExceptHookArgs) -> None:
        if raised.exc_type is not asyncio.CancelledError:  # Faust's consumer thread, which waits for the broker
            threading.__excepthook__(raised)

    def end() -> None:
        logging.shutdown()
        os._exit(code())

    threading.excepthook = shown
    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _watch_alerts(app: faust.App, feed: Feed, metrics: WorkerMetrics) -> None:
    """An agent that keeps the gauge of open incidents."""
    topic = app.topic(topic_name(feed, "alerts"), key_type=bytes, value_type=bytes)

    async def watch(stream: Any) -> None:
        async for event in stream.noack().events():
            alert = _ALERTS.read(event.value)
            if alert is not None:
                metrics.alerts.labels(feed.name, alert.kind, alert.status).inc()
                change = {"opened": 1, "resolved": -1}.get(alert.status, 0)
                metrics.open_incidents.labels(feed.name, alert.kind).inc(change)
            event.ack()

    app.agent(topic, name=f"alerts-{feed.name}", concurrency=1, supervisor_strategy=CrashingSupervisor)(watch)


def _pages(app: PlantApp, metrics: WorkerMetrics) -> None:
    async def live(view: View, request: Request) -> Response:
        return view.text("live\n")

    async def ready(view: View, request: Request) -> Response:
        waits_for = app.folds.waits_for if app.folds is not None else "no partitions yet"
        return view.text(f"{waits_for or 'ready'}\n", status=503 if waits_for else 200)

    async def numbers(view: View, request: Request) -> Response:
        return view.bytes(metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    for path, page in (("/live", live), ("/ready", ready), ("/metrics", numbers)):
        for spelling in (path, f"{path}/"):  # Prometheus asks for /metrics unless told otherwise
            app.page(spelling)(page)


def _credentials(settings: KafkaSettings) -> Any:
    context = ssl.create_default_context(cafile=settings.cafile) if "SSL" in settings.protocol else None
    if context and settings.certfile:
        context.load_cert_chain(settings.certfile, settings.keyfile)
    if settings.mechanism:
        return faust.SASLCredentials(
            username=settings.username, password=settings.password, ssl_context=context, mechanism=settings.mechanism
        )
    return faust.SSLCredentials(context=context) if context else None


def run_worker(app: PlantApp) -> None:
    """Runs the app in this process until a signal; every service is stopped in order, then the process ends."""
    app.ends_process = True
    worker = faust.Worker(app, override_logging=False, quiet=True, loglevel=None, redirect_stdouts=False, daemon=True)
    worker.spinner = None  # it writes control characters among the lines of the log
    worker.execute_from_commandline()


def __getattr__(name: str) -> Any:
    """`app`, made from STREAMGAUGE_PLANT on first use."""
    if name != "app":
        raise AttributeError(name)
    path = os.environ.get(PLANT_VARIABLE)
    if not path:
        raise SettingsError(f"{PLANT_VARIABLE} is not set; write {PLANT_VARIABLE}=plant.py before the command")
    app = make_app(load_plant(path), Path(path).stem, Servers.resolve(), history=configured_history(None))
    globals()["app"] = app
    return app
