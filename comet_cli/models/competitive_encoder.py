"""A recurrent encoder of our own: components compete for the positions of the picture."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from comet_cli.models.parts import find_parts, hue_and_brightness, merge_parts

EMBEDDING = 8
# How colour (against the ground), place, and salience (in attention, and for seeds) are scaled.
# Found on training scenes; learned, they drift until large objects fall apart.
COLOUR, PLACE, SALIENCE, SEED_SALIENCE = 9.0, 4.5, 12.0, 5.4
USUAL_LIGHT = 0.45  # median colour that pictures are brought to before they are looked at
REGION_REACH = 24  # positions that a region may grow in each direction


def coordinate_grid(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """Return pixel centres (H,W,2), row then column, each from −1 to 1."""
    rows = (torch.arange(height, device=device) + 0.5) / height * 2 - 1
    columns = (torch.arange(width, device=device) + 0.5) / width * 2 - 1
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1)


def shading_tolerant_distance(difference: Tensor) -> Tensor:
    """Return squared colour distances in which brightness counts half as much as hue.

    The sides of an evenly coloured object differ in brightness most.

    Args:
        difference: (B,3,H,W).

    Returns:
        (B,H,W).
    """
    hue, brightness = hue_and_brightness(difference, 1)
    return 1.69 * (hue + brightness)


class CompetitiveEncoder(nn.Module):
    """x (B,3,R,R) -> z (B,K,D): a region each; with ``ground``, component 0 takes what is left.

    Positions have an embedding: colour against the data's mean ground, place, and learned
    features of the neighbourhood. Components are seeded one after the other where the picture is
    least explained so far, then share out the positions by a few steps of soft clustering
    (softmax over components, as in slot attention, Locatello et al. 2020). A component's latent
    is a function of what its positions hold on average; its first two dimensions are where they
    are (row, column; −1 to 1). Nothing is random: the same picture gives the same latents.
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

    def _seed(self, embedding: Tensor, salience: Tensor) -> Tensor:
        """Return starting centres (B,regions,C), each where least is explained so far.

        A seed explains the region that grows from it over like-coloured salient positions, so a
        second seed falls on the same object only if nothing else is left.

        Args:
            embedding: (B,C,H,W), the first five channels colour and place.
            salience: (B,H,W), at least 0.
        """
        batch, _, height, width = embedding.shape
        local = F.avg_pool2d(embedding, 3, 1, 1, count_include_pad=False)
        smooth = F.avg_pool2d(salience, 3, 1, 1, count_include_pad=False)
        # Salient itself and inside something salient: a seed on a rim would grow nowhere.
        inside = -F.max_pool2d(-salience, 3, 1, 1)
        unexplained = 1 - 0.5 * (torch.exp(-smooth) + torch.exp(-inside))
        stuff = 1 - torch.exp(-salience)
        apart = unexplained.clone()  # breaks ties where all is explained
        centres = []
        for _ in range(self.regions):
            at = (unexplained + 1e-3 * apart).flatten(1).argmax(1)
            centre = local.flatten(2)[torch.arange(batch, device=at.device), :, at]
            centres.append(centre)
            offset = embedding - centre[:, :, None, None]
            like = (torch.exp(-0.5 * shading_tolerant_distance(offset[:, :3])) * stuff)[:, None]
            region = F.one_hot(at, height * width).view(batch, 1, height, width).to(like)
            for _ in range(REGION_REACH):
                grown = torch.maximum(
                    F.max_pool2d(region, (3, 1), 1, (1, 0)), F.max_pool2d(region, (1, 3), 1, (0, 1))
                )
                region = torch.maximum(region, torch.minimum(grown, like))
            unexplained = unexplained * (1 - F.max_pool2d(region, 3, 1, 1)[:, 0])
            apart = apart * (1 - torch.exp(-0.5 * offset[:, 3:5].square().sum(1)))
        return torch.stack(centres, 1)

    def _parts(self, colour: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return centres of parts (B,N,C), and whose they are (B,N,1+regions), 0 or 1.

        Args:
            colour: (B,3,H,W) against the ground.
            points: the embedding (B,P,C).
        """
        with torch.autocast(points.device.type, enabled=False):  # moments need all their digits
            parts, belongs = find_parts(colour.float(), self.parts, self.regions)
            count = belongs.sum(1)[..., None].clamp_min(1)
            return belongs.transpose(1, 2) @ points / count, merge_parts(parts, self.regions)

    def attend(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Share the positions out.

        Returns:
            attention (B,1+regions,P), the ground first, summing to 1 over the second axis;
            features (B,P,2F); colour and place (B,P,5).
        """
        h = x * 2 - 1
        for convolution in self.convolutions:
            h = F.silu(convolution(h))
        small = F.adaptive_avg_pool2d(x, self.grid)
        colour = small - self.ground
        colour = colour - colour.detach().flatten(2).median(-1).values[:, :, None, None]
        place = coordinate_grid(self.grid[0], self.grid[1], x.device).permute(2, 0, 1)
        place = place.expand(len(x), -1, -1, -1)
        learned = self.embedding(h).float()
        embedding = torch.cat([colour * COLOUR, place * PLACE, learned[:, :EMBEDDING]], 1)
        contrast = 0.5 * colour.square().sum(1)
        salience = contrast * SALIENCE**2 + learned[:, EMBEDDING]
        points = embedding.flatten(2).transpose(1, 2)
        with torch.no_grad():
            if self.parts:
                centres, owners = self._parts(colour, points)
            else:
                centres, owners = self._seed(embedding, contrast * SEED_SALIENCE**2), None
        ground_logit = (self.ground_bias - salience).flatten(1)[:, None]
        attention = points.new_zeros(0)
        # Parts are where they belong already.
        iterations = min(2, self.iterations) if self.parts else self.iterations
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
        features = self.feature(h).float().flatten(2).transpose(1, 2)
        described = torch.cat([colour, place], 1).flatten(2).transpose(1, 2)
        return attention, features, described

    def forward(self, x: Tensor) -> Tensor:
        """Encode x (B,3,R,R) in [0, 1] -> z (B,K,D)."""
        x = x.float()
        light = x.flatten(2).median(-1).values
        if self.adapts:
            x = (x * (USUAL_LIGHT / light.clamp_min(0.04))[:, :, None, None]).clamp_max(2)
        attention, features, described = self.attend(x)
        mass = attention.sum(-1, keepdim=True)
        weights = attention / (mass + 1e-3)
        held = torch.cat([features, described, described[..., 3:].square()], -1)
        means = torch.einsum("bkp,bpc->bkc", weights, held)
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
