"""Lines of text files: their encoding, and what would be lost in silence on the way."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator

from nnzoo.data.table_files import limits
from nnzoo.data.table_files.file_format import Source
from nnzoo.errors import DataError

# The beginning of a file, which shows whether it is text, and its first rows.
HEAD_BYTES = 100_000
BLOCK_BYTES = 1 << 20  # decoded at once in the search for a wrong byte
HEAD_LINES = 1000
HEAD_CHARACTERS = 300_000
# The encoding tried for text that is no UTF-8: Western European Windows.
FALLBACK = "cp1252"
# UTF-32 begins as UTF-16 does.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class EncodingError(DataError):
    """Text that is not in the expected encoding.

    suggested: one in which it can be read, whether or not it is the right one; None if there is none.
    """

    code = "E35"
    suggested: str | None = None


def find_encoding(source: Source, encoding: str) -> tuple[str, list[str]]:
    """The codec of a text, and a note where it was guessed; raises DataError for binary files."""
    with source.open() as binary:
        head = binary.read(HEAD_BYTES)
    mark = next((codec for bytes_, codec in _MARKS if head.startswith(bytes_)), None)
    if encoding != "auto":
        stated = codecs.lookup(encoding).name
        # A mark at the beginning is no part of the first name.
        return (mark if mark and mark.startswith(stated) else encoding), []
    if mark:
        return mark, []
    if b"\0" not in head:
        return "utf-8", []
    even, odd = head[: len(head) // 2 * 2 : 2], head[1::2]
    for codec, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        # Most letters and digits of UTF-16 have a zero byte, in one place of the two.
        if zeros.count(0) >= 0.7 * len(zeros) and others.count(0) == 0:
            return codec, [f"read as {codec.upper()} by its zero bytes (data.encoding)"]
    raise DataError(
        f"{source.file} is not a text file (it holds zero bytes); expected CSV in UTF-8", code="E32"
    )


class TextLines:
    """The lines of a text with their ends, counted from 1.

    number: of the last line; marks: how many byte order marks were removed within the text, where
    files were put together. Raises DataError for bytes that are no text in this encoding and for
    zero characters, which other programs take for an end.
    """

    def __init__(self, source: Source, codec: str) -> None:
        self.source = source
        self.codec = codec
        # Line ends within quotes stay what they are.
        self.text = io.TextIOWrapper(source.open(), encoding=codec, newline="")
        self.number = self.marks = 0
        self.returned = io.StringIO()

    def read_block(self, characters: int) -> str:
        """The next lines, uncounted, up to the one that reaches so many characters; "" at the end."""
        try:
            text = self.returned.read() + self.text.read(characters)
            return text if text[-1:] in ("", "\n") else text + self.text.readline(limits.MAX_ROW)
        except UnicodeError:
            raise _wrong_encoding(self.source, self.codec) from None

    def give_back(self, text: str) -> None:
        """Take a block back, whose lines come next."""
        self.returned = io.StringIO(text, newline="")

    def __iter__(self) -> Iterator[str]:
        readline, longest = self.text.readline, limits.MAX_ROW
        for line in iter(lambda: self.returned.readline(longest), ""):
            yield self._checked(line)
        while True:
            try:
                line = readline(longest)
            except UnicodeError:
                raise _wrong_encoding(self.source, self.codec) from None
            if not line:
                return
            yield self._checked(line)

    def _checked(self, line: str) -> str:
        """The next line, counted, without marks."""
        self.number += 1
        if "\0" in line:
            raise DataError(
                f"{self.source.file}:{self.number}: a zero character; not text", code="E32"
            )
        if "\ufeff" in line:
            self.marks += line.count("\ufeff") - (self.number == 1 and line[0] == "\ufeff")
            line = line.replace("\ufeff", "")
        return line

    def close(self) -> None:
        self.text.close()


def read_head(source: Source, codec: str) -> list[str]:
    """The first lines of a text; a line of endless length ends them."""
    lines: list[str] = []
    size = 0
    text = TextLines(source, codec)
    try:
        for line in text:
            lines.append(line)
            size += len(line)
            if len(lines) >= HEAD_LINES or size >= HEAD_CHARACTERS or len(line) >= limits.MAX_ROW:
                break
    except EncodingError:
        if not lines:
            raise  # else the reader comes to the place, and names it
    finally:
        text.close()
    return lines


def _wrong_encoding(source: Source, codec: str) -> EncodingError:
    """The error with the place of the first wrong byte; Python's decoder stops some bytes earlier."""
    # Without the word for it, a mark at the beginning counts as three bytes of text.
    codec = codec.removesuffix("-sig")
    decoder = codecs.getincrementaldecoder(codec)()
    line, before = 1, 0
    return_before = False  # a line end of two characters may lie in two blocks
    with source.open() as binary:
        while True:
            data = binary.read(BLOCK_BYTES)
            waiting = len(decoder.getstate()[0])  # of the bytes before, an unfinished character
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeError as error:
                start = getattr(error, "start", 0) - waiting
                line += _line_ends(data[: max(0, start)].decode(codec, "replace"), return_before)[0]
                return _encoding_error(source, codec, line, before + start + 1)
            count, return_before = _line_ends(text, return_before)
            line += count
            before += len(data)
            if not data:
                return EncodingError(f"{source.file} changed while it was read", code="E31")


