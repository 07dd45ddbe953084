"""Many images: inputs, worker processes, the manifest, resuming."""
