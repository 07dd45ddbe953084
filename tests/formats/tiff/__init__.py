"""TIFF: pages read in parts, many bands, levels."""
