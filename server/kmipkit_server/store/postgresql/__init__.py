"""A store in a PostgreSQL database, which several servers may use at the same time."""
