"""∇_x of the pooled energies written out: forwards and back through one picture's components.

Autograd keeps more and moves more than a descent needs, because it knows neither that weights are
fixed nor that the components share their picture. Here what is the same for every x (the features
of positions, weights in the order that the convolutions back want) is computed once, what is the
same for every component once a step, and maps are as many at a time as the caches hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from comet_cli.networks.conditional_block import ConditionalBlock, Modulation
from comet_cli.networks.layers import autocast, conv3x3_of, halve, keep_freed_memory

# Bytes of the largest map of the components that are computed together on a CPU: large enough for
# two threads, small enough for a cache.
CHUNK = 4 << 20


class PooledNetwork(Protocol):
    """What is asked of the network: a stem of one convolution, blocks, a linear map to E."""

    sees_positions: bool
    stem_halves: bool
    image_stem: nn.Conv2d
    to_energy: nn.Linear

    def conditional_blocks(self) -> list[ConditionalBlock]:
        """Return the blocks in order."""
        ...

    def position_features(self, x: Tensor) -> Tensor:
        """Return the stem's features (1,C,H,W) that see positions, for pictures as large as x."""
        ...


class _Block(NamedTuple):
    """A block's convolutions forwards and back (transposed), and their biases (1,C,1,1)."""

    conv1: Tensor
    conv2: Tensor
    conv_out: Tensor
    back1: Tensor
    back2: Tensor
    back_out: Tensor
    bias1: Tensor
    bias_out: Tensor

    @classmethod
    def of(cls, block: ConditionalBlock) -> _Block:
        """Take a block's weights; conv2's bias is in the modulation (:func:`_maps`)."""
        conv1, conv2, conv_out = (
            each.weight.detach() for each in (block.conv1, block.conv2, block.conv_out)
        )
        return cls(
            conv1=_ordered(conv1),
            conv2=_ordered(conv2),
            conv_out=_ordered(conv_out),
            back1=_transposed(conv1),
            back2=_transposed(conv2),
            back_out=_transposed(conv_out),
            bias1=_bias(block.conv1),
            bias_out=_bias(block.conv_out),
        )


class _Walk(NamedTuple):
    """Components js of pictures bs: their gains and biases, each (js·bs,C,1,1), and scales."""

    pictures: slice
    components: slice
    modulations: list[tuple[Tensor, ...]]
    scales: Tensor


