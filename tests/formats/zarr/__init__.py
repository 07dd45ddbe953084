"""Zarr: reading, writing, OME-Zarr and hostile stores."""
