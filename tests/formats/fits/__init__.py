"""Tests of FITS files."""
