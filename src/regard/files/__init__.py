"""Files of unknown origin are read with care, and own ones are written whole or not at all."""
