"""Text files of any encoding to UTF-8, with the encoding given, found, or refused."""

import codecs
import re
import shutil
from pathlib import Path

from charset_normalizer import from_bytes

from pipeline.errors import Mistake

CHUNK = 1 << 20
SAMPLE_BYTES = 1 << 23
EVIDENCE_BYTES = 20
BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
WESTERN_LETTERS = "àâäáãåæçèéêëìíîïñòóôöõøùúûüßœšžÀÂÄÁÃÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÖÕØÙÚÛÜŒŠŽ"
WESTERN_WORD = re.compile(
    rf"(?<=[A-Za-z])[{WESTERN_LETTERS}]+|[{WESTERN_LETTERS}]+(?=[A-Za-z])|[€£°§«»–—‘’“”…•™®©½ºª²³]"
)


def as_utf8(path: Path, given: str | None, shown: str, folder: Path) -> tuple[Path, tuple[str, ...]]:
    """Return the file as UTF-8 without a byte order mark, and a sentence where its encoding had to be found.

    Args:
        path: A text file.
        given: Its encoding; found where None.
        shown: Its name for people.
        folder: Where a transcoded copy may lie.

    Raises:
        Mistake: If the encoding is unknown, does not fit the bytes, or cannot be found with confidence.
    """
    encoding, notes = (given, ()) if given else _found(path, shown)
    try:
        name = codecs.lookup(encoding).name
    except LookupError as error:
        raise Mistake(f"source.encoding: there is no encoding {encoding!r}") from error
    with path.open("rb") as file:
        marked = file.read(3) == codecs.BOM_UTF8
    if name in ("utf-8", "ascii") and not marked:
        _refuse_broken(path, name, shown)
        return path, notes
    target = folder / "transcoded"
    try:
        with (
            path.open(encoding="utf-8-sig" if marked else name, newline="") as old,
            target.open("w", encoding="utf-8", newline="") as new,
        ):
            shutil.copyfileobj(old, new, CHUNK)
    except UnicodeError as error:
        raise Mistake(f"{shown}: its bytes are not {encoding} as source.encoding says") from error
    return target, notes


def _found(path: Path, shown: str) -> tuple[str, tuple[str, ...]]:
    with path.open("rb") as file:
        head = file.read(SAMPLE_BYTES)
    for mark, encoding in BOMS.items():
        if head.startswith(mark):
            return encoding, ()
    broken = _first_broken(path, "utf-8")
    if broken is None:
        return "utf-8", ()
    with path.open("rb") as file:
        file.seek(max(broken - SAMPLE_BYTES // 2, 0))
        around = file.read(SAMPLE_BYTES)
    lines = b"\n".join(re.findall(rb"[^\r\n]*[\x80-\xff][^\r\n]*", around))[: 1 << 16]
    legacy = _legacy(lines)
    if legacy is None:
        raise Mistake(
            f"{shown}: is broken UTF-8 at byte {broken}, and no other encoding fits surely; "
            "mend the file or name its encoding in source.encoding"
        )
    return legacy, (f"the text is not UTF-8; read as {legacy}; source.encoding can name another",)


def _refuse_broken(path: Path, encoding: str, shown: str) -> None:
    broken = _first_broken(path, encoding)
    if broken is not None:
        raise Mistake(f"{shown}: is not {encoding.upper()}: the byte at position {broken} does not belong there")


def _first_broken(path: Path, encoding: str) -> int | None:
    """Return the position of the first byte that does not fit, in bytes from 0; None where all fit."""
    decoder = codecs.getincrementaldecoder(encoding)()
    done = 0
    with path.open("rb") as file:
        while True:
            chunk = file.read(CHUNK)
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                return done - pending + error.start
            if not chunk:
                return None
            done += len(chunk)


def _legacy(lines: bytes) -> str | None:
    """Name the 8-bit or Asian encoding of lines that are not UTF-8; None where the evidence is thin.

    Whole UTF-8 characters beside the broken ones mean a damaged UTF-8 file: another encoding would garble them.
    """
    decoded = lines.decode("utf-8", errors="replace")
    whole = sum(ord(letter) > 127 and letter != "\ufffd" for letter in decoded)
    if whole >= decoded.count("\ufffd"):
        return None
    strange = sum(byte > 127 for byte in lines)
    try:
        western = lines.decode("cp1252")
    except UnicodeDecodeError:
        western = ""
    if western and sum(map(len, WESTERN_WORD.findall(western))) == strange:
        return "cp1252"
    best = from_bytes(lines).best()
    if best is None or strange < EVIDENCE_BYTES or best.chaos > 0.1:
        return None
    return str(best.encoding)
