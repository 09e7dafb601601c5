"""What ``densify`` leaves beside its images: the record of each, the summary, and the settings of earlier releases."""
import json
from dataclasses import asdict
from typing import Any, NamedTuple

from .recipe import ClusterRecipe
from .resumable import SetKind, is_count


class Summary(NamedTuple):
    """What a densified set holds.

    Attributes:
        images: Images.
        targets: Original targets.
        pasted: Targets pasted.
        without_room: Images into which nothing was pasted.
        colour: Images that had colours and have become grey.
        moved: Original boxes that were moved one pixel up and left, to where their mask is.
    """

    images: int
    targets: int
    pasted: int
    without_room: int
    colour: int
    moved: int


SETTINGS_FILE, RECORDS_FILE = 'densify.json', 'densify_images.jsonl'
DENSIFIED = SetKind('densified set', SETTINGS_FILE, RECORDS_FILE, Summary._fields)
# A set of an earlier release is silent about what its recipe did not have; as it would be in the file.
EARLIER: dict = json.loads(json.dumps(asdict(ClusterRecipe())))


def is_record(record: Any, names: set[str]) -> bool:
    """Whether a value is the record of an image of these names."""
    counts = ('targets', 'pasted', 'moved')
    return (isinstance(record, dict) and record.keys() == {'image', 'colour', *counts}
            and isinstance(record['image'], str) and record['image'] in names
            and isinstance(record['colour'], bool) and all(is_count(record[key]) for key in counts))
