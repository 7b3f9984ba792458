"""ModelBundle: one folder that is the model.

model.safetensors   weights: int8 matrices with one fp32 scale a row (`NAME.scale`), or fp32
config.json         format_version, languages, architecture, token ids, text normalisation
source.spm …        the vocabulary of each side (one file when shared)
card.json README.md what it was trained on, its scores, its licence
quality.json        optional: calibration of confidence, thresholds of flags
shortlist.safetensors  optional: the target units that a source unit may need
aligner.safetensors  optional: what says which word stands for which
manifest.json       size and SHA-256 of every other file
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file
from torch import Tensor

from nmt.aligner import Aligner
from nmt.config import BOS, EOS, PAD, UNK, ModelConfig, build, check_range
from nmt.errors import BundleError, ConfigError
from nmt.manifest import MANIFEST, read_json, seal, verify, write_json
from nmt.model import Seq2Seq
from nmt.quality import Calibration, Quality
from nmt.shortlist import Shortlist
from nmt.tokenizer import Tokenizer

FORMAT_VERSION = 1
WEIGHTS, CONFIG, CARD, README = "model.safetensors", "config.json", "card.json", "README.md"
QUALITY, SHORTLIST, ALIGNER = "quality.json", "shortlist.safetensors", "aligner.safetensors"
"""Optional files."""
_SCALE = ".scale"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleConfig:
    """`config.json`: all that is needed to use the weights.

    Attributes:
        format_version: 1.
        name: The bundle's name, `en-fr`.
        source, target: Language codes (BCP 47).
        architecture: `ModelConfig.to_dict()`.
        source_units, target_units: File of each side's vocabulary; the same one when shared.
        longest_source: Longest source, in units, that training has seen often enough; longer
            sentences are split.
        shortlist: Whether translation uses the bundle's shortlist unless told otherwise.
        token_ids, normalisation: Fixed in this format; written down for readers of other languages.
    """

    format_version: int
    name: str
    source: str
    target: str
    architecture: dict[str, Any]
    source_units: str
    target_units: str
    longest_source: int
    shortlist: bool = False
    token_ids: dict[str, Any] = field(
        default_factory=lambda: {"padding": PAD, "unknown": UNK, "start": BOS, "end": EOS}
    )
    normalisation: dict[str, Any] = field(
        default_factory=lambda: {"unicode": "NFC", "white_space": "single", "control_characters": "removed"}
    )


def quantise(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices as int8 with one scale a row, max |row| / 127; vectors stay fp32."""
    stored: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        tensor = tensor.detach().float().cpu()
        if tensor.dim() == 2:
            scale = (tensor.abs().amax(dim=1) / 127).clamp_min(1e-12)
            stored[name] = (tensor / scale[:, None]).round().to(torch.int8)
            stored[name + _SCALE] = scale
        else:
            stored[name] = tensor.contiguous().clone()
    return stored


