"""The recipe of a paste: numbers, sizes, spacing and blend of clusters and of lone targets, and the limits of each."""
from dataclasses import dataclass

from ..arguments import require_flags, require_number, require_range

MAX_CLUSTERS, MAX_TARGETS, MAX_SPACING, MAX_REGION, MAX_TARGET_SIZE = 100, 1_000, 100, 1_024, 256
MAX_SCALE = 100


@dataclass(frozen=True)
class ClusterRecipe:
    """The ranges of a cluster, both ends included; the paper's values by default, which has no lone targets.

    Attributes:
        num_clusters: Regions in an image.
        region_size: Side of the square region in pixels.
        targets_per_cluster: Targets in a region; where it cannot hold the number drawn, as many as fit.
        spacing: Empty pixels between a target and its nearest neighbour.
        brightness: lambda of Eq. 1.
        sigma: sigma_x and sigma_y of Eq. 2, in half patch sides.
        offset: mu_x and mu_y of Eq. 3, in half patch sides.
        rotation: theta of Eq. 3 in degrees.
        clustered: False places as many targets one by one, anywhere (Table II).
        gaussian: False puts the patch instead of the background, as plain copy-paste does (Table II).
        visible_share: A pixel counts as visible, and so into the box, if the blend raises it by at least this share of
            the target's greatest raise, and by a grey level. DenseSIRST's own boxes end at about 0.13.
        lone_prob: Probability that an image gets lone targets instead of clusters.
        num_lone: Lone targets in such an image.
        lone_spacing: Fewest empty pixels between two lone targets.
        target_scale: Factor by which each target is resized before it is pasted, log-uniform, so that half and twice
            the size are equally likely.
        max_scaled_size: No resized target gets a longer side than this many native pixels.
    """

    num_clusters: tuple[int, int] = (1, 3)
    region_size: int = 20
    targets_per_cluster: tuple[int, int] = (8, 12)
    spacing: tuple[int, int] = (1, 2)
    brightness: tuple[float, float] = (0.5, 1.0)
    sigma: tuple[float, float] = (0.3, 0.6)
    offset: tuple[float, float] = (-0.2, 0.0)
    rotation: tuple[float, float] = (-90, 90)
    clustered: bool = True
    gaussian: bool = True
    visible_share: float = 0.0
    lone_prob: float = 0.0
    num_lone: tuple[int, int] = (1, 3)
    lone_spacing: int = 20
    target_scale: tuple[float, float] = (1.0, 1.0)
    max_scaled_size: int = 32


def check_recipe(recipe: ClusterRecipe, max_target_size: int, owner: str = '', spoken: bool = False,
                 least_clusters: int = 1, least_spacing: int = 1, least_region: int = 1) -> None:
    """Check a recipe and the size that large targets are shrunk to.

    Args:
        recipe: The recipe.
        max_target_size: The longest side of a target in pixels.
        owner: What goes before an argument's name in a message.
        spoken: Name an argument as a person does, without underscores.
        least_clusters: Fewest clusters that may be asked for.
        least_spacing: Least spacing likewise.
        least_region: Least side of a region likewise.

    Raises:
        InputError: If an argument is of a wrong type, out of range, or a range has its ends the wrong way round.
    """
    def name(argument: str) -> str:
        return owner + (argument.replace('_', ' ') if spoken else argument)

    require_number(name('max_target_size'), max_target_size, 1, MAX_TARGET_SIZE, whole=True)
    require_number(name('region_size'), recipe.region_size, least_region, MAX_REGION, whole=True)
    require_range(name('num_clusters'), recipe.num_clusters, least_clusters, MAX_CLUSTERS, whole=True)
    require_range(name('targets_per_cluster'), recipe.targets_per_cluster, 1, MAX_TARGETS, whole=True)
    require_range(name('spacing'), recipe.spacing, least_spacing, MAX_SPACING, whole=True)
    require_range(name('brightness'), recipe.brightness, 0, 100)
    # A Gaussian narrower than this is 0 everywhere but at one point.
    require_range(name('sigma'), recipe.sigma, 0.01, 100)
    require_range(name('offset'), recipe.offset, -10, 10)
    require_range(name('rotation'), recipe.rotation, -360, 360)
    require_number(name('visible_share'), recipe.visible_share, 0, 1)
    require_number(name('lone_prob'), recipe.lone_prob, 0, 1)
    require_range(name('num_lone'), recipe.num_lone, least_clusters, MAX_TARGETS, whole=True)
    require_number(name('lone_spacing'), recipe.lone_spacing, 0, MAX_REGION, whole=True)
    require_range(name('target_scale'), recipe.target_scale, 1 / MAX_SCALE, MAX_SCALE)
    require_number(name('max_scaled_size'), recipe.max_scaled_size, 1, MAX_TARGET_SIZE, whole=True)
    require_flags(owner.rstrip(': ') or 'recipe', clustered=recipe.clustered, gaussian=recipe.gaussian)
