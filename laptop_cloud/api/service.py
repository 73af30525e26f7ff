"""A service that speaks AWS's JSON 1.1 protocol: requests are checked, errors are what boto3 raises."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from laptop_cloud.api.service_model import service_model, violations

Params = dict[str, Any]
Operation = Callable[[Params], Params]

JSON_1_1 = "application/x-amz-json-1.1"


class ServiceError(Exception):
    """A refusal, as the service words it."""

    def __init__(self, code: str, message: str, status: int = 400, **fields: str | int) -> None:
        """`code` is what `ClientError` carries; `fields` are the error's further members."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields

    def body(self) -> bytes:
        """The error on the wire; JSON 1.1 and REST-JSON clients both read it."""
        members = {"__type": self.code, "message": self.message, "Message": self.message, **self.fields}
        return json.dumps(members).encode()


def invalid(message: str) -> ServiceError:
    """The error for a request that the service understands and refuses."""
    return ServiceError("ValidationException", message)


class Service:
    """Operations by name, behind the checks of the service's own model."""

    def __init__(self, name: str, operations: Mapping[str, Operation]) -> None:
        """`name` is botocore's name of the service, `operations` those that exist here."""
        self._model = service_model(name)
        self._operations = operations

    def call(self, operation: str, params: Params) -> Params:
        """Do one operation.

        Raises:
            ServiceError: the operation does not exist here, a parameter breaks the model, or the
                service refuses.
        """
        if operation not in self._operations:
            known = ", ".join(sorted(self._operations))
            raise ServiceError(
                "UnknownOperationException",
                f"the laptop cloud has no {self._model.service_name}:{operation}; it has {known}",
            )
        shape = self._model.operation_model(operation).input_shape
        broken = list(violations(shape, params))
        if broken:
            errors = "errors" if len(broken) > 1 else "error"
            raise invalid(f"{len(broken)} validation {errors} detected: {'; '.join(broken)}")
        return self._operations[operation](params)

    def answer(self, operation: str, body: bytes) -> tuple[int, bytes]:
        """One request to one response: the HTTP status and the JSON body."""
        try:
            try:
                params = json.loads(body or b"{}")
            except ValueError:
                raise ServiceError("SerializationException", "the request's body is not JSON") from None
            return 200, json.dumps(self.call(operation, params)).encode()
        except ServiceError as error:
            return error.status, error.body()
