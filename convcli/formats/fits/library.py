"""Astropy, which is an extra, imported only for such files."""

from __future__ import annotations

from types import ModuleType

from convcli.core.errors import ImageError


def astropy_fits() -> ModuleType:
    """The module `astropy.io.fits`.

    Raises:
        ImageError: it is not installed.
    """
    try:
        from astropy.io import fits
    except ImportError as error:
        raise ImageError("reading fits requires an extra package: pip install 'convcli[fits]'") from error
    module: ModuleType = fits
    return module
