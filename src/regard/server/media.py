"""An answer that is no JSON."""

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Media:
    """A picture or a file.

    Attributes:
        content: its bytes.
        kind: its media type.
        headers: more of the answer's headers.
    """

    content: bytes
    kind: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def etag(self) -> str:
        """Of the content."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:24]}"'
