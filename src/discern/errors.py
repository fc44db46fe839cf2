"""Every error that discern raises on purpose.

DiscernError
├── ConfigError          a setting is unknown or has a wrong value
├── DatasetError         the samples cannot be read or used
├── PictureError         one picture cannot be used
│   ├── PictureReadError     its file cannot be opened
│   ├── PictureFormatError   its bytes are not a picture we can decode
│   └── PictureLimitError    it is larger than the limits allow
├── ModelError           a model folder cannot be used
│   ├── ModelFormatError     it is no model folder, or written by a newer discern
│   └── ModelDamagedError    a file in it is missing or changed
├── BackboneError        a backbone is unknown or unusable
│   └── WeightsError         its weights cannot be had
├── EngineError          an engine is missing or cannot run the graph
├── TrainingError        training cannot go on
└── OutputError          a result cannot be written

A message says what is wrong, where, and what to do, in one to three lines. Errors of
libraries are turned into these at the edge where they arise, with `from`. Which exit code
an error means stands in one table in `discern.cli.exit_codes`, not here.
"""


class DiscernError(Exception):
    """Base of all errors that discern raises on purpose."""


class ConfigError(DiscernError):
    """A setting is unknown or has a wrong value."""


class DatasetError(DiscernError):
    """The samples cannot be read or used."""


class PictureError(DiscernError):
    """One picture cannot be used; the message is the reason, without the picture's name."""


class PictureReadError(PictureError):
    """The picture's file cannot be opened."""


class PictureFormatError(PictureError):
    """The bytes are not a picture that can be decoded."""


class PictureLimitError(PictureError):
    """The picture is larger than the limits allow."""


class ModelError(DiscernError):
    """A model folder cannot be used."""


class ModelFormatError(ModelError):
    """The folder is no model folder, or a newer discern wrote it."""


class ModelDamagedError(ModelError):
    """A file of the model folder is missing or changed."""


class BackboneError(DiscernError):
    """A backbone is unknown or unusable."""


class WeightsError(BackboneError):
    """A backbone's weights cannot be had."""


class EngineError(DiscernError):
    """An engine is missing or cannot run the graph."""


class TrainingError(DiscernError):
    """Training cannot go on."""


class OutputError(DiscernError):
    """A result cannot be written."""
