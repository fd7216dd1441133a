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


def conf_source() -> str:
    """Return Kedro's setting of that name: `conf` where the project's folder has it, else the package's, in full."""
    return CONF if (project_folder() / CONF / "base").is_dir() else str(package_conf())


def project_of(conf: Path) -> Path:
    """Return the folder that relative paths of a configuration begin at: that of conf/, unless it is in the wheel."""
    return project_folder() if conf == _OF_WHEEL else conf.parent


def as_typed_here(text: str) -> str:
    """Return a text whose commands work here: outside of a Kedro project there is no `kedro run`."""
    return text if kedro_package(project_folder()) else text.replace("kedro run", "reid-pipeline run")
