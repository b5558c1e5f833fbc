"""What brings an original back, gathered while its faces are hidden and laid into the result: see ``incog.vault`` and
``incog.deniable``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from incog import compose
from incog.deniable import files as deniable_files
from incog.deniable.coding import Deniable
from incog.deniable.generating import FaceHider, Sights
from incog.deniable.hiding import Codes, Hider
from incog.deniable.keeping import Keeping
from incog.deniable.turning import KeyHider
from incog.errors import PlanError, UsageError
from incog.media.base import Source
from incog.methods.base import Method
from incog.methods.generated import Replace
from incog.methods.transformer import Transformer
from incog.perception import Perception, Progress, watched
from incog.plan import Plan, Times, digest
from incog.report import ClaimReport, VaultReport
from incog.subjects import Subjects
from incog.types import Frame, Key
from incog.vault import files as vault
from incog.vault.patches import Changes
from incog.vault.tracks import Sightings, Tracks
from incog.writing import Drawing, looked_at

RISK = 0.5
"""In place of ``incog.subjects.RISK`` for deniable files: of two people taken for one, one face is brought back; of one
person taken for two, two codes agree under the right passphrase alone, and tell it."""


class Changed:
    """Where a source was changed, frame by frame: what a vault needs so that faces can be granted one by one. It is the
    witness of ``incog.writing.write``."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._photo: Changes | None = None
        self._sightings = Sightings()

    def __call__(self, before: Frame, after: Frame, drawn: Sequence[compose.Drawn]) -> None:
        if self._source.kind == "photo":
            faces = [item.job.face for item in drawn]
            self._photo = Changes.between(before, after, faces, self._source.suffix)
        else:
            regions = {
                item.job.track.id: compose.region_of(item.job.face, item.seen.outline, before)
                for item in drawn
            }
            whole = {
                number: region
                for number, region in regions.items()
                if region[0] < region[2] and region[1] < region[3]
            }
            self._sightings.add(before.index, whole)

    @property
    def found(self) -> Changes | Tracks | None:
        """What was changed; None in a photo without faces."""
        return self._photo if self._source.kind == "photo" else self._sightings.tracks()


def hider_of(
    source: Source,
    plan: Plan,
    method: Method,
    key_of: Callable[[int], Key],
    deniable: Deniable,
    mask_scale: float,
    perception: Perception,
    who: Subjects,
    progress: Progress,
) -> Keeping:
    """Return what hides faces so that any passphrase brings some back, with the plan's people, and the codes of their
    faces where it draws by them. Raises UsageError for people enrolled by name, whose faces are the same in several
    files."""
    if who.keys:
        raise UsageError(
            "people enrolled by name must not be hidden deniably: files with one face can be compared"
        )
    people_of = {track: person for track, person in who.of.items() if isinstance(person, int)}
    if isinstance(method, Transformer):
        of = {item.id: people_of.get(item.id, item.id) for item in plan.tracks}
        return KeyHider(method, of, deniable, {key_of(track): person for track, person in of.items()})
    generated = isinstance(method, Replace)
    codes, keys = Sights(people_of) if generated else Codes(people_of), dict[Key, int]()
    drawing = Drawing(method, key_of, perception.hulls, mask_scale, who)
    for looked, tracks in looked_at(watched(source, "reading", progress), Times(), plan, drawing):
        jobs = [
            compose.Job(item, face, method, key_of(item.id))
            for item, face in zip(tracks, looked.faces, strict=True)
        ]
        for job, crop in compose.crops(looked.frame, jobs, looked.seen):
            codes.look(crop, job.track.id)
            keys[job.key] = codes.person(job.track.id)
    return (FaceHider if generated else Hider)(method, codes, deniable, keys)


@contextmanager
def sealed(
    file: Path,
    target: Path,
    source: Source,
    plan: Plan,
    sealing: vault.Sealing,
    changed: Changed,
    *,
    overwrite: bool,
) -> Iterator[tuple[VaultReport, list[ClaimReport]]]:
    """Seal the original into a written file, which will be named ``target``, and yield what the report says of it, to
    publish the file in the body. Raises what ``incog.vault.files.sealed`` raises, and PlanError when the source is no
    longer what the plan was made from."""
    with vault.sealed(file, target, source.path, sealing, changes=changed.found, overwrite=overwrite) as made:
        told, *warning = made.told()
        # Sealed is what lay there just now; hidden were the faces of what the plan was made from.
        if digest(source.path, plan.scope) != plan.source.digest:
            raise PlanError("the file changed while its faces were hidden")
        yield told, warning


@contextmanager
def denied(
    file: Path,
    target: Path,
    source: Source,
    hider: Keeping,
    frames: int,
    covers: Callable[[int, int], bool],
    *,
    sidecar: bool,
    overwrite: bool,
) -> Iterator[tuple[VaultReport, list[ClaimReport]]]:
    """The same for what any passphrase brings back. covers: which tracks were filled in which frames. sidecar: see
    ``Deniable``."""
    payload = hider.payload(frames, covers)
    with deniable_files.embedded(
        file, target, source.path, payload, sidecar=sidecar, overwrite=overwrite
    ) as placed:
        yield placed.told(payload), []
