"""How a command ends that cannot do what it was asked: with one sentence and a status, never with a traceback.

| status | meaning |
|---|---|
| 1 | a rule refused; `audit` found a violation; `export` met a writer |
| 2 | a wrong setting, option or argument |
| 3 | the database did not answer, is too busy, refuses, or has no tables |
"""

from __future__ import annotations

import errno
import sqlite3
from copy import copy
from functools import partial
from typing import Any

import click
from pynamodb.exceptions import PynamoDBConnectionError, TableDoesNotExist, VerboseClientError

from app.domain.errors import Busy, ProductError, StoreUnavailable
from app.domain.identifiers import USERNAME, matches
from app.models.upgrade import ImportUnfinished

NO_DATABASE = 3
# How PynamoDB and botocore put what DynamoDB refuses for another reason than a rule of ours.
DATABASE_ERRORS = (
    Busy,
    ImportUnfinished,
    StoreUnavailable,
    PynamoDBConnectionError,
    TableDoesNotExist,
    VerboseClientError,
)


class Failed(click.ClickException):
    """Ends a command with a sentence, because the database could not be asked."""

    exit_code = NO_DATABASE


class Username(click.ParamType[str]):
    """An argument that can be the name of a user, in any case. Empty text cannot, such as that of an unset variable."""

    name = "username"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        username = value.strip().lower()
        if not matches(USERNAME, username):
            self.fail(f"{value!r} cannot be a username.", param, ctx)
        return username


def in_a_sentence(command: click.Command) -> click.Command:
    """The command, and all of its group, made to end as this module says."""
    guarded = copy(command)
    guarded.invoke = partial(_invoke, command)  # type: ignore[method-assign]
    return guarded


def _invoke(command: click.Command, context: click.Context) -> Any:
    try:
        return command.invoke(context)
    except DATABASE_ERRORS as error:
        raise Failed(sentence_of(error)) from error
    except ProductError as error:
        raise click.ClickException(str(error)) from error
    except sqlite3.Error as error:
        raise Failed(f"The audit could not sort what it read ({error}). Set TMPDIR to a folder with room.") from error
    except OSError as error:
        if error.errno == errno.EPIPE:  # the reader has gone; click ends quietly
            raise
        raise Failed(f"{error.filename or 'The system'}: {error.strerror or error}.") from error


def sentence_of(error: Exception) -> str:
    """What an operator is told of a rule's refusal or of one of DATABASE_ERRORS."""
    if isinstance(error, StoreUnavailable):
        return "The database does not answer. Check DYNAMODB_ENDPOINT or the AWS settings; the log names the cause."
    if isinstance(error, ImportUnfinished):
        return "An import into these tables was cut off. Run `flask --app wsgi import` with the same file again."
    if isinstance(error, Busy):
        return "The database is too busy, or changes came at once. Try again in a moment."
    if isinstance(error, ProductError):
        return str(error)
    answer: dict[str, Any] = getattr(getattr(error, "cause", None) or error, "response", {})
    code = answer.get("Error", {}).get("Code", type(error).__name__)
    if isinstance(error, TableDoesNotExist) or code == "ResourceNotFoundException":
        return "There are no such tables. Check USERS_TABLE and ORDERS_TABLE, or run `flask --app wsgi tables create`."
    return f"The database refuses this ({code}). Check the permissions and the tables."
