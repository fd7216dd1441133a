"""Weights of a tag: in a cache of this machine, or downloaded once from Hugging Face.

The caches are looked at first, and no network is asked for what lies there: huggingface_hub's own, and the folder of
OpenAI's and open_clip's addresses. Where a file must be fetched, the host gets one attempt to answer; a machine
without a network is known within `ANSWER_S`, and the message names the file to bring.
"""

import logging
import re
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from reid_pipeline.models.open_clip_lists import file_names
from reid_pipeline.schema.digests import digest_of_file
from reid_pipeline.schema.errors import UserError

ANSWER_S = 8.0
URL_CACHE = Path("~/.cache/clip")
_OFFLINE = "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set, so no download was tried"

_T = TypeVar("_T")


class AbsentWeights(UserError):  # noqa: N818 - says what it found
    """Published weights that are in no cache of this machine, and that could not be downloaded."""


class _NoDownloadError(OSError):
    """A download that was not tried, or did not bring the file; its text says why."""


class Naming(NamedTuple):
    """What messages call a file, and what is done with one that was brought by hand."""

    subject: str
    use: str = "set `pretrained` to its path"


def published_file(label: str | Naming, facts: Mapping[str, Any]) -> Path:
    """Return the file of published weights, from a cache or downloaded; `label` names the weights in messages.

    Raises:
        AbsentWeights: it is in no cache and cannot be downloaded.
        UserError: the file in the cache is damaged.
    """
    repository, _, own_name = str(facts["hf_hub"]).rpartition("/")
    names = (own_name,) if own_name else file_names()
    if found := _cached(repository, names, str(facts.get("url", ""))):
        return found
    try:
        return _downloaded(repository, names)
    except Exception as error:
        naming = label if isinstance(label, Naming) else Naming(f"The weights {label}")
        raise AbsentWeights(_failed(naming, error, repository, names, str(facts.get("url", "")))) from error


def require_reachable(label: str, repository: str, name: str) -> None:
    """Raise a UserError where a file of a repository is in no cache, and no host that has it answers in time."""
    from huggingface_hub import constants, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(repository, name), str):
        return
    try:
        if constants.HF_HUB_OFFLINE:
            raise _NoDownloadError(_OFFLINE)
        with _quiet():
            _within(ANSWER_S, lambda: _offered(repository, (name,)))
    except Exception as error:
        place = _folder_in_cache(repository)
        raise UserError(
            f"{label} is not in the cache, and could not be downloaded: {_reason(error, repository)}. On a machine "
            f"with a network, fetch it with `hf download {repository}`, and copy the folder {place.name} of that "
            f"machine's cache to {place}."
        ) from error


def _cached(repository: str, names: tuple[str, ...], url: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    for name in names:
        found = try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            path = Path(found)
            _require_digest(path, "Remove it, and it is downloaded again.")
            return path
    path = URL_CACHE.expanduser() / url.rpartition("/")[2]
    if url and path.is_file():
        _require_digest(path, f"Remove it, or get it again: {url}.", url.split("/")[-2])
        return path
    return None


def _require_digest(path: Path, remedy: str, digest: str = "") -> None:
    """Refuse a file of another SHA-256 than its address states, or its place in the hub's cache."""
    wanted = digest or path.resolve().name
    if re.fullmatch(r"[0-9a-f]{64}", wanted) and (found := digest_of_file(path)) != wanted:
        raise UserError(
            f"The weights {path} are damaged: their SHA-256 begins with {found[:12]}, and should with {wanted[:12]}. "
            f"{remedy}"
        )


def _downloaded(repository: str, names: tuple[str, ...]) -> Path:
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.utils.tqdm import tqdm

    class Progress(tqdm):
        """A bar of progress that ends a download which begins at the front again and again."""

        def update(self, n: float | None = 1) -> bool | None:
            """Go on by `n` bytes; a server that cannot go on where it stopped makes it go back."""
            if n is not None and n < 0:
                raise _NoDownloadError("the download ends early, and the server cannot go on from there")
            return bool(super().update(n))

    if constants.HF_HUB_OFFLINE:
        raise _NoDownloadError(_OFFLINE)
    with _quiet():
        name = _within(ANSWER_S, lambda: _offered(repository, names))
        path = Path(hf_hub_download(repository, name, etag_timeout=ANSWER_S, tqdm_class=Progress))
    try:
        _require_digest(path, "")
    except UserError:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise _NoDownloadError("what came has not the SHA-256 that the host states; it was removed") from None
    return path


def _offered(repository: str, names: tuple[str, ...]) -> str:
    """Return the first of some names that the repository has; one attempt each, and no second one after a failure."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError

    for name in names[:-1]:
        try:
            get_hf_file_metadata(hf_hub_url(repository, name), timeout=ANSWER_S)
        except EntryNotFoundError:
            continue
        return name
    get_hf_file_metadata(hf_hub_url(repository, names[-1]), timeout=ANSWER_S)
    return names[-1]


def _within(seconds: float, action: Callable[[], _T]) -> _T:
    """Return what `action` returns; TimeoutError if that takes longer: resolving a name heeds no timeout."""
    answer: Future[_T] = Future()

    def run() -> None:
        try:
            answer.set_result(action())
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return answer.result(timeout=seconds)
    except TimeoutError:
        raise TimeoutError(f"no answer within {seconds:.0f} s") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence huggingface_hub's warnings: what they say stands in our message, once."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _failed(naming: Naming, error: Exception, repository: str, names: tuple[str, ...], url: str) -> str:
    from huggingface_hub import hf_hub_url

    addresses = [hf_hub_url(repository, name, endpoint="https://huggingface.co") for name in names]
    place = _folder_in_cache(repository)
    also = f" (or {url}, into {URL_CACHE})" if url else ""
    return (
        f"{naming.subject} are not in the cache, and could not be downloaded: {_reason(error, repository)}. On a "
        f"machine with a network, fetch {' or '.join(addresses)}{also}, bring the file here and {naming.use}; or copy "
        f"the folder {place.name} of that machine's cache to {place}."
    )


def _folder_in_cache(repository: str) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model")


def _reason(error: Exception, repository: str) -> str:
    """Say in a clause why a download failed; of torch's, Python's and the hub's advice nothing is quoted."""
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError):
        return f"{repository} asks for an agreement first, on its page; then log in with `hf auth login`"
    if isinstance(error, errors.EntryNotFoundError | errors.RepositoryNotFoundError) and status is not None:
        return f"the host has no such file that it shows without a login (status {status})"
    if status is not None:
        return f"the host answered with status {status}"
    if isinstance(error, TimeoutError | _NoDownloadError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror} (HF_HOME may name another folder for the cache)"
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    proxies = sorted({f"{scheme.upper()}_PROXY" for scheme in urllib.request.getproxies()} - {"NO_PROXY"})
    return f"{reason} (by way of the proxy in {', '.join(proxies)})" if proxies else reason
