import pytest
import tensorflow as tf

from export.status_codes import TEMPORARY, StatusCode


def test_names_and_numbers_are_those_of_tensorflow_and_grpc():
    grpc = pytest.importorskip("grpc", reason='needs the extra "serving"')
    for code in StatusCode:
        assert getattr(tf.errors, code.name, 0) == code
    assert {code.name: code.value[0] for code in grpc.StatusCode} == {
        code.name: code for code in StatusCode
    }


def test_http_statuses():
    assert {code.http for code in TEMPORARY} == {429, 503, 504}
    assert StatusCode(3).http == 400
    assert StatusCode(None) is StatusCode(99) is StatusCode.UNKNOWN
