"""Every error that streamgauge raises on purpose. A command prints the sentence and exits; it never shows a traceback."""

from __future__ import annotations


class StreamgaugeError(Exception):
    """Root of all errors raised on purpose. The message names the thing and the fix."""


class DefinitionError(StreamgaugeError):
    """A plant file or a feed definition is wrong; the message names the field and what to write instead."""


class SettingsError(StreamgaugeError):
    """An address, credential or option cannot be used as given."""


class ServerUnavailable(StreamgaugeError):
    """Kafka or Redis did not answer in time; the message says which one, where, and how to start one."""


class InputError(StreamgaugeError):
    """A file or a row given by a person cannot be read; the message names file and line."""


class UnreadableRecords(StreamgaugeError):
    """Records on a topic cannot be opened as this installation is; the message names the topic and what to install."""


class StateError(StreamgaugeError):
    """Stored state cannot be used: a checksum differs, a version is unknown, a layout does not fit."""


class Fenced(StreamgaugeError):
    """Another owner has taken this partition since; whoever gets this must stop writing at once."""


class NotCheckable(StreamgaugeError):
    """The logs that a verification needs are no longer there, or were made by another version of the fold."""


class ModelError(StreamgaugeError):
    """A model cannot be built, carried or read back; the message lists what is allowed."""


class HistoryError(StreamgaugeError):
    """The Parquet history does not hold what was asked of it; the message says what it holds and what would complete it."""
