"""The optional C extension, and how it is found; without it, convcli works too, but is slower."""
