"""A service with AWS's JSON 1.1 protocol: validated requests, and errors for boto3's `ClientError`."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Mapping
from typing import Any

from laptop_cloud.api.service_model import service_model, violations

Params = dict[str, Any]
Operation = Callable[[Params], Params]

JSON_1_1 = "application/x-amz-json-1.1"


class ServiceError(Exception):
    """An error response of a service."""

    def __init__(self, code: str, message: str, status: int = 400, **fields: str | int) -> None:
        """`code` is the error code of `ClientError`; `fields` are the error's other members."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields

    def body(self) -> bytes:
        """Return the response body, for JSON 1.1 and REST-JSON clients alike."""
        members = {"__type": self.code, "message": self.message, "Message": self.message, **self.fields}
        return json.dumps(members).encode()


def invalid(message: str) -> ServiceError:
    """Return the error for a well-formed request that the service refuses."""
    return ServiceError("ValidationException", message)


def refuse_others(operation: str, params: Params, emulated: Container[str] = ()) -> None:
    """Raise `ServiceError` for a parameter that AWS has and the laptop cloud does not emulate."""
    others = sorted(name for name in params if name not in emulated)
    if others:
        raise invalid(f"the laptop cloud does not emulate {', '.join(others)} of {operation}")


class Service:
    """Operations by name. Each request is validated by botocore's model of the service."""

    def __init__(self, name: str, operations: Mapping[str, Operation]) -> None:
        """`name` is botocore's name of the service, `operations` are those that are emulated."""
        self._model = service_model(name)
        self._operations = operations

    def call(self, operation: str, params: Params) -> Params:
        """Run one operation.

        Raises:
            ServiceError: the operation is not emulated, a parameter violates the model, or the service
                refuses the request.
        """
        if operation not in self._operations:
            known = ", ".join(sorted(self._operations))
            raise ServiceError(
                "UnknownOperationException",
                f"the laptop cloud has no {self._model.service_name}:{operation}; it has {known}",
            )
        shape = self._model.operation_model(operation).input_shape
        found = list(violations(shape, params))
        if found:
            errors = "errors" if len(found) > 1 else "error"
            raise invalid(f"{len(found)} validation {errors} detected: {'; '.join(found)}")
        return self._operations[operation](params)

    def handle(self, operation: str, body: bytes) -> tuple[int, bytes]:
        """Return the HTTP status and the JSON body of the response to a request."""
        try:
            try:
                params = json.loads(body or b"{}")
            except ValueError:
                raise ServiceError("SerializationException", "the request's body is not JSON") from None
            return 200, json.dumps(self.call(operation, params)).encode()
        except ServiceError as error:
            return error.status, error.body()
