"""What is in a manifest, and what is wrong with it."""
