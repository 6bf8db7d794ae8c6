"""Manifests, splits, regions, transforms and loading."""
