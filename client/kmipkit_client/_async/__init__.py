"""The client for trio and asyncio; :mod:`kmipkit_client._sync` is generated from it."""
