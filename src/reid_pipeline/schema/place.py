"""Where a run's conf/ and data/ lie: in a project's folder; or data/ where the user is, and conf/ in the wheel."""

import tomllib
from pathlib import Path

CONF = "conf"
_PACKAGE = Path(__file__).resolve().parents[1]
_OF_WHEEL = _PACKAGE / "_conf"
"""What pyproject.toml calls conf/ inside the wheel; an editable install has none."""


def package_conf() -> Path:
    """Return the conf/ that comes with the package: from a wheel the one inside it, else that of its repository."""
    return _OF_WHEEL if _OF_WHEEL.is_dir() else _PACKAGE.parents[1] / CONF


def kedro_package(folder: Path) -> str:
    """Return the package of the Kedro project whose root `folder` is; empty where it is none."""
    try:
        found = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    kedro = found.get("tool", {}).get("kedro", {})
    return str(kedro.get("package_name", "")) if isinstance(kedro, dict) else ""


def project_folder(here: Path | None = None) -> Path:
    """Return the folder that relative paths of a run begin at, and data/ is made in.

    That is, as for Kedro, the nearest folder from `here` upwards (by default where the process runs) that is the root
    of a Kedro project; where there is none, `here`.
    """
    here = here or Path.cwd()
    return next((folder for folder in (here, *here.parents) if kedro_package(folder)), here)


def has_own_conf(project: Path) -> bool:
    """Return whether a project's folder has a conf/ of its own, which is read in the place of the package's."""
    return (project / CONF / "base").is_dir()


def project_of(conf: Path) -> Path:
    """Return the folder that relative paths of a configuration begin at: that of conf/, unless it is in the wheel."""
    return project_folder() if conf == _OF_WHEEL else conf.parent


def in_work_tree() -> bool:
    """Return whether the git work tree of the project's folder, if any, has code or parameters of a run.

    Where both come from a wheel, it is of something else.
    """
    return package_conf() != _OF_WHEEL or has_own_conf(project_folder())


def as_typed_here(text: str) -> str:
    """Return a text whose commands work here: outside of a Kedro project there is no `kedro run`."""
    return text if kedro_package(project_folder()) else text.replace("kedro run", "reid-pipeline run")
