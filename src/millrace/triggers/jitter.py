"""Jitter: a delay that spreads triggers of the same schedule, and is the same each time for each of them."""

import hashlib

from millrace.core.values import Duration


def jitter_for(trigger_id: str, jitter: Duration) -> Duration:
    """A delay from 0 up to, but not including, `jitter`, made from the id alone: evenly spread over many ids."""
    share = int.from_bytes(hashlib.sha256(trigger_id.encode()).digest()[:8])
    return share * jitter >> 64