def _line_ends(text: str, return_before: bool) -> tuple[int, bool]:
    count = text.count("\n") + text.count("\r") - text.count("\r\n")
    return count - (return_before and text.startswith("\n")), text.endswith("\r")


def _encoding_error(source: Source, codec: str, line: int, place: int) -> EncodingError:
    where = f"{source.file}:{line}"
    if codec != "utf-8":
        return EncodingError.at("data.encoding", f"{where}: not {codec} text (byte {place})")
    with source.open() as binary:
        likely = likely_encoding(binary.read(HEAD_BYTES))
    tried = [codec for codec in (likely, FALLBACK) if codec and _file_decodes(source, codec)]
    error = EncodingError(
        f"{where}: not UTF-8 text (byte {place}); save the file as UTF-8, or name its encoding "
        f"(data.encoding: {tried[0] if tried else FALLBACK})"
    )
    error.suggested = tried[0] if tried else "latin-1"
    return error


def _file_decodes(source: Source, codec: str) -> bool:
    decoder = codecs.getincrementaldecoder(codec)()
    with source.open() as binary:
        try:
            while data := binary.read(BLOCK_BYTES):
                decoder.decode(data)
        except UnicodeError:
            return False
    return True


# Fewer bytes above ASCII are no evidence.
FEW = 8
PAIR_FRACTION = 0.8
# A rare character of GB 18030: no other text alternates accented letters and digits.
_FOUR_BYTES = re.compile(rb"[\x81-\xfe][0-9][\x81-\xfe][0-9]")


def likely_encoding(head: bytes) -> str | None:
    """A codec for Chinese, Korean or Cyrillic text if the bytes look like one, else None.

    head: the beginning of the text. Accented letters are single bytes among ASCII; two-byte characters
    and words of Cyrillic letters are runs.
    """
    if len(_FOUR_BYTES.findall(head)) >= 2 and _prefix_decodes(head, "gb18030"):
        return "gb18030"
    runs = re.findall(rb"[\x80-\xff]+", head)
    count = sum(map(len, runs))
    if count < FEW or count < 2 * len(runs):
        return None
    # Runs of even length as pairs: the common characters of GB2312, and the syllables of Korean.
    even = [run for run in runs if len(run) % 2 == 0]
    pairs = [run[i : i + 2] for run in even for i in range(0, len(run), 2)]
    common = sum(0xB0 <= first <= 0xD7 and second >= 0xA1 for first, second in pairs)
    if len(even) >= PAIR_FRACTION * len(runs) and common >= PAIR_FRACTION * len(pairs):
        return "cp949" if max(first for first, _ in pairs) <= 0xC8 else "gb18030"
    small = sum(byte >= 0xE0 for run in runs for byte in run)
    letters = sum(byte >= 0xC0 for run in runs for byte in run)
    if count >= 3 * len(runs) and letters >= 0.95 * count and small >= 0.5 * count:
        return "cp1251"
    return None


def _prefix_decodes(head: bytes, codec: str) -> bool:
    """Whether the beginning of a text, which may end within a character, is text in this encoding."""
    try:
        codecs.getincrementaldecoder(codec)().decode(head)
    except UnicodeError:
        return False
    return True
