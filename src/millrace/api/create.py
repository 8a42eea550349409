"""The application: routers, errors, headers, limits. All of `/api/v1` asks for credentials by construction."""

from importlib.metadata import version

from fastapi import FastAPI

from millrace.api import openapi, problems, query_names
from millrace.api.cross_origin import CrossOrigin
from millrace.api.forwarding import Forwarded, Proxies
from millrace.api.hosts import Hosts
from millrace.api.middleware import BodyLimit, NoNul, SecurityHeaders
from millrace.api.rates import Rates
from millrace.api.requests import Requests
from millrace.api.routes import (
    accounts,
    agents,
    api_keys,
    approval_links,
    archive,
    artifacts,
    audit,
    backfills,
    canaries,
    connections,
    control,
    database,
    decisions,
    deployments,
    events,
    grants,
    histories,
    logging_in,
    oidc,
    personal_data,
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
from millrace.app.containers.container import Container

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
    personal_data,
    retention,
    archive,
    database,
    audit,
    secrets,
    connections,
    agents,
    accounts,
    api_keys,
    users,
    grants,
    logging_in,
    oidc,
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
    settings = container.settings
    # The last one added is the outermost: also a refused body gets the headers, and who is counted is known by then.
    app.add_middleware(
        BodyLimit,
        limit=settings.max_body_bytes,
        streamed=[("POST", "/api/v1/artifacts")],
        streamed_below=("/webhook/",),
    )
    app.add_middleware(NoNul)
    app.add_middleware(Rates, limits=container.identity.rate_limits)
    if settings.cors_origins:
        app.add_middleware(CrossOrigin, origins=settings.cors_origins)
    app.add_middleware(Hosts, settings=settings)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Requests)
    if settings.trusted_proxies:
        app.add_middleware(Forwarded, proxies=Proxies(settings.trusted_proxies))
    return app
