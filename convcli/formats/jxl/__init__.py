"""JPEG XL: headers and metadata are parsed here, pixels are decoded and encoded by imagecodecs (libjxl)."""
