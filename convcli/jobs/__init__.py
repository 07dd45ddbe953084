"""Images that are filtered in pieces: jobs, pieces, their grid, the journal, and what puts them together."""
