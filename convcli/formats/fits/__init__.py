"""FITS: images in header and data units, read in parts by convcli and astropy; not written."""
