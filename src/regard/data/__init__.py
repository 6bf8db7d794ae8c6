"""Manifests, splits, regions, decoding, transforms, loading and pre-flight checks."""
