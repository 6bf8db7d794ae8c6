"""How the size of a picture is given."""

# Height and width in pixels.
Size = tuple[int, int]
