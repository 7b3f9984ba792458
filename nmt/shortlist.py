"""Shortlist: the target units that a source sentence may need, so that the softmax need not cover all.

After Jean et al. 2015 (section 3.3): the most frequent units, and for every source unit its most
probable translations. Here also every unit of one character, so that anything can be spelled, and
the unit that is spelled like the source unit (names, numbers, marks).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmt.config import BOS, EOS, PAD, UNK


@dataclass(frozen=True, slots=True, eq=False)
class Shortlist:
    """The lists of one model.

    Attributes:
        always: Target units of every list, special ones included, sorted, (N,).
        likely: Target units of source unit 0, then of unit 1, and so on, (P,).
        offsets: Where the units of each source unit begin in `likely`, and its length, (source vocabulary + 1,).
        size: V, the target vocabulary.
        default: Whether translation uses it unless told otherwise.
    """

    always: NDArray[np.int64]
    likely: NDArray[np.int64]
    offsets: NDArray[np.int64]
    size: int
    default: bool

    @classmethod
    def of(cls, always: NDArray[np.int64], likely: NDArray[np.bool_], *, default: bool) -> Shortlist:
        """From units for all and a table of which target units each source unit may need, (source vocabulary, V)."""
        always = np.union1d(always, [PAD, UNK, BOS, EOS])
        likely = likely.copy()
        likely[:, always] = False  # on every list already
        source, target = np.nonzero(likely)
        offsets = np.searchsorted(source, np.arange(len(likely) + 1))
        return cls(always, target, offsets, likely.shape[1], default)

    def for_source(self, ids: Sequence[int]) -> NDArray[np.int64]:
        """The target ids that this source sentence may use, sorted; special ones always among them."""
        allowed = np.zeros(self.size, dtype=bool)
        allowed[self.always] = True
        for id_ in ids:
            allowed[self.likely[self.offsets[id_] : self.offsets[id_ + 1]]] = True
        return np.flatnonzero(allowed)

    def to_arrays(self) -> dict[str, NDArray[np.uint16 | np.uint32]]:
        """Its tables, target units as narrow as the vocabulary allows."""
        kind = np.uint16 if self.size <= 1 << 16 else np.uint32
        offsets = self.offsets.astype(np.uint32)
        return {"always": self.always.astype(kind), "likely": self.likely.astype(kind), "offsets": offsets}

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, NDArray[np.uint16 | np.uint32]],
        *,
        source_size: int,
        target_size: int,
        default: bool,
    ) -> Shortlist:
        """The inverse of `to_arrays`.

        Raises:
            ValueError: The tables do not fit the vocabularies or each other.
        """
        if set(arrays) != {"always", "likely", "offsets"}:
            raise ValueError(f"it must hold always, likely and offsets, not {', '.join(sorted(arrays))}")
        always, likely, offsets = (arrays[name].astype(np.int64) for name in ("always", "likely", "offsets"))
        if offsets.shape != (source_size + 1,) or offsets[0] != 0 or offsets[-1] != len(likely):
            raise ValueError(f"its offsets do not fit {source_size} source units and {len(likely)} entries")
        if (np.diff(offsets) < 0).any():
            raise ValueError("its offsets go backwards")
        if max(int(always.max(initial=0)), int(likely.max(initial=0))) >= target_size:
            raise ValueError(f"it names units beyond the {target_size} of the target vocabulary")
        return cls(np.union1d(always, [PAD, UNK, BOS, EOS]), likely, offsets, target_size, default)
