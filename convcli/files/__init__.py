"""The only way in and out: whole files, streams, files that appear complete or not at all."""
