"""Health, metrics and traces: what a server tells those who watch it."""
