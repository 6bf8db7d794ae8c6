"""A run's folder: config, log, checkpoints, predictions, scores and metrics."""
