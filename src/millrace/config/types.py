"""Kinds of settings that several groups of `Settings` have: lists with commas between, files and folders."""

from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode


def split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def absolute(path: Path | None) -> Path | None:
    return None if path is None else path.expanduser().absolute()


def all_absolute(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(path.expanduser().absolute() for path in paths))


Listed: TypeAlias = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split)]
Folders: TypeAlias = Annotated[tuple[Path, ...], NoDecode, BeforeValidator(split), AfterValidator(all_absolute)]
