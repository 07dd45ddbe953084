"""OpenEXR: headers and chunks are read here, pixels are decoded and encoded by OpenEXR, which is an extra."""
