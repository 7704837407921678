"""A running server, put together from its parts: the rooms below know nothing of each other's order."""
