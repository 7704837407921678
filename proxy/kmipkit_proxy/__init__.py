"""A recording proxy between clients and a key server, and what its captures are good for."""
