"""Every error that a request may meet has a status of its own kind."""

from http import HTTPStatus

import grpc
import pytest

from discern import errors
from discern.serving.problems import problem
from discern.serving.statuses import INTERNAL, STATUSES, status_of

SEEN = [errors.PictureError, errors.ServingError]  # what is a client's, or is for one to know


def below(kind: type[Exception]) -> list[type[Exception]]:
    return [kind, *(deeper for sub in kind.__subclasses__() for deeper in below(sub))]


@pytest.mark.parametrize("kind", [k for top in SEEN for k in below(top)][1:])
def test_it_has_a_status(kind: type[Exception]) -> None:
    if kind is not errors.ServingError:
        assert status_of(kind("message")) is not INTERNAL


def test_statuses_are_those_that_exist() -> None:
    for status in STATUSES.values():
        assert isinstance(status.http, HTTPStatus)
        assert grpc.StatusCode[status.grpc]


def test_bugs_are_not_told() -> None:
    told = problem(ValueError("secret"))
    assert told["status"] == 500
    assert "secret" not in str(told)


def test_a_pictures_reason_begins_a_sentence_and_a_fields_name_stays() -> None:
    assert problem(errors.PictureFormatError("truncated PNG"))["detail"] == "Truncated PNG"
    assert problem(errors.RequestError("images is empty."))["detail"] == "images is empty."