def dequantise(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `quantise`, in fp32."""
    return {
        name: tensor.float() * stored[name + _SCALE][:, None] if tensor.dtype == torch.int8 else tensor.float()
        for name, tensor in stored.items()
        if not name.endswith(_SCALE)
    }


def _is_version(name: str) -> bool:
    return name.isascii() and name.isdigit()


def versions(folder: Path) -> list[int]:
    """Versions under `models/<name>` whose manifest is there, ascending."""
    if not folder.is_dir():
        return []
    return sorted(int(p.name) for p in folder.iterdir() if _is_version(p.name) and (p / MANIFEST).is_file())


def latest(folder: Path) -> Path:
    """The highest complete version under `models/<name>`.

    Raises:
        BundleError: There is none.
    """
    found = versions(folder)
    if not found:
        raise BundleError(
            f"{folder} holds no model version (a folder named 1, 2, … with a {MANIFEST}); train one or copy one there"
        )
    return folder / str(found[-1])


@dataclass(frozen=True, slots=True)
class ModelBundle:
    """A bundle on disk, checked; `load` reads it, `save` writes one.

    Attributes:
        path: Its folder.
        version: The folder's number; 0 for a bundle that is not published.
        config: What `config.json` says.
        card: What `card.json` says.
        sha256: Digest of the manifest, which names every file's: the identity of the bundle.
    """

    path: Path
    version: int
    config: BundleConfig
    card: dict[str, Any]
    sha256: str

    @property
    def name(self) -> str:
        """The bundle's name, `en-fr`."""
        return self.config.name

    @property
    def source(self) -> str:
        """Source language code."""
        return self.config.source

    @property
    def target(self) -> str:
        """Target language code."""
        return self.config.target

    @classmethod
    def load(cls, path: Path | str) -> ModelBundle:
        """Read and verify `models/<name>/<version>`, or the highest version of `models/<name>`.

        Raises:
            BundleError: A file is missing or damaged, the format is newer, or a field is unknown;
                the message names the file and the remedy.
        """
        path = Path(path)
        if not path.is_dir():
            raise BundleError(f"{path} is not a folder; name a model folder such as models/en-fr")
        if not (path / MANIFEST).exists() and not (path / CONFIG).exists():
            path = latest(path)
        sha256 = verify(path, (WEIGHTS, CONFIG, CARD))
        values = read_json(path / CONFIG)
        version = values.get("format_version")
        if not isinstance(version, int) or version > FORMAT_VERSION:
            raise BundleError(
                f"{path / CONFIG} has format_version {version!r}; this Interlinear reads up to {FORMAT_VERSION}. "
                "Install a newer Interlinear, or export the model again"
            )
        try:
            config = build(BundleConfig, values, CONFIG)
            ModelConfig.from_dict(config.architecture)
            check_range("longest_source", config.longest_source, 1, 100_000)
        except ConfigError as error:
            raise BundleError(
                f"{path / CONFIG}: {error}; the file was edited or made by another version: export the model again"
            ) from None
        return cls(path, int(path.name) if _is_version(path.name) else 0, config, read_json(path / CARD), sha256)

    def model(self) -> Seq2Seq:
        """The network with its weights, fp32, on the CPU, in evaluation mode."""
        model = Seq2Seq(ModelConfig.from_dict(self.config.architecture))
        place = self.path / WEIGHTS
        try:
            weights = dequantise(load_file(place))
        except (SafetensorError, KeyError, OSError) as error:
            raise BundleError(f"{place} is damaged ({error}); copy the whole folder again or export it again") from None
        wanted = {name: parameter.shape for name, parameter in model.named_parameters()}
        given = {name: tensor.shape for name, tensor in weights.items()}
        if wanted != given:
            wrong = sorted(set(wanted.items()) ^ set(given.items()))[0][0]
            raise BundleError(
                f"{place} does not fit {CONFIG} at {wrong!r}, they are of different models; copy the whole folder again"
            )
        model.load_state_dict(weights, strict=False)
        return model.eval()

    def tokenizers(self) -> tuple[Tokenizer, Tokenizer]:
        """Source and target tokenizer; one object when the file is shared."""
        listed = read_json(self.path / MANIFEST)["files"]
        loaded: dict[str, Tokenizer] = {}
        for side in ("source", "target"):
            name, size = getattr(self.config, f"{side}_units"), self.config.architecture[f"{side}_vocabulary"]
            if name not in listed:
                raise BundleError(
                    f"{self.path / CONFIG} names {name!r}, which {MANIFEST} does not list; export it again"
                )
            if name not in loaded:
                loaded[name] = Tokenizer.load(self.path / name)
            if loaded[name].size != size:
                raise BundleError(
                    f"{self.path / name} has {loaded[name].size} units, but {CONFIG} says {size}; "
                    "they are of different models: copy the whole folder again"
                )
        return loaded[self.config.source_units], loaded[self.config.target_units]

    def quality(self) -> Quality:
        """What judges its translations; without `quality.json` it raises no flag.

        Raises:
            BundleError: The file is not what this version reads.
        """
        if not (self.path / QUALITY).exists():
            return Quality()
        try:
            return Quality(Calibration.from_dict(read_json(self.path / QUALITY)))
        except ConfigError as error:
            raise BundleError(
                f"{self.path / QUALITY}: {error}; the file was edited or made by another version: "
                "calibrate the model again"
            ) from None

    def shortlist(self) -> Shortlist | None:
        """The target units that a source may need; None where none was learned.

        Raises:
            BundleError: The file is damaged or of another model.
        """
        place, architecture = self.path / SHORTLIST, self.config.architecture
        if not place.exists():
            return None
        try:
            return Shortlist.from_arrays(
                load_arrays(place),
                source_size=architecture["source_vocabulary"],
                target_size=architecture["target_vocabulary"],
                default=self.config.shortlist,
            )
        except (SafetensorError, ValueError) as error:
            raise BundleError(
                f"{place} is damaged ({error}); copy the whole folder again or learn the shortlist again"
            ) from None

    def aligner(self, model: Seq2Seq) -> Aligner | None:
        """What says which word stands for which; None where none was learned.

        Args:
            model: This bundle's: the aligner reads its embeddings.

        Raises:
            BundleError: The file is damaged or of another model.
        """
        place = self.path / ALIGNER
        if not place.exists():
            return None
        source, target = (side.embedding.weight.detach().numpy() for side in (model.encoder, model.decoder))
        try:
            arrays = {name: tensor.numpy() for name, tensor in dequantise(load_file(place)).items()}
            return Aligner.from_arrays(arrays, source, target)
        except (SafetensorError, KeyError, ValueError) as error:
            raise BundleError(
                f"{place} is damaged ({error}); copy the whole folder again, or learn it again: "
                f"python -m training add-aligner {self.path} --train FILE"
            ) from None

    def add_aligner(self, weights: Mapping[str, Tensor], *, card: dict[str, Any], readme: str) -> None:
        """Write this bundle anew with an aligner, as `amend` does.

        Args:
            weights: What `training.aligner` learned; stored as int8.
            card: Contents of `card.json`.
            readme: The card for people, Markdown.
        """
        beside = self._copy(MANIFEST)
        save_file(quantise(weights), beside / ALIGNER)
        self._replace(beside, card, readme)

    def amend(
        self, *, card: dict[str, Any], readme: str, quality: Calibration | None, shortlist: Shortlist | None
    ) -> None:
        """Write this bundle anew beside its place, with other optional files and another card, then rename it.

        Args:
            card: Contents of `card.json`.
            readme: The card for people, Markdown.
            quality: Contents of `quality.json`; None: without.
            shortlist: Contents of `shortlist.safetensors`; None: without.
        """
        beside = self._copy(MANIFEST, QUALITY, SHORTLIST)
        config = replace(self.config, shortlist=shortlist is not None and shortlist.default)
        write_json(beside / CONFIG, asdict(config))
        _write_optional(beside, quality, shortlist)
        self._replace(beside, card, readme)

    def describe(self, *, card: dict[str, Any], readme: str) -> None:
        """Write this bundle anew with another card, as `amend` does; the rest stays."""
        self._replace(self._copy(MANIFEST), card, readme)

    def _copy(self, *without: str) -> Path:
        beside = self.path.with_name(self.path.name + ".part")
        shutil.rmtree(beside, ignore_errors=True)
        shutil.copytree(self.path, beside, ignore=shutil.ignore_patterns(*without))
        return beside

    def _replace(self, beside: Path, card: dict[str, Any], readme: str) -> None:
        write_json(beside / CARD, card)
        (beside / README).write_text(readme, "utf-8")
        seal(beside, self.path, version=FORMAT_VERSION)

    @staticmethod
    def save(
        path: Path,
        *,
        config: BundleConfig,
        weights: Mapping[str, Tensor],
        units: list[Path],
        card: dict[str, Any],
        readme: str,
        quality: Calibration | None = None,
        shortlist: Shortlist | None = None,
        aligner: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Write a bundle beside `path`, then rename it there; what stood there is replaced.

        Args:
            path: Folder of the bundle.
            config: Contents of `config.json`.
            weights: fp32 weights by parameter name, shared ones once; stored as int8.
            units: Vocabulary files to copy in.
            card: Contents of `card.json`.
            readme: The card for people, Markdown.
            quality: Contents of `quality.json`, if any.
            shortlist: Contents of `shortlist.safetensors`, if any; `config` says whether it is used.
            aligner: What `training.aligner` learned, if anything; stored as int8.
        """
        beside = path.with_name(path.name + ".part")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        save_file(quantise(weights), beside / WEIGHTS)
        if aligner is not None:
            save_file(quantise(aligner), beside / ALIGNER)
        for file in units:
            shutil.copyfile(file, beside / file.name)
        write_json(beside / CONFIG, asdict(config))
        write_json(beside / CARD, card)
        (beside / README).write_text(readme, "utf-8")
        _write_optional(beside, quality, shortlist)
        seal(beside, path, version=FORMAT_VERSION)


def _write_optional(folder: Path, quality: Calibration | None, shortlist: Shortlist | None) -> None:
    if quality is not None:
        write_json(folder / QUALITY, quality.to_dict())
    if shortlist is not None:
        save_arrays(shortlist.to_arrays(), folder / SHORTLIST)
