"""Secrets from a folder as containers have it mounted: through links, and as it is at the moment of use."""

from pathlib import Path

import pytest

from millrace.auth.masking import SecretMasker
from millrace.auth.secrets import EnvironmentSecrets, FolderSecrets, SecretChain
from millrace.ports.secrets import OF_NOBODY, SecretUnavailable

DOOR = frozenset({"door"})


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """The layout of Kubernetes: files are links into `..data`, a link that is exchanged as a whole."""
    first = tmp_path / "..2026_06_01"
    first.mkdir()
    (first / "door").write_text("open-sesame\n")
    (first / "tls.key").write_text("no name of a secret")
    (tmp_path / "..data").symlink_to(first.name)
    for name in ("door", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    return tmp_path


def exchange(mounted: Path, value: str) -> None:
    second = mounted / "..2026_06_02"
    second.mkdir()
    (second / "door").write_text(value)
    (mounted / "..data_tmp").symlink_to(second.name)
    (mounted / "..data_tmp").rename(mounted / "..data")


async def test_a_file_that_is_exchanged_is_seen_at_the_next_use_and_masked(mounted: Path) -> None:
    masker = SecretMasker()
    secrets = SecretChain([FolderSecrets(mounted)], masker)
    await secrets.learn_all()
    assert masker.text("it is open-sesame") == "it is ***"
    assert (await secrets.resolve(DOOR, OF_NOBODY)).values == {"door": "open-sesame"}
    exchange(mounted, "another-sesame\r\n")
    assert (await secrets.resolve(DOOR, OF_NOBODY)).values == {"door": "another-sesame"}
    assert masker.text("another-sesame, once open-sesame") == "***, once ***"


async def test_names_of_the_folder_are_known_and_those_of_its_machinery_are_not(mounted: Path) -> None:
    secrets = SecretChain([FolderSecrets(mounted)], SecretMasker())
    assert await secrets.scopes(frozenset({"door", "tls.key", "..data", "none"})) == {"door": None}
    with pytest.raises(SecretUnavailable, match="there is no secret 'none'"):
        await secrets.resolve(frozenset({"none"}), OF_NOBODY)


async def test_the_environment_wins_and_is_for_everybody(mounted: Path) -> None:
    sources = [EnvironmentSecrets({"MILLRACE_SECRET_DOOR": "of the environment"}), FolderSecrets(mounted)]
    found = await SecretChain(sources, SecretMasker()).resolve(DOOR, OF_NOBODY)
    assert (found.values["door"], found.hosts.bindings) == ("of the environment", ())
