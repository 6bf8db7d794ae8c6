"""Bulk prediction: hundreds of thousands of images, in parts that a kill leaves whole."""
