from __future__ import annotations

import orjson
import pytest

from agent.etcd import errors


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.invalid_argument("x"), 400, 3),
        (errors.compacted(), 400, 11),
        (errors.future_revision(), 400, 11),
        (errors.permission_denied(), 403, 7),
        (errors.key_not_provided(), 400, 3),
        (errors.request_too_large(), 400, 3),
        (errors.message_too_large(5, 4), 429, 8),
        (errors.not_ready(), 503, 14),
        (errors.auth_not_enabled(), 400, 9),
    ],
)
def test_every_error_has_the_shape_of_the_first_gateway(error: errors.EtcdError, status: int, code: int):
    assert (error.status, error.code) == (status, code)
    assert orjson.loads(error.body()) == {"error": error.message, "code": code, "message": error.message}
