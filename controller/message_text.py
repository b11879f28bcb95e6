"""What SQS and SNS take as text: message bodies, group ids, deduplication ids.

Invariant: pure; a text that is fit already comes out unchanged.
"""

import hashlib
import re
from typing import Final

_KEY: Final = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,./:;<=>?@\[\\\]^_`{|}~-]{1,128}")
_UNFIT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def sendable(text: str) -> str:
    """A text with the characters that messages must not hold in JSON's notation, which means the same in JSON."""
    return _UNFIT.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def deduplication_key(text: str) -> str:
    """A group or deduplication id: the text itself where it is fit for one, else its digest."""
    return text if _KEY.fullmatch(text) else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
