"""What the stores in SQL databases share: rows, conditions, views and transactions, over a
:class:`.connection.Connection`."""