class PooledGradient:
    """x -> Σ_j s_j ∇_x E_j, or each ∇_x E_j, of fixed latents.

    Symbols: B batch, J components, F filters of the stem, F' those that see colours.
    """

    def __init__(
        self,
        network: PooledNetwork,
        modulations: Sequence[Modulation],
        positional: Sequence[bool],
        scales: Tensor,
    ) -> None:
        """Prepare what no x changes.

        Args:
            network: its weights are copied, in the order that the convolutions want.
            modulations: of every block.
            positional: J flags; all false where the network has no positional embedding.
            scales: s (J,).
        """
        self._network = network
        blocks = network.conditional_blocks()
        self._blocks = [_Block.of(block) for block in blocks]
        self._modulations = [
            _maps(m, _bias(block.conv2)) for m, block in zip(modulations, blocks, strict=True)
        ]
        self._positional = positional
        self._scales = scales
        stem = network.image_stem
        self._stem = _ordered(stem.weight.detach())
        self._stem_bias = stem.bias
        self._stem_back = _transposed(stem.weight.detach())
        self._seen = len(self._stem)  # F', features that depend on x
        first = self._blocks[0]
        self._first = _ordered(first.conv1[:, : self._seen])
        self._first_back = _ordered(first.back1[: self._seen])
        self._output = network.to_energy.weight.detach().float().reshape(1, -1, 1, 1)
        self._size: tuple[int, ...] = ()
        self._walks: list[_Walk] = []
        if scales.device.type == "cpu":
            keep_freed_memory()

    @torch.no_grad()
    def summed(self, x: Tensor) -> Tensor:
        """Return Σ_j s_j ∇_x E_j (B,3,R,R) of x (B,3,R,R)."""
        x = self._prepared(x)
        found = torch.empty_like(x)
        with autocast(x.device, low=False):
            for bs, walks in self._by_pictures():
                before, features = self._features(x[bs])
                first = conv3x3_of(features, self._first)
                direct, through = None, None
                for walk in walks:
                    count = walk.components.stop - walk.components.start
                    parts = self._walk(walk, features, first)
                    mine, inner = (_sum_of(part, count) for part in parts)
                    direct = mine if direct is None else direct.add_(mine)
                    through = inner if through is None else through.add_(inner)
                assert direct is not None and through is not None
                found[bs] = self._back_to_x(direct, through, before)
        return found

    @torch.no_grad()
    def each(self, x: Tensor) -> Tensor:
        """Return s_j ∇_x E_j (B,J,3,R,R) of x (B,3,R,R)."""
        x = self._prepared(x)
        found = x.new_empty(len(x), len(self._scales), *x.shape[1:])
        with autocast(x.device, low=False):
            for bs, walks in self._by_pictures():
                before, features = self._features(x[bs])
                first = conv3x3_of(features, self._first)
                for walk in walks:
                    count = walk.components.stop - walk.components.start
                    parts = [part.chunk(count) for part in self._walk(walk, features, first)]
                    for j, (direct, through) in enumerate(
                        zip(*parts, strict=True), walk.components.start
                    ):
                        found[bs, j] = self._back_to_x(direct, through, before)
        return found

    def _by_pictures(self) -> Iterator[tuple[slice, list[_Walk]]]:
        """Yield pictures, and the walks that make up all of their components."""
        starts = sorted({walk.pictures.start for walk in self._walks})
        for start in starts:
            walks = [walk for walk in self._walks if walk.pictures.start == start]
            yield walks[0].pictures, walks

    def _prepared(self, x: Tensor) -> Tensor:
        """Compute what depends on the size of x alone, and return x as it is walked through."""
        batch = max(len(x), self._modulations[0][0].shape[1])
        x = x.detach().float().expand(batch, -1, -1, -1)
        if self._size != tuple(x.shape):
            self._size = tuple(x.shape)
            self._fixed = self._positions(x)
            self._walks = list(self._planned(x))
        return x.contiguous(memory_format=torch.channels_last)

    def _positions(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return of each component the features (1,F-F',H,W) that see positions, and conv1's share.

        The latter (1,F,H,W) holds its bias as well.
        """
        conv1, bias = self._blocks[0].conv1, self._blocks[0].bias1
        if not self._network.sees_positions:
            none = x.new_empty(1, 0, 1, 1)
            return [(none, bias)] * len(self._positional)
        with autocast(x.device, low=False):
            seen = self._network.position_features(x[:1])
            known = {}
            for flag in set(self._positional):
                features = _ordered(seen * float(flag))
                share = conv3x3_of(features, _ordered(conv1[:, self._seen :]))
                known[flag] = (features, share + bias)
        return [known[flag] for flag in self._positional]

    def _planned(self, x: Tensor) -> Iterator[_Walk]:
        """Yield walks over all components of all pictures, of about as many bytes each."""
        batch, count = len(x), len(self._scales)
        side = 1 if not self._network.stem_halves else 2
        widths = [len(block.conv1) / 4**n for n, block in enumerate(self._blocks)]
        one = 4 * max(widths) * x.shape[-1] * x.shape[-2] / side**2
        at_once = max(1, int(CHUNK / one)) if x.device.type == "cpu" else batch * count
        together = min(count, at_once)
        pictures = max(1, at_once // count)
        for b in range(0, batch, pictures):
            bs = slice(b, min(b + pictures, batch))
            for j in range(0, count, together):
                js = slice(j, min(j + together, count))
                repeated = bs.stop - bs.start
                yield _Walk(
                    bs,
                    js,
                    [
                        tuple(t.expand(-1, batch, -1, -1, -1)[js, bs].flatten(0, 1) for t in block)
                        for block in self._modulations
                    ],
                    self._scales[js].float().repeat_interleave(repeated)[:, None, None, None],
                )

    def _features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stem's convolution (b,F',R,R) of pictures (b,3,R,R), and what it gives."""
        before = conv3x3_of(x, self._stem, self._stem_bias)
        features = F.silu(before)
        return before, halve(features) if self._network.stem_halves else features

    def _back_to_x(self, direct: Tensor, through: Tensor, before: Tensor) -> Tensor:
        """Return the gradient (b,3,R,R).

        Args:
            direct: with respect to the features that see x (b,F',H,W), past the first convolution.
            through: with respect to the first convolution (b,F,H,W).
            before: the stem's convolution (b,F',R,R).
        """
        gradient = conv3x3_of(through, self._first_back).add_(direct)
        if self._network.stem_halves:
            gradient = _halve_back(gradient, before)
        return conv3x3_of(_silu_back(gradient, before), self._stem_back)

    def _walk(self, walk: _Walk, features: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        """Return gradients of Σ s E with respect to features (js·b,F',H,W) and first (js·b,F,H,W).

        Args:
            walk: which components of which pictures.
            features: (b,F',H,W), the part of the first block's input that depends on x.
            first: (b,F,H,W), what the first convolution makes of it.
        """
        kept: list[tuple[Tensor, Tensor, Tensor]] = []
        h = features
        for n, (block, modulation) in enumerate(zip(self._blocks, walk.modulations, strict=True)):
            gain1, bias1, gain2, bias2 = modulation
            if n == 0:
                a1 = self._first_modulated(walk, first)
            else:
                h = halve(F.silu(kept[-1][2]))
                a1 = torch.addcmul(bias1, conv3x3_of(h, block.conv1, block.bias1.flatten()), gain1)
            a2 = torch.addcmul(bias2, conv3x3_of(F.silu(a1), block.conv2), gain2)
            inner = F.silu(a2)
            if n == 0:
                self._add_input(walk, features, inner)
            else:
                inner.add_(h)
            a3 = conv3x3_of(inner, block.conv_out, block.bias_out.flatten())
            kept.append((a1, a2, a3))
        # E is linear in the mean over space of the last maps.
        height, width = ((side + 1) // 2 for side in kept[-1][2].shape[-2:])
        gradient = _ordered(
            (self._output * walk.scales / (height * width)).expand(-1, -1, height, width)
        )
        for n in reversed(range(len(self._blocks))):
            (a1, a2, a3), block = kept.pop(), self._blocks[n]
            gain1, _, gain2, _ = walk.modulations[n]
            outer = conv3x3_of(_silu_back(_halve_back(gradient, a3), a3), block.back_out)
            inner = conv3x3_of(_silu_back(outer, a2).mul_(gain2), block.back2)
            through = _silu_back(inner, a1).mul_(gain1)
            if n:
                gradient = conv3x3_of(through, block.back1).add_(outer)
        return outer[:, : self._seen], through

    def _first_modulated(self, walk: _Walk, first: Tensor) -> Tensor:
        """Return gain · conv1 + bias (js·b,F,H,W) of the first block."""
        gain, bias, *_ = walk.modulations[0]
        size, made = len(first), []
        for n, (_, share) in enumerate(self._fixed[walk.components]):
            of = slice(n * size, (n + 1) * size)
            made.append(torch.addcmul(bias[of], first + share, gain[of]))
        return torch.cat(made)

    def _add_input(self, walk: _Walk, features: Tensor, inner: Tensor) -> None:
        """Add the first block's input to inner (js·b,F,H,W), in place."""
        for part, (positions, _) in zip(
            inner.chunk(walk.components.stop - walk.components.start),
            self._fixed[walk.components],
            strict=True,
        ):
            part[:, : self._seen] += features
            if positions.shape[1]:
                part[:, self._seen :] += positions


def _ordered(weights: Tensor) -> Tensor:
    return weights.float().contiguous(memory_format=torch.channels_last)


def _transposed(weights: Tensor) -> Tensor:
    """Return the weights of the convolution back: of the gradient with respect to the input."""
    return _ordered(weights.flip(2, 3).transpose(0, 1))


def _bias(convolution: nn.Conv2d) -> Tensor:
    """Return a bias as (1,C,1,1)."""
    assert convolution.bias is not None
    return convolution.bias.detach().float().reshape(1, -1, 1, 1)


def _maps(modulation: Modulation, bias: Tensor) -> tuple[Tensor, ...]:
    """Return gains and biases (J,B,C,1,1); the second bias holds the convolution's (1,C,1,1)."""
    gain1, bias1, gain2, bias2 = (
        t.detach().float().transpose(0, 1)[..., None, None] for t in modulation
    )
    return gain1, bias1, gain2, bias2 + gain2 * bias


def _sum_of(maps: Tensor, count: int) -> Tensor:
    """Return the sum of ``count`` parts (count·b,C,H,W) -> (b,C,H,W)."""
    first, *others = maps.chunk(count)
    total = first.contiguous(memory_format=torch.channels_last) if others else first
    for n, other in enumerate(others):
        total = total + other if n == 0 else total.add_(other)
    return total


def _silu_back(gradient: Tensor, before: Tensor) -> Tensor:
    """Return the gradient with respect to what SiLU was taken of."""
    return torch.ops.aten.silu_backward(gradient, before)


def _halve_back(gradient: Tensor, before: Tensor) -> Tensor:
    """Return the gradient with respect to what :func:`halve` was taken of."""
    return torch.ops.aten.avg_pool2d_backward(
        gradient, before, [3, 3], [2, 2], [1, 1], False, True, None
    )
