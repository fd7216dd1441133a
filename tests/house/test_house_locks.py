"""The lock files still satisfy pyproject.toml, hold hashes, and name no address."""

import re
import tomllib

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from project_copy import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS = PROJECT["dependency-groups"]
RUNTIME = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["cpu"], *GROUPS["build"]]
WANTED = {
    "requirements.lock": RUNTIME,
    "requirements-dev.lock": [*RUNTIME, *GROUPS["dev"], *GROUPS["docs"]],
    "requirements-uv.lock": GROUPS["uv"],
}
PLATFORMS = [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")]


def locked(file: str) -> list[tuple[Requirement, int]]:
    """Return each locked requirement and how many hashes it has."""
    entries = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / file).read_text())
    return [
        (Requirement(entry.split(" \\", 1)[0]), len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry)))
        for entry in entries
    ]


def versions(file: str, platform: str, machine: str, python: str) -> dict[str, str]:
    environment = {
        **default_environment(),
        "sys_platform": platform,
        "platform_machine": machine,
        "platform_system": {"linux": "Linux", "darwin": "Darwin"}[platform],
        "python_version": python,
        "python_full_version": f"{python}.9",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
    }
    return {
        canonicalize_name(entry.name): str(entry.specifier).removeprefix("==")
        for entry, _ in locked(file)
        if entry.marker is None or entry.marker.evaluate(environment)
    }


@pytest.mark.parametrize("file", WANTED)
@pytest.mark.parametrize(("platform", "machine"), PLATFORMS)
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_lock_satisfies_pyproject(file: str, platform: str, machine: str, python: str) -> None:
    have = versions(file, platform, machine, python)
    for text in WANTED[file]:
        wanted = Requirement(text)
        version = have.get(canonicalize_name(wanted.name))
        assert version is not None, f"{wanted.name} is not in {file}: make lock"
        assert wanted.specifier.contains(version), f"{file} has {wanted.name} {version}, not {wanted}: make lock"


@pytest.mark.parametrize("file", WANTED)
def test_everything_locked_has_a_version_and_a_hash(file: str) -> None:
    for entry, hashes in locked(file):
        assert re.fullmatch(r"==[^,*]+", str(entry.specifier)), entry
        assert hashes > 0, entry


@pytest.mark.parametrize("file", WANTED)
def test_no_address_is_recorded(file: str) -> None:
    text = (ROOT / file).read_text()
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text


@pytest.mark.parametrize(("platform", "machine"), PLATFORMS)
def test_the_development_environment_holds_the_other_one(platform: str, machine: str) -> None:
    runtime = versions("requirements.lock", platform, machine, "3.11")
    development = versions("requirements-dev.lock", platform, machine, "3.11")
    assert runtime.items() <= development.items()


def test_one_faiss_only() -> None:
    for file in ("requirements.lock", "requirements-dev.lock"):
        assert [entry.name for entry, _ in locked(file) if entry.name.startswith("faiss")] == ["faiss-cpu"]
