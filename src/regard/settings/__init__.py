"""Settings of a config, and how a mistake in them is told."""
