"""Studies: a grid of small models over recipes, seeds and settings, planned in TOML, each run a line of JSON."""
