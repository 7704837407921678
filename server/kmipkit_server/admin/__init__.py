"""``kmipkit admin``: what administrators do with a key server."""
