"""Zarr arrays and OME-Zarr images, read and written in parts."""
