"""Engines that run tasks on workers: in this process, or on the machines of a Dask cluster."""
