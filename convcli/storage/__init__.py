"""Where files are: local paths and URLs of object stores. The only package that imports fsspec."""
