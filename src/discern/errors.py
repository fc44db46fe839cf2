"""Every error that discern raises on purpose.

DiscernError
├── ConfigError          a setting is unknown or has a wrong value
├── DatasetError         the samples cannot be read or used
├── PictureError         one picture cannot be used
│   ├── PictureReadError     its file cannot be opened
│   ├── PictureFormatError   its bytes are not a picture we can decode
│   ├── PictureLimitError    it is larger than the limits allow
│   └── FetchError           its URL cannot be fetched
│       └── FetchRefusedError    its URL is one that must not be fetched
├── ModelError           a model folder cannot be used
│   ├── ModelFormatError     it is no model folder, or written by a newer discern
│   └── ModelDamagedError    a file in it is missing or changed
├── BackboneError        a backbone is unknown or unusable
│   └── WeightsError         its weights cannot be had
├── EngineError          an engine is missing or cannot run the graph
├── TrainingError        training cannot go on
├── ExportError          a model cannot be brought into another form
│   └── ParityError          in that form it does not give the same answers
├── OutputError          a result cannot be written
└── ServingError         a request cannot be answered
    ├── RequestError         it is malformed
    │   ├── RequestLimitError    it is larger than the limits allow
    │   ├── RequestTimeoutError  its body did not come in time
    │   └── MediaTypeError       its body is of a kind that is not taken
    ├── UnauthorisedError    it has no key, or one that is not known
    ├── RateLimitedError     its sender asks too often
    ├── UnknownModelError    it asks for a model or version that is not served
    ├── OverloadedError      too much is waiting already, or nothing is ready yet
    ├── DeadlineError        its time is over
    └── UpstreamError        the model server behind the gateway failed

A message says what is wrong, where, and what to do, in one to three lines. Errors of
libraries are turned into these at the edge where they arise, with `from`. Which exit code
an error means stands in one table in `discern.cli.exit_codes`, which HTTP and gRPC status in
another in `discern.serving.statuses`; not here.
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


class FetchError(PictureError):
    """The picture's URL cannot be fetched."""


class FetchRefusedError(FetchError):
    """The picture's URL is one that must not be fetched."""


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


class ExportError(DiscernError):
    """A model cannot be brought into another form."""


class ParityError(ExportError):
    """In its other form, the model does not give the same answers."""


class OutputError(DiscernError):
    """A result cannot be written."""


class ServingError(DiscernError):
    """A request cannot be answered."""


class RequestError(ServingError):
    """The request is malformed; the message says what it should have been."""


class RequestLimitError(RequestError):
    """The request is larger than the limits allow."""


class RequestTimeoutError(RequestError):
    """The request's body did not come in time."""


class MediaTypeError(RequestError):
    """The request's body is of a kind that is not taken."""


class UnauthorisedError(ServingError):
    """The request has no key, or one that is not known."""


class RateLimitedError(ServingError):
    """The request's sender asks too often; try again after some seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnknownModelError(ServingError):
    """A model or a version that is not served."""


class OverloadedError(ServingError):
    """Too much is waiting already, or nothing is ready yet: try again after some seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeadlineError(ServingError):
    """The request's time is over."""


class UpstreamError(ServingError):
    """The model server behind the gateway failed, or gave an answer that makes no sense."""
