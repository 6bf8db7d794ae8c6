"""Nets made ready for production: exported with their normalisation, quantised, made smaller."""
