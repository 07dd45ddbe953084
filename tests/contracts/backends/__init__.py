"""Backends that exist in tests only; each is one file, as those of convcli.engine.backends are."""
