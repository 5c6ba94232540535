"""When a full copy of a checkpoint is due, and its writing beside the fold."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping

from feature_store.checkpoint import Manifest
from feature_store.full_copies import FullCopies

COPY_EVERY = 100  # offsets: copies stand at its multiples, whoever takes them; more would leave a slow partition without one for days
COPY_SECONDS = 300.0  # of folding to be done again when Redis is lost; less would cost the bytes of the whole state more often
COPY_RECORDS = 10_000_000  # the same for a fast partition: some minutes of folding, and 160 MB for ids that are published already

log = logging.getLogger("streamgauge.runner")


class Copying:
    """Copies of one generation that a worker has taken.

    Args:
        copies: where they stand.
        offset: of the newest copy, or where the generation began.
        now: monotonic seconds; the first copy is due COPY_SECONDS later.
    """

    def __init__(self, copies: FullCopies, offset: int, now: float) -> None:
        self._copies = copies
        self._offset, self._at = offset, now
        self._thread: threading.Thread | None = None

    def due(self, next_offset: int, end: int, now: float) -> int | None:
        """The offset before which a copy is due while the records next_offset ≤ offset < end are folded; None for none."""
        edge = end // COPY_EVERY * COPY_EVERY
        if edge <= next_offset or (now - self._at < COPY_SECONDS and edge - self._offset < COPY_RECORDS):
            return None
        return None if self._thread and self._thread.is_alive() else edge

    def start(self, manifest: Manifest, chunks: Mapping[str, bytes], now: float) -> None:
        """Writes a copy in a thread of its own, which holds up neither the fold nor the end of the process."""
        self._offset, self._at = manifest.offset, now
        self._thread = threading.Thread(target=self._write, args=(manifest, chunks), name="full-copy", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Waits until the copy that is being written stands."""
        if self._thread:
            self._thread.join()

    def _write(self, manifest: Manifest, chunks: Mapping[str, bytes]) -> None:
        place = f"generation {manifest.generation} at offset {manifest.offset}"
        began = time.monotonic()
        try:
            size = self._copies.write(manifest, chunks)
        except Exception as error:  # whatever an object store raises: a copy that fails must not stop the fold
            log.error("full copy of %s to %s failed (%s); the next one is tried in its turn", place, self._copies.url, error)
        else:
            log.info("full copy of %s: %s bytes in %.1f s", place, f"{size:,}", time.monotonic() - began)
