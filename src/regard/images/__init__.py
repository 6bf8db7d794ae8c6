"""From a file to pixels and back: decoding, drawing, colours."""
