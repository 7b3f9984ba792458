"""Decoding on a GPU: the encoder by cuDNN, the decoder's step as a captured CUDA graph.

A step of a small batch is some thirty kernels of a few microseconds each; launched one by one from
Python they take ten times as long as they run. So a step is captured once for each bucket of
sentences, rows a sentence and source length, over tensors that stay where they are, and replayed: copy the
state in, one launch, copy the results out. Shapes: B sentences, K rows of each, R = B K rows, S source
length, V vocabulary; what is padded up to its bucket is computed and thrown away.
"""

from __future__ import annotations

import copy
import logging
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from nmt.attention import ProjectedSource
from nmt.cells import RecurrentState
from nmt.context import FixedContext, SourceContext
from nmt.decoder import Decoder, DecoderState, Step
from nmt.encoder import EncoderOutput
from nmt.model import Seq2Seq

logger = logging.getLogger("interlinear.cuda")

SENTENCES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
LENGTHS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256)
MOST_ROWS = 8192

Outputs = tuple[Tensor, ...]
Capture = Callable[[Callable[[], Outputs]], tuple[Outputs, Callable[[], object]]]
"""Makes of a function over fixed tensors its outputs, fixed too, and what computes them again."""


class Bucket(NamedTuple):
    """What a captured step is for.

    Attributes:
        sentences: B, rounded up.
        rows: K.
        length: S, rounded up; 1 without attention.
    """

    sentences: int
    rows: int
    length: int


def bucket_of(sentences: int, rows: int, length: int) -> Bucket | None:
    """The smallest bucket that holds a step; None for one too large to be worth a graph."""
    at, wide = bisect_left(SENTENCES, sentences), bisect_left(LENGTHS, length)
    if at == len(SENTENCES) or wide == len(LENGTHS) or SENTENCES[at] * rows > MOST_ROWS:
        return None
    return Bucket(SENTENCES[at], rows, LENGTHS[wide] if length > 1 else 1)


def cuda_graphs() -> Capture:
    """Capture with CUDA graphs that share one pool of scratch memory: they never run side by side."""
    pool = torch.cuda.graph_pool_handle()

    def capture(function: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], object]]:
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):  # libraries set themselves up at the first calls, which must not be captured
                function()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            outputs = function()
        return outputs, graph.replay

    return capture


