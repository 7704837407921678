"""From a request through a batch to a response; knows no operation."""
