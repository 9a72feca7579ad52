"""Packed bodies (Content-Encoding), unpacked piece by piece: a few bytes may stand for gigabytes."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from serve_app.http.refusal import RefusalError

# What `zlib.decompressobj` takes as `wbits`: 16 + 15 is gzip's header and checksum, 15 zlib's own, which HTTP calls
# deflate (RFC 9110, 8.4.1).
ENCODINGS = {"gzip": 31, "deflate": 15}
ALIASES = {"x-gzip": "gzip"}
# How many encodings one in another are undone, and how many parts a gzip file may have: each costs time and memory
# though it holds nothing.
MOST_ENCODINGS, MOST_PARTS = 2, 1000


class Unpacker:
    """Undoes encodings, the last that was applied first. No stage gives more than `limit` bytes."""

    def __init__(self, encodings: Sequence[str], limit: int) -> None:
        self._stages = [_Stage(encoding, limit) for encoding in reversed(encodings)]

    def feed(self, packed: bytes) -> bytes:
        """What a further piece of the body holds. Raises RefusalError."""
        for stage in self._stages:
            packed = stage.feed(packed)
        return packed

    def check_complete(self) -> None:
        """Raise RefusalError where the body ended too early."""
        for stage in self._stages:
            stage.check_complete()


class _Stage:
    def __init__(self, encoding: str, limit: int) -> None:
        self._encoding, self._limit, self._size, self._parts = encoding, limit, 0, 1
        self._inflate = zlib.decompressobj(ENCODINGS[encoding])

    def feed(self, packed: bytes) -> bytes:
        pieces = []
        while packed:
            if self._inflate.eof:
                self._begin_part()
            try:
                # One byte more than may come, so that too many are seen; 0 would mean any number.
                piece = self._inflate.decompress(packed, self._limit - self._size + 1)
            except zlib.error as error:
                raise self._damaged(str(error)) from error
            self._size += len(piece)
            if self._size > self._limit:
                raise too_large(self._limit)
            pieces.append(piece)
            packed = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
        return b"".join(pieces)

    def check_complete(self) -> None:
        if not self._inflate.eof:
            raise self._damaged("it ends too early")

    def _begin_part(self) -> None:
        """What follows the end: a gzip file may have several parts (RFC 1952, 2.2)."""
        self._parts += 1
        if self._encoding != "gzip" or self._parts > MOST_PARTS:
            raise self._damaged("something follows its end" if self._encoding != "gzip" else "it has too many parts")
        self._inflate = zlib.decompressobj(ENCODINGS[self._encoding])

    def _damaged(self, why: str) -> RefusalError:
        return RefusalError(400, "bad_request", f"the body is no {self._encoding}, as Content-Encoding says: {why}")


def unpacker_for(headers: Sequence[str], limit: int) -> Unpacker | None:
    """For the values of Content-Encoding; None where the body is as it is. Raises RefusalError for unknown ones."""
    named = [one.strip().lower() for header in headers for one in header.split(",")]
    encodings = [ALIASES.get(one, one) for one in named if one not in ("", "identity")]
    unknown = [one for one in encodings if one not in ENCODINGS]
    if unknown or len(encodings) > MOST_ENCODINGS:
        what = repr(unknown[0])[:100] if unknown else f"{len(encodings)} times"
        known = " or ".join(ENCODINGS)
        message = f"Content-Encoding {what} is not understood here: send the body as it is, or as {known}"
        raise RefusalError(415, "bad_request", message)
    return Unpacker(encodings, limit) if encodings else None


def too_large(limit: int) -> RefusalError:
    return RefusalError(413, "too_large", f"the body is over {limit / (1 << 20):g} MiB: send fewer documents")
