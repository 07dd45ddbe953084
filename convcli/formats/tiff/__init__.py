"""TIFF: pages, tiles and strips, colors, axes."""
