"""A recurrent encoder of our own: components compete for the positions of the picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from comet_cli.networks.clustering.parts import MOST_PARTS, find_parts, merge_parts
from comet_cli.networks.clustering.seeds import drawn_seeds, grown_seeds
from comet_cli.networks.layers import autocast, coordinate_grid

EMBEDDING = 8
# How colour (against the ground), place, and salience (in attention, and for seeds) are scaled.
# Found on training scenes; learned, they drift until large objects fall apart.
COLOUR, PLACE, SALIENCE, SEED_SALIENCE = 9.0, 4.5, 12.0, 5.4
USUAL_LIGHT = 0.45  # median colour that pictures are brought to before they are looked at


@dataclass
class Look:
    """What is seen of B pictures at P = H·W positions.

    Attributes:
        embedding: (B,C,H,W) that clusters: colour (3) against the ground, place (2), learned.
        colour: (B,3,H,W) against the ground.
        learned_salience: (B,H,W) what is added to the contrast's.
        held: (B,P,·) that latents are made of: features, colour and place, squares of place.
    """

    embedding: Tensor
    colour: Tensor
    learned_salience: Tensor
    held: Tensor

    def contrast(self) -> Tensor:
        """Return half the squared difference from the ground (B,H,W)."""
        return 0.5 * self.colour.square().sum(1)

    def repeat(self, times: int) -> Look:
        """Return the same of as many copies of a picture."""
        return Look(*[t.expand(times, *t.shape[1:]) for t in vars(self).values()])


class CompetitiveEncoder(nn.Module):
    """x (B,3,R,R) -> z (B,K,D): a region each; with ``ground``, component 0 takes what is left.

    Positions have an embedding: colour against the data's median picture, place, and learned
    features of the neighbourhood. Components are seeded one after the other where the picture is
    least explained so far, then share out the positions by a few steps of soft clustering
    (softmax over components, as in slot attention, Locatello et al. 2020). A component's latent
    is a function of what its positions hold on average; its first two dimensions are where they
    are (row, column; −1 to 1). The same picture gives the same latents.
    """

    ground: Tensor

    def __init__(
        self,
        filter_dim: int,
        components: int,
        latent_dim: int,
        image_size: int,
        *,
        ground: bool,
        adapts: bool = False,
        parts: int = 0,
        iterations: int = 4,
    ) -> None:
        """Build; pictures of 48 pixels and more are clustered at half their size.

        With ``adapts`` all is seen relative to the picture's median colour (von Kries' adaptation),
        which the ground's latent alone is told: objects are the same in any light.

        With ``parts``, the number of patches along each axis, objects may have several colours: the
        patches compete for positions, and objects are what patches are merged to.
        """
        super().__init__()
        self.regions = components - ground
        self.has_ground = ground
        self.adapts = adapts
        self.parts = parts
        self.iterations = iterations
        self.stride = 2 if image_size >= 48 else 1
        size = -(-image_size // self.stride)
        self.grid = (size, size)
        width = 2 * filter_dim
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(3, filter_dim, 5, stride=self.stride, padding=2)]
            + [nn.Conv2d(filter_dim, filter_dim, 5, padding=2) for _ in range(3)]
        )
        # Not learned: gradients, which reach it through the components' colours, only roughen it,
        # until grey objects are lost in it.
        self.register_buffer("ground", torch.full((3, size, size), 0.5))
        self.ground_bias = nn.Parameter(torch.zeros(()))
        self.embedding = nn.Conv2d(filter_dim, EMBEDDING + 1, 1)
        nn.init.normal_(self.embedding.weight, std=0.02)
        if self.embedding.bias is not None:
            nn.init.zeros_(self.embedding.bias)
        self.feature = nn.Conv2d(filter_dim, width, 1)
        described = width + 3 + 2 + 3 + 1
        self.to_object = self._head(described, width, latent_dim)
        if ground:
            self.to_ground = self._head(described + 3 * adapts, width, latent_dim)

    @staticmethod
    def _head(described: int, width: int, latent_dim: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(described, 2 * width), nn.SiLU(), nn.Linear(2 * width, latent_dim)
        )

    def set_ground(self, mean_image: Tensor) -> None:
        """Take the data's mean (or median) picture (3,R,R) for the ground."""
        if self.adapts:
            median = mean_image.flatten(1).median(-1).values
            mean_image = mean_image * (USUAL_LIGHT / median.clamp_min(0.04))[:, None, None]
        with torch.no_grad():
            self.ground.copy_(F.adaptive_avg_pool2d(mean_image, self.grid).to(self.ground))

    def _grown(self, look: Look) -> Tensor:
        """Return centres (B,regions,C) of seeds whose regions grow."""
        return grown_seeds(look.embedding, look.contrast() * SEED_SALIENCE**2, self.regions)

    def _merged(self, look: Look, chances: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return centres of parts (B,N,C), and whose they are (B,N,1+regions), 0 or 1.

        Args:
            look: at B pictures, or at one.
            chances: (B,C), see :func:`.parts.merge_parts`.
        """
        points = look.embedding.flatten(2).transpose(1, 2)
        with autocast(points.device, low=False):  # moments need all their digits
            parts, belongs = find_parts(look.colour.float(), self.parts, self.regions)
            count = belongs.sum(1)[..., None].clamp_min(1)
            centres = belongs.transpose(1, 2) @ points / count
            if chances is not None:
                parts = parts.repeat(len(chances))
                centres = centres.expand(len(chances), -1, -1)
            return centres, merge_parts(parts, self.regions, chances)

    def look(self, x: Tensor) -> Look:
        """Return what is seen at each position of x (B,3,R,R)."""
        h = x * 2 - 1
        for convolution in self.convolutions:
            h = F.silu(convolution(h))
        small = F.adaptive_avg_pool2d(x, self.grid)
        colour = small - self.ground
        colour = colour - colour.detach().flatten(2).median(-1).values[:, :, None, None]
        place = coordinate_grid(self.grid[0], self.grid[1], x.device).permute(2, 0, 1)
        place = place.expand(len(x), -1, -1, -1)
        learned = self.embedding(h).float()
        features = self.feature(h).float().flatten(2).transpose(1, 2)
        described = torch.cat([colour, place], 1).flatten(2).transpose(1, 2)
        return Look(
            embedding=torch.cat([colour * COLOUR, place * PLACE, learned[:, :EMBEDDING]], 1),
            colour=colour,
            learned_salience=learned[:, EMBEDDING],
            held=torch.cat([features, described, described[..., 3:].square()], -1),
        )

    def share(self, look: Look, centres: Tensor, owners: Tensor | None = None) -> Tensor:
        """Share the positions out by soft clustering, from centres on.

        Args:
            look: at B pictures.
            centres: (B,N,C).
            owners: (B,N,1+regions) where the N centres are parts: whose they are.

        Returns:
            attention (B,1+regions,P), the ground first, summing to 1 over the second axis.
        """
        points = look.embedding.flatten(2).transpose(1, 2)
        salience = look.contrast() * SALIENCE**2 + look.learned_salience
        ground_logit = (self.ground_bias - salience).flatten(1)[:, None]
        attention = points.new_zeros(0)
        # Parts are where they belong already.
        iterations = self.iterations if owners is None else min(2, self.iterations)
        for i in range(iterations):
            if i:
                weights = attention[:, 1:].detach()
                weights = weights / (weights.sum(-1, keepdim=True) + 1e-3)
                # Gradients pass through the last update only.
                held = points if i == iterations - 1 else points.detach()
                moved = torch.einsum("bkp,bpc->bkc", weights, held)
                alive = (attention[:, 1:].detach().sum(-1, keepdim=True) > 0.5).to(moved)
                centres = alive * moved + (1 - alive) * centres
            logit = -0.5 * torch.cdist(centres, points).square()
            if owners is not None:
                logit = logit.masked_fill(owners.sum(-1, keepdim=True) == 0, -torch.inf)
            attention = torch.cat([ground_logit, logit], 1).softmax(1)
        if owners is not None:
            owned = torch.einsum("bnp,bnk->bkp", attention[:, 1:], owners)
            attention = torch.cat([attention[:, :1] + owned[:, :1], owned[:, 1:]], 1)
        return attention

    def attend(self, x: Tensor) -> tuple[Tensor, Look]:
        """Return :meth:`share` of x (B,3,R,R), and what is seen there."""
        look = self.look(x)
        with torch.no_grad():
            centres, owners = self._merged(look) if self.parts else (self._grown(look), None)
        return self.share(look, centres, owners), look

    def describe(self, attention: Tensor, look: Look, light: Tensor) -> Tensor:
        """Return the latents (B,K,D) of what the components hold.

        Args:
            attention: (B,1+regions,P), as of :meth:`share`.
            look: at B pictures.
            light: (B,3) median colours of the pictures.
        """
        mass = attention.sum(-1, keepdim=True)
        weights = attention / (mass + 1e-3)
        means = torch.einsum("bkp,bpc->bkc", weights, look.held)
        centre = means[..., -4:-2]
        spread = (means[..., -2:] - centre.square()).clamp_min(1e-4).sqrt()
        share = mass / attention.shape[-1]
        length = share.clamp_min(1e-8).sqrt()  # finite gradients where a component has nothing
        # features 2F, colour 3, place 2, spread 2 and size (twice, as share and as length)
        held = torch.cat([means[..., :-4], centre, spread * 4, share * 10, length * 4], -1)
        z, anchor = self.to_object(held[:, 1:]), centre[:, 1:]
        if self.has_ground:
            ground = held[:, :1]
            if self.adapts:
                ground = torch.cat([ground, 4 * (light[:, None] - USUAL_LIGHT)], -1)
            z = torch.cat([self.to_ground(ground), z], 1)
            anchor = torch.cat([torch.zeros_like(centre[:, :1]), anchor], 1)
        return torch.cat([anchor + 0.1 * z[..., :2], z[..., 2:]], -1)

    def forward(self, x: Tensor) -> Tensor:
        """Encode x (B,3,R,R) in [0, 1] -> z (B,K,D)."""
        x, light = self._in_usual_light(x.float())
        return self.describe(*self.attend(x), light)

    def otherwise(self, x: Tensor, tries: range) -> Tensor:
        """Encode one picture (1,3,R,R) as it might be seen else: z (T,K,D), one for each try.

        Tries start from drawn seeds. With parts, try 0 starts from seeds whose regions grow, and
        others merge parts whose costs are changed by chance. The same numbers are drawn for each
        picture.

        Args:
            x: the picture.
            tries: numbers from 0.
        """
        x, light = self._in_usual_light(x.float())
        look = self.look(x)
        owners = None
        if self.parts and tries[0] == 0:
            tries, centres = tries[:1], self._grown(look)
        elif self.parts:
            centres, owners = self._merged(look, self._drawn(tries, torch.randn).to(x.device))
        else:
            copies, draws = look.repeat(len(tries)), self._drawn(tries, torch.rand)
            centres = drawn_seeds(copies.embedding, copies.contrast() * SEED_SALIENCE**2, draws)
        look = look.repeat(len(tries))
        return self.describe(self.share(look, centres, owners), look, light.expand(len(tries), -1))

    def _drawn(self, tries: range, numbers: Callable[..., Tensor]) -> Tensor:
        """Return the numbers (T,C) that are drawn for tries: each its own."""
        most = MOST_PARTS**2 + MOST_PARTS if self.parts else self.regions
        return torch.stack(
            [numbers(most, generator=torch.Generator().manual_seed(n)) for n in tries]
        )

    def _in_usual_light(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return pictures as they are looked at, and their median colours (B,3)."""
        light = x.flatten(2).median(-1).values
        if self.adapts:
            x = (x * (USUAL_LIGHT / light.clamp_min(0.04))[:, :, None, None]).clamp_max(2)
        return x, light
