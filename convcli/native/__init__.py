"""The optional extension in C, and how it is found. convcli works without it, only slower."""
