"""Convolutions of arrays in chunks: which chunks a chunk of the result reads, and its task."""
