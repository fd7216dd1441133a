"""Names of identities: merging two, taking a merge back, and naming a cluster. No segment changes."""

from collections.abc import Sequence

from reid_pipeline.gallery.manifest import Identity, Manifest
from reid_pipeline.gallery.rows import plain_name
from reid_pipeline.gallery.state import State
from reid_pipeline.schema.errors import UserError, printable


def merged(state: State, into: str, names: Sequence[str]) -> Manifest:
    """Return the gallery in which the entries of `names` are those of `into`.

    Raises:
        UserError: an identity is unknown, or there is nothing to merge.
    """
    root = state.key_of(into)
    keys = list(dict.fromkeys(state.key_of(name) for name in names))
    if not keys or root in keys:
        what = f"{into!r} cannot be merged into itself" if keys else f"Nothing is given to merge into {into!r}"
        raise UserError(f"{what}; name two identities or more.")
    manifest = state.manifest
    moved = {key: _changed(manifest.identities[key], into=root) for key in keys}
    return manifest.model_copy(
        update={"identities": {**manifest.identities, **moved}, "merges": (*manifest.merges, tuple(keys))}
    )


def unmerged(state: State) -> tuple[Manifest, str, tuple[str, ...]]:
    """Return the gallery without its last merge, the identity it was into, and those that stand apart again.

    Raises:
        UserError: there is no merge to take back.
    """
    manifest = state.manifest
    if not manifest.merges:
        raise UserError(
            f"Gallery {state.folder.name} has no merge to take back: there was none, all are taken back, or what was"
            " merged has been forgotten."
        )
    *earlier, keys = manifest.merges
    into = manifest.identities[keys[0]].into
    apart = {key: _changed(manifest.identities[key], into=None) for key in keys}
    taken = {each.name for key, each in manifest.identities.items() if each.into is None and key not in apart}
    for key, identity in apart.items():
        apart[key] = _changed(identity, name=_free(identity.name, taken))
        taken.add(apart[key].name)
    left = manifest.model_copy(update={"identities": {**manifest.identities, **apart}, "merges": tuple(earlier)})
    name = "" if into is None else left.identities[left.root(into)].name
    return left, name, tuple(each.name for each in apart.values())


def renamed(state: State, old: str, new: str) -> Manifest:
    """Return the gallery in which an identity has another name, which confirms it.

    Raises:
        UserError: it is unknown, or the new name is empty or another identity's.
    """
    key = state.key_of(old)
    if not isinstance(new, str) or not (new := plain_name(new)):
        raise UserError(f"The new name of {old!r} is empty; give one.")
    manifest = state.manifest
    if any(plain_name(each.name) == new and each.into is None for at, each in manifest.identities.items() if at != key):
        raise UserError(
            f"Gallery {state.folder.name} has an identity {printable(new)!r} already. If the two are one"
            f" individual, merge {old!r} into it; else give another name."
        )
    changed = _changed(manifest.identities[key], name=new, confirmed=True)
    return manifest.model_copy(update={"identities": {**manifest.identities, key: changed}})


def _changed(identity: Identity, **values: object) -> Identity:
    return identity.model_copy(update=values)


def _free(name: str, taken: set[str]) -> str:
    """Return a name, or with a number behind it where it was given to another identity meanwhile."""
    number, free = 2, name
    while free in taken:
        number, free = number + 1, f"{name} ({number})"
    return free
