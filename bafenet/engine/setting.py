"""Look up a setting of a config by its path of keys, None where it is absent."""
from typing import Any

from mmengine.config import Config


def setting(cfg: Config, *path: str) -> Any:
    """What a config says at a path of keys; None where it has no such place."""
    value: Any = cfg
    for key in path:
        value = value.get(key) if isinstance(value, (Config, dict)) else None
    return value
