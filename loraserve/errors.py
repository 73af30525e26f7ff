"""The base class of errors that a command reports in one line, and the errors that several commands share."""

from __future__ import annotations


class UserError(Exception):
    """An error that the user can act on; the message says what to do.

    `loraserve.cli.console.report_errors` prints the message without a stack trace, in every command.
    """

    exit_code = 1


class NotDeployed(UserError):
    """A resource that the command needs does not exist; the message says how to create it."""


class LocalStage(UserError):
    """The command is for stages in AWS, not for the Local stage."""

    exit_code = 2


class NotDeployable(UserError):
    """A stage whose deployment would fail; nothing was changed."""
