"""Whether the API may listen where it is told to: what others reach is encrypted, or said not to be."""

from millrace.config.loading import SettingsError
from millrace.config.settings import Settings


def refuse_exposed(settings: Settings) -> None:
    """Raises `SettingsError`, which names every remedy."""
    encrypted = settings.tls_cert is not None or settings.trusted_proxies
    if settings.loopback_only or encrypted or settings.allow_insecure_public:
        return
    raise SettingsError(
        f"MILLRACE_HOST: other machines reach {settings.host}, and passwords and API keys would travel in clear text. "
        "Set one of these:\n"
        "  MILLRACE_TLS_CERT and MILLRACE_TLS_KEY, or --tls-cert and --tls-key: the API speaks HTTPS\n"
        "  MILLRACE_TRUSTED_PROXIES=ADDRESS: a proxy there has TLS, and nobody else can connect\n"
        "  MILLRACE_ALLOW_INSECURE_PUBLIC=true: the network is one that you trust\n"
        "or listen on 127.0.0.1 alone; docs/how-to/expose.md says more"
    )


def is_clear_text(settings: Settings) -> bool:
    """Whether it is served to other machines without encryption, because that was asked for."""
    return not settings.loopback_only and settings.tls_cert is None and not settings.trusted_proxies
