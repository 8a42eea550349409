"""The application: routers, errors, headers, limits. All of `/api/v1` asks for credentials by construction."""

from importlib.metadata import version

from fastapi import FastAPI

from millrace.api import openapi, problems, query_names
from millrace.api.middleware import BodyLimit, NoNul, SecurityHeaders
from millrace.api.routes import (
    accounts,
    agents,
    api_keys,
    approval_links,
    archive,
    artifacts,
    backfills,
    canaries,
    connections,
    control,
    database,
    decisions,
    deployments,
    events,
    histories,
    logging_in,
    retention,
    runs,
    secrets,
    simulations,
    starts,
    system,
    tasks,
    test_modes,
    test_runs,
    trigger_previews,
    trigger_rows,
    users,
    versions,
    webhook_receiver,
    webhooks,
    workflows,
)
from millrace.api.routes import open as open_routes
from millrace.api.stream import Streams
from millrace.app.container import Container

PARTS = (
    webhook_receiver,
    runs,
    starts,
    histories,
    artifacts,
    workflows,
    versions,
    deployments,
    canaries,
    tasks,
    test_modes,
    test_runs,
    control,
    decisions,
    events,
    simulations,
    trigger_previews,
    trigger_rows,
    webhooks,
    backfills,
    retention,
    archive,
    database,
    secrets,
    connections,
    agents,
    accounts,
    api_keys,
    users,
    logging_in,
    system,
    approval_links,
    open_routes,
)
"""The search for a route goes through these in turn, so what is asked for most comes first."""


def create_app(container: Container) -> FastAPI:
    app = FastAPI(
        title="Millrace",
        version=version("millrace"),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.container = container
    app.state.masker = container.masker
    app.state.streams = Streams()
    for part in PARTS:
        app.router.routes.extend(part.router.routes)
    app.state.query_names = query_names.declared(app.router.routes)
    problems.install(app)
    openapi.describe(app, container.runners, container.triggers.types)
    # The last one added is the outermost: also a refused body gets the headers.
    app.add_middleware(
        BodyLimit,
        limit=container.settings.max_body_bytes,
        streamed=[("POST", "/api/v1/artifacts")],
        streamed_below=("/webhook/",),
    )
    app.add_middleware(NoNul)
    app.add_middleware(SecurityHeaders)
    return app
