"""One image from file to file.

`planning` decides from a header what is to be done and ends in a `Task`; `maps` computes feature maps and
paints them; `writing` puts them into files; `reports` describes them; `job` runs all of it. Settings, names,
mappings and colors are values that all of them use.
"""
