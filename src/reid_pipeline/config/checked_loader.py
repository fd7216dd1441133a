"""Kedro's config loader, whose files are checked one by one: what is wrong is answered with file and line."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, cast

from kedro.config import OmegaConfigLoader
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import GrammarParseError, OmegaConfBaseException, UnsupportedInterpolationType

from reid_pipeline.config.files import SUFFIXES, line_of, read_conf_file, shown
from reid_pipeline.config.overlays import FOLDER
from reid_pipeline.schema.errors import UserError, first_few, nearest

_RESOLVERS = ("globals", "runtime_params", "oc.env")
_ARCHIVES = (".tar", ".gz", ".tgz", ".zip", ".bz2", ".xz")


class CheckedConfigLoader(OmegaConfigLoader):
    """Kedro's loader of a local folder; archives and addresses on a network are left to Kedro."""

    def __init__(self, conf_source: str, env: str | None = None, *rest: Any, **options: Any) -> None:
        """Check that the folders are there; a UserError says what is wrong."""
        self._files: dict[str, list[Path]] = {}
        if "://" not in conf_source and Path(conf_source).suffix not in _ARCHIVES:
            folder, base = Path(conf_source), str(options.get("base_env") or "")
            _require_environment(folder, base, env or options.get("default_run_env") or base)
        super().__init__(conf_source, env, *rest, **options)

    def place(self, key: str, name: str) -> str:
        """Return file and line of a name, dotted or of the top level, in the files read for `key`; else the files."""
        return self.found(key, name) or first_few([shown(path) for path in self._files.get(key, [])]) or "conf/"

    def found(self, key: str, name: str) -> str:
        """Return file and line of a name in the files read for `key`, the last one that has it; empty for none."""
        for names in ([name], name.replace("[", ".").replace("]", "").split(".")):
            for path in reversed(self._files.get(key, [])):
                if (line := line_of(path, names)) is not None:
                    return f"{shown(path)}, line {line}"
        return ""

    def _read_dir_configs(
        self,
        conf_path: str,
        patterns: Iterable[str],
        key: str,
        processed_files: set[Path],
        read_environment_variables: bool | None = False,
    ) -> dict[Path, DictConfig]:
        """Return the files of one folder that `patterns` name."""
        if self._protocol != "file":
            rest = (key, processed_files, read_environment_variables)
            return cast("dict[Path, DictConfig]", super()._read_dir_configs(conf_path, patterns, *rest))
        folder, found = Path(conf_path), {}
        for path in _below(folder):
            name = path.relative_to(folder).as_posix()
            if name.startswith(f"{FOLDER}/"):  # an environment's own; read where one is given
                continue
            if path.suffix in SUFFIXES and any(fnmatch(name, pattern) for pattern in patterns):
                self._files.setdefault(key, []).append(path)
                with self._located(key):
                    found[path] = OmegaConf.create(read_conf_file(path))
                    if read_environment_variables:
                        self._resolve_environment_variables(found[path])
                processed_files.add(path)
            elif key == "globals":
                self._require_name(path, name)
        self._check_duplicates(key, found)
        return found

    def _merge_and_resolve(self, key: str, config_per_file: dict[Path, DictConfig]) -> dict[str, Any]:
        with self._located(key):
            return cast("dict[str, Any]", super()._merge_and_resolve(key, config_per_file))

    def _check_duplicates(self, key: str, config_per_file: dict[Path, Any]) -> None:
        try:
            super()._check_duplicates(key, config_per_file)
        except ValueError as error:
            text = str(error).replace(f"{Path.cwd()}{os.sep}", "")
            raise UserError(f"{text}. Leave each in one of the two files.") from error

    @contextmanager
    def _located(self, key: str) -> Iterator[None]:
        """Say of what OmegaConf refuses in which file and line it stands."""
        try:
            yield
        except OmegaConfBaseException as error:
            # A value that a resolver of ours refuses is the user's; the entry that asks for it is right.
            if (refusal := _user_error_behind(error)) is not None:
                raise refusal from error
            name = str(error.full_key or "")
            raise UserError(f"{self.place(key, name)}: {name and f'{name}: '}{self._explained(error)}") from error

    def _explained(self, error: OmegaConfBaseException) -> str:
        """Return what OmegaConf refuses, and what is allowed."""
        reason = str(error.msg or error).splitlines()[0].removesuffix(".")
        reason = f"{reason.partition('resolving interpolation: ')[2] or reason}."
        word = reason.removesuffix(".").rpartition(" ")[2]
        if isinstance(error, GrammarParseError):
            return f"{reason} A ${{ is closed by }}; where it stands for itself, write \\${{."
        if isinstance(error, UnsupportedInterpolationType):
            allowed = "Allowed are ${globals:<name>}, ${runtime_params:<name>,<default>} but in globals.yml, and"
            return f"{reason}{nearest(word, _RESOLVERS)} {allowed} ${{oc.env:<NAME>}} in credentials.yml."
        if "Globals key" in reason:
            return f"{reason}{nearest(reason.split(chr(39))[1], self._globals)} It must stand in a globals.yml."
        return reason

    def _require_name(self, path: Path, name: str) -> None:
        """Refuse a file that looks like one of conf/ and is not read under its name."""
        patterns = [pattern for each in self.config_patterns.values() for pattern in each]
        if path.suffix in SUFFIXES and any(fnmatch(name, pattern) for pattern in patterns):
            return
        word, _, suffix = path.name.lower().partition(".")
        kinds = get_close_matches(word.partition("_")[0], self.config_patterns, 1, 0.8)
        if kinds and f".{suffix.removesuffix('.txt')}" in SUFFIXES:
            rest = word.partition("_")[1] + word.partition("_")[2] if kinds[0] != "globals" else ""
            raise UserError(
                f"{shown(path)} is not read under this name. Call it {kinds[0]}{rest}.yml, or take it out of conf/."
            )


def _below(folder: Path) -> Iterator[Path]:
    """Yield what is no folder below `folder`, and folders that are named as files are; nothing hidden."""
    for place, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        here = Path(place).resolve()
        above = {here, *here.parents}
        below = sorted(each for each in folders if not each.startswith("."))
        folders[:] = [each for each in below if (here / each).resolve() not in above]
        for name in sorted([*files, *(each for each in folders if Path(each).suffix in SUFFIXES)]):
            if not name.startswith("."):
                yield Path(place, name)


def _refuse(error: OSError) -> None:
    raise UserError(
        f"{shown(Path(str(error.filename)))} cannot be read: {str(error.strerror).lower()}. Make it readable for you."
    ) from error


def _require_environment(conf: Path, base: str, environment: str) -> None:
    if not (conf / base).is_dir():
        raise UserError(
            f"{shown(conf)} has no folder {base}. --conf-source names the folder that holds {base}/ and one folder for"
            " each environment."
        )
    names = Path(environment).parts
    if not (conf / environment).is_dir() or environment == FOLDER or {"/", ".."} & set(names):
        folders = sorted(each.name for each in conf.iterdir() if each.is_dir() and not each.name.startswith("."))
        known = [each for each in folders if each not in {base, FOLDER}]
        raise UserError(
            f"There is no environment {environment!r} in {shown(conf)}.{nearest(environment, known)} Give --env one of:"
            f" {first_few(known, 20)}."
        )


def _user_error_behind(error: BaseException | None) -> UserError | None:
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error
