"""A stage's base model on the Hub, read with the access of the process that will fetch it."""

from __future__ import annotations

from adapters.source import HubSource, SourceError
from adapters.validation.base_model import InvalidBaseModel
from ingest.hub import ClosedRepository, Hub, HubFile, HubUnavailable
from ingest.model_files import MODEL_CONFIG, ModelFiles, hub_model

_LOGIN = "put a Hub read token into Secrets Manager and name the secret in hub_token_secret"
_MIRROR = "write base_model.mirror: true"
_ANONYMOUS = "the container fetches it without a token"


def open_base_model(source: HubSource, hub: Hub, *, mirrored: bool, with_code: bool = False) -> ModelFiles:
    """Locate a base model, and ask for its config and its weights as a reader of them does.

    A mirrored model is copied by the seeder, whose token `hub` has. Any other is fetched by the container,
    which has none: its environment is readable with `sagemaker:DescribeModel`. So what counts then is the
    Hub's answer to a request without a token, whatever the seeder's token could read.

    The probe is HEAD of files, because the Hub lists a gated repository to everyone and refuses its files:
    401 without a token, 403 with one that has no access, both with `X-Error-Code: GatedRepo`. It is also the
    first request of `hf_hub_download` for each file.

    Raises `InvalidBaseModel` with the remedy if the model cannot be fetched, `HubUnavailable` if the Hub
    cannot be asked, and `OutOfTime`.
    """
    try:
        return _probed(source, hub if mirrored else hub.without_token(), with_code)
    except HubUnavailable:
        raise
    except ClosedRepository as closed:
        if mirrored:
            problem, remedy = _closed_to_seeder(closed, source, hub)
        else:
            problem, remedy = _closed_to_container(closed, source, hub, with_code)
        raise InvalidBaseModel(_named(source), problem, remedy) from closed
    except SourceError as error:
        raise InvalidBaseModel(_named(source), error.problem, error.remedy) from error


def _probed(source: HubSource, hub: Hub, with_code: bool) -> ModelFiles:
    model = hub_model(hub, source, with_code=with_code)
    for file in (model.files[MODEL_CONFIG], model.files[model.weights[0]]):
        if isinstance(file, HubFile):
            file.probe()
    return model


def _closed_to_seeder(closed: ClosedRepository, source: HubSource, hub: Hub) -> tuple[str, str]:
    """Return problem and remedy for a model that is to be mirrored."""
    page = hub.page(source.repo)
    if closed.gated and hub.has_token:
        return closed.problem, f"accept the licence at {page} with that account"
    if closed.gated:
        return closed.problem, f"accept the licence at {page}, {_LOGIN}"
    if hub.has_token:
        return closed.problem, f"check base_model.name ({page}), and the token in hub_token_secret"
    return closed.problem, f"check base_model.name ({page}); for a private one, {_LOGIN}"


def _closed_to_container(
    closed: ClosedRepository, source: HubSource, hub: Hub, with_code: bool
) -> tuple[str, str]:
    """Return problem and remedy for a model that is closed to requests without a token."""
    page = hub.page(source.repo)
    if not hub.has_token:
        if closed.gated:
            problem = f"{closed.problem}, and {_ANONYMOUS}"
            return problem, f"accept the licence at {page}, {_LOGIN}, and {_MIRROR}"
        remedy = f"check base_model.name ({page}); for a private one, {_LOGIN}, and {_MIRROR}: {_ANONYMOUS}"
        return closed.problem, remedy
    try:
        _probed(source, hub, with_code)
    except HubUnavailable:
        raise
    except ClosedRepository as error:
        problem, remedy = _closed_to_seeder(error, source, hub)
        return problem, f"{remedy}, and {_MIRROR}: {_ANONYMOUS}"
    except SourceError as error:
        return error.problem, f"{error.remedy}, and {_MIRROR}: {_ANONYMOUS}"
    kind = "gated" if closed.gated else "private"
    return (
        f"the repository is {kind}, and {_ANONYMOUS}",
        f"{_MIRROR}: it is then copied with the token of hub_token_secret",
    )


def _named(source: HubSource) -> str:
    return f"{source.repo}@{source.revision}"
