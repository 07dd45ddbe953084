"""Tests of DICOM files."""
