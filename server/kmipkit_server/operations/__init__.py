"""One small function per operation, by family; ``table`` has a row for each."""
