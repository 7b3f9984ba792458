"""The errors this library raises on purpose.

    NmtError                something a person can put right
     ├── ConfigError        a setting, or two that do not go together
     ├── BundleError        a model folder: file missing, damaged, too new
     ├── CorpusError        training text: file, line and what is wrong there
     ├── InputError         text to translate that cannot be taken as it is
     │    ├── InputTooLong  more text than a stated limit
     │    └── SeveralSentences  several where only one will do
     └── DeadlineExceeded   the time given for an answer has passed

Every message says what is wrong, where, and what to do about it. The message of an
`InputError` never contains the text itself.
"""

from __future__ import annotations


class NmtError(Exception):
    """Base of all errors raised on purpose; its text is fit to be shown to a person."""


class ConfigError(NmtError):
    """A setting has a value that cannot work, alone or together with another."""


class BundleError(NmtError):
    """A model bundle cannot be loaded; the message names the file and the remedy."""


class CorpusError(NmtError):
    """A corpus cannot be read; the message names the file and the line."""


class InputError(NmtError):
    """Text to translate or to score cannot be taken as it is."""


class InputTooLong(InputError):
    """Text is longer than a limit; the message names the limit."""


class SeveralSentences(InputError):
    """A text of one sentence was needed; the message says what for."""


class DeadlineExceeded(NmtError):
    """The time given for an answer passed before it was complete."""
