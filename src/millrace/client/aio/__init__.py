"""The client for asyncio, written by hand. `scripts/print-client` makes `millrace.client.sync` from it."""
