"""The command on systems that lack what Linux has."""