class GraphModel:
    """`DecodingModel` on a GPU, in fp32 or bf16; its own copy of the weights.

    With bf16 the encoder runs in fp16: cuDNN keeps fp16 weights in one piece and fp16 has three bits more,
    while what an encoder holds is small (gates and embeddings).

    Args:
        model: In evaluation mode, anywhere.
        device: `cuda` or `cuda:N`; `cpu` works too, for tests.
        dtype: `torch.bfloat16` or `torch.float32`.
        capture: How a step is captured; None is never.
        most_graphs: Buckets kept; the one unused for longest goes first.
    """

    few_rows = 0

    def __init__(
        self,
        model: Seq2Seq,
        *,
        device: str = "cuda",
        dtype: torch.dtype = torch.bfloat16,
        capture: Capture | None = None,
        most_graphs: int = 48,
    ) -> None:
        self.device = torch.device(device)
        self.dtype = dtype
        reading = torch.float16 if dtype == torch.bfloat16 and self.device.type == "cuda" else dtype
        self._encoder = copy.deepcopy(model.encoder).to(self.device, reading).eval()
        self._decoder: Decoder = copy.deepcopy(model.decoder).to(self.device, dtype).eval()
        self._capture = capture
        self._most = most_graphs
        self._graphs: OrderedDict[Bucket, _Graph | None] = OrderedDict()

    @torch.inference_mode()
    def encode(self, source: Tensor) -> EncoderOutput:
        """Source ids with EOS, shape (B, S)."""
        encoded = self._encoder(source)
        return EncoderOutput(encoded.memory.to(self.dtype), encoded.final.to(self.dtype), encoded.mask)

    @torch.inference_mode()
    def start(self, encoded: EncoderOutput) -> DecoderState:
        """The state before the first unit, one row for each sentence."""
        return self._decoder.start(encoded)

    @torch.inference_mode()
    def step(self, tokens: Tensor, state: DecoderState, vocabulary: Tensor | None = None) -> Step:
        """Read one unit of every row, shape (R,), and predict the next; see `DecodingModel`."""
        graph = None if vocabulary is not None or self._capture is None else self._graph_for(tokens, state)
        if graph is None:
            return self._decoder.step(tokens, state, vocabulary)
        return graph.step(tokens, state)

    def _graph_for(self, tokens: Tensor, state: DecoderState) -> _Graph | None:
        bucket = bucket_of(state.sentences, len(tokens) // state.sentences, _length(state.context))
        if bucket is None:
            return None
        if bucket not in self._graphs:
            assert self._capture is not None
            try:
                self._graphs[bucket] = _Graph(self._decoder, bucket, state, self._capture)
            except RuntimeError as error:
                # some kernel cannot be captured, or memory is short: the step still runs, only slower
                logger.warning("no graph for %s: %s", bucket, error)
                self._graphs[bucket] = None
            if len(self._graphs) > self._most:
                self._graphs.popitem(last=False)
        self._graphs.move_to_end(bucket)
        return self._graphs[bucket]


@dataclass(slots=True)
class _Inputs:
    """The tensors that a captured step reads; they never move."""

    tokens: Tensor
    state: DecoderState


class _Graph:
    """One captured step.

    Raises:
        RuntimeError: It cannot be captured.
    """

    def __init__(self, decoder: Decoder, bucket: Bucket, like: DecoderState, capture: Capture) -> None:
        count = bucket.sentences * bucket.rows
        recurrent, device = like.recurrent, like.recurrent.hidden.device

        def rows_like(values: Tensor) -> Tensor:  # (L, R, H)
            return values.new_zeros((values.shape[0], count, values.shape[2]))

        state = DecoderState(
            RecurrentState(rows_like(recurrent.hidden), None if recurrent.cell is None else rows_like(recurrent.cell)),
            None if like.feed is None else like.feed.new_zeros((count, like.feed.shape[1])),
            _room(like.context, bucket),
            bucket.sentences,
        )
        self._inputs = _Inputs(torch.zeros(count, dtype=torch.int64, device=device), state)
        self._loaded: SourceContext | None = None
        self._given: list[bool] = []

        def run() -> Outputs:
            embedded = decoder.embedding(self._inputs.tokens)
            feature, weights, after = decoder.wiring.step(embedded, self._inputs.state)
            found = (after.recurrent.hidden, after.recurrent.cell, after.feed, weights)
            self._given = [value is not None for value in found]
            return (decoder.output(feature), *(value for value in found if value is not None))

        self._outputs, self._replay = capture(run)

    def step(self, tokens: Tensor, state: DecoderState) -> Step:
        """Copy in, replay, copy out: what is returned belongs to the caller."""
        rows = len(tokens)
        own = self._inputs.state
        self._inputs.tokens[:rows] = tokens
        own.recurrent.hidden[:, :rows] = state.recurrent.hidden
        if own.recurrent.cell is not None and state.recurrent.cell is not None:
            own.recurrent.cell[:, :rows] = state.recurrent.cell
        if own.feed is not None and state.feed is not None:
            own.feed[:rows] = state.feed
        if state.context is not self._loaded:  # the same from step to step until a sentence comes or goes
            _fill(own.context, state.context)
            self._loaded = state.context
        self._replay()
        left = iter(self._outputs[1:])
        hidden, cell, feed, weights = (next(left) if given else None for given in self._given)
        assert hidden is not None
        recurrent = RecurrentState(hidden[:, :rows].clone(), None if cell is None else cell[:, :rows].clone())
        return Step(
            self._outputs[0][:rows].to(torch.float32, copy=True),
            None if weights is None else weights[:rows, : _length(state.context)].clone(),
            state.after(recurrent, None if feed is None else feed[:rows].clone()),
        )


def _length(context: SourceContext) -> int:
    """S; 1 for a context without positions."""
    return context.mask.shape[1] if isinstance(context, ProjectedSource) else 1


def _room(like: SourceContext, bucket: Bucket) -> SourceContext:
    """A context of the bucket's size, each sentence one position long."""
    if isinstance(like, FixedContext):
        return FixedContext(like.vector.new_zeros((bucket.sentences, like.vector.shape[1])))
    assert isinstance(like, ProjectedSource)
    size = (bucket.sentences, bucket.length)
    mask = like.mask.new_zeros(size)
    mask[:, 0] = True  # a softmax over nothing would be NaN
    memory = like.memory.new_zeros((*size, like.memory.shape[2]))
    return ProjectedSource(memory, like.keys.new_zeros((*size, like.keys.shape[2])), mask, like.attention)


def _fill(own: SourceContext, given: SourceContext) -> None:
    """Copy sentences in; memory behind the mask may keep old values, which get no weight."""
    if isinstance(own, FixedContext) and isinstance(given, FixedContext):
        own.vector[: len(given.vector)] = given.vector
        return
    assert isinstance(own, ProjectedSource)
    assert isinstance(given, ProjectedSource)
    sentences, length = given.mask.shape
    own.memory[:sentences, :length] = given.memory
    own.keys[:sentences, :length] = given.keys
    own.mask[:sentences] = False
    own.mask[:sentences, :length] = given.mask
