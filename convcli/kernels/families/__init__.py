"""Presets with parameters, such as ``gaussian:1.5``."""
