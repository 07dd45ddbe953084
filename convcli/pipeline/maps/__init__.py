"""Feature maps: computed in passes of the engine, mapped to pixels and painted."""
