"""Which encoding a text has that is no UTF-8, by its bytes above 127."""

from __future__ import annotations

import codecs
import re

# Fewer of them tell nothing.
FEW = 8
MOSTLY = 0.8
# A rare character of GB 18030: letters with accents and digits by turns make no other text.
_FOUR_BYTES = re.compile(rb"[\x81-\xfe][0-9][\x81-\xfe][0-9]")


def likely_encoding(head: bytes) -> str | None:
    """A codec of Chinese, Korean or Cyrillic text, where its bytes look like one; else None.

    head: the beginning of the text. Letters with accents stand alone among ASCII; characters of two
    bytes and words of Cyrillic letters are runs.
    """
    if len(_FOUR_BYTES.findall(head)) >= 2 and _is_decodable(head, "gb18030"):
        return "gb18030"
    runs = re.findall(rb"[\x80-\xff]+", head)
    count = sum(map(len, runs))
    if count < FEW or count < 2 * len(runs):
        return None
    # Of runs of even length, as pairs: the common characters of GB2312, and the syllables of Korean.
    even = [run for run in runs if len(run) % 2 == 0]
    pairs = [run[i : i + 2] for run in even for i in range(0, len(run), 2)]
    common = sum(0xB0 <= first <= 0xD7 and second >= 0xA1 for first, second in pairs)
    if len(even) >= MOSTLY * len(runs) and common >= MOSTLY * len(pairs):
        return "cp949" if max(first for first, _ in pairs) <= 0xC8 else "gb18030"
    small = sum(byte >= 0xE0 for run in runs for byte in run)
    letters = sum(byte >= 0xC0 for run in runs for byte in run)
    if count >= 3 * len(runs) and letters >= 0.95 * count and small >= 0.5 * count:
        return "cp1251"
    return None


def _is_decodable(head: bytes, codec: str) -> bool:
    """Whether the beginning of a text, which may end within a character, is text in this encoding."""
    try:
        codecs.getincrementaldecoder(codec)().decode(head)
    except UnicodeError:
        return False
    return True
