"""What a recipe of clusters may ask for: each argument checked for its type, its range and its order."""
from ..arguments import require_flags, require_number, require_range
from .clusters import ClusterRecipe

MAX_CLUSTERS, MAX_TARGETS, MAX_SPACING, MAX_REGION, MAX_TARGET_SIZE = 100, 1_000, 100, 1_024, 256


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
    require_flags(owner.rstrip(': ') or 'recipe', clustered=recipe.clustered, gaussian=recipe.gaussian)
