"""The names of a data set's classes, and the vocabulary of a text."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from archcost.data import folders, texts
from archcost.data.spec import DataSpec
from archcost.data.texts import Words

_CLASSES: Final[dict[str, str]] = {
    "fashion-mnist": "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot",
    "cifar10": "airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck",
    "cifar100": (
        "apple, aquarium_fish, baby, bear, beaver, bed, bee, beetle, bicycle, bottle, bowl, boy, bridge, bus, "
        "butterfly, camel, can, castle, caterpillar, cattle, chair, chimpanzee, clock, cloud, cockroach, couch, crab, "
        "crocodile, cup, dinosaur, dolphin, elephant, flatfish, forest, fox, girl, hamster, house, kangaroo, "
        "keyboard, lamp, lawn_mower, leopard, lion, lizard, lobster, man, maple_tree, motorcycle, mountain, mouse, "
        "mushroom, oak_tree, orange, orchid, otter, palm_tree, pear, pickup_truck, pine_tree, plain, plate, poppy, "
        "porcupine, possum, rabbit, raccoon, ray, road, rocket, rose, sea, seal, shark, shrew, skunk, skyscraper, "
        "snail, snake, spider, squirrel, streetcar, sunflower, sweet_pepper, table, tank, telephone, television, "
        "tiger, tractor, train, trout, tulip, turtle, wardrobe, whale, willow_tree, wolf, woman, worm"
    ),
}
"""As the authors of the data sets give them, in the order of the labels."""


def class_names(spec: DataSpec, folder: Path, count: int) -> tuple[str, ...]:
    """Return the names of so many classes: those of the data set or its folders, else "0", "1", ...; of a text none."""
    if spec.name == "images":
        return folders.names(spec, folder)
    if spec.name in _CLASSES:
        return tuple(_CLASSES[spec.name].split(", "))
    return () if spec.kind == "text" else tuple(map(str, range(count)))


def vocabulary(spec: DataSpec, folder: Path) -> Words | None:
    """Return the vocabulary of a text, None of other data; raises InputError if the text cannot be read."""
    return texts.words(spec, folder) if spec.kind == "text" else None
